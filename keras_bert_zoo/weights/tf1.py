"""Google's own checkpoints, of TF1: `bert_config.json`, `vocab.txt` and `bert_model.ckpt.*`, read and written.

Kernels lie as Keras has them, [in,out]; the `output_weights` of a head lie as [out,in].  The files do not tell
whether the vocabulary is lower-cased: the caller says it, or the `zoo.json` that we write beside them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.errors import CheckpointError
from keras_bert_zoo.weights import checkpoints
from keras_bert_zoo.weights.checkpoints import Checkpoint
from keras_bert_zoo.weights.formats import Opened, Parts, expressed
from keras_bert_zoo.weights.rows import AnyRow, Row, Spare
from keras_bert_zoo.weights.transfer import Audit, export_audit, export_rows


def _both(ours: str, theirs: str, names: tuple[str, str] = ("kernel", "bias")) -> tuple[Row, Row]:
    return Row(f"{ours}/{names[0]}", f"{theirs}/{names[0]}"), Row(f"{ours}/{names[1]}", f"{theirs}/{names[1]}")


_TOKENS = "bert/embeddings/word_embeddings"
_NORM = ("gamma", "beta")
_LAYER = "bert/encoder/layer_{i}"
# Source: google-research/bert modeling.py, the scopes of BertModel.
ROWS: tuple[AnyRow, ...] = (
    Row("embeddings/token/embeddings", _TOKENS),
    Row("embeddings/position/embeddings", "bert/embeddings/position_embeddings"),
    Row("embeddings/segment/embeddings", "bert/embeddings/token_type_embeddings"),
    *_both("embeddings/norm", "bert/embeddings/LayerNorm", _NORM),
    *_both("block_{i}/attention/query", f"{_LAYER}/attention/self/query"),
    *_both("block_{i}/attention/key", f"{_LAYER}/attention/self/key"),
    *_both("block_{i}/attention/value", f"{_LAYER}/attention/self/value"),
    *_both("block_{i}/attention/output", f"{_LAYER}/attention/output/dense"),
    *_both("block_{i}/attention_norm", f"{_LAYER}/attention/output/LayerNorm", _NORM),
    *_both("block_{i}/inner", f"{_LAYER}/intermediate/dense"),
    *_both("block_{i}/outer", f"{_LAYER}/output/dense"),
    *_both("block_{i}/output_norm", f"{_LAYER}/output/LayerNorm", _NORM),
    *_both("pooler", "bert/pooler/dense"),
)
# What training leaves beside the weights.  Source: optimization.py AdamWeightDecayOptimizer.
_STEP, _SLOTS = "global_step", ("/adam_m", "/adam_v")


def belongs(folder: Path) -> bool:
    """Say whether a folder is of this format: it has a checkpoint without a graph of objects."""
    return checkpoints.belongs(folder, "tf1")


def open_folder(folder: Path) -> Opened:
    """Open a folder.  Without the pooler's tensors there is no pooler; the optimizer's are left where they are.

    Raises: ConfigError where `bert_config.json` is missing, broken or no BERT's; CheckpointError where the checkpoint
    is missing, damaged, one of several, or one of Model Garden's.
    """
    checkpoint, values, where = checkpoints.open_checkpoint(folder, "tf1")
    names = set(checkpoint.names())
    if _TOKENS not in names:
        raise CheckpointError(
            f"{checkpoint.where}: there is no '{_TOKENS}' in it: these are not the weights of a BERT."
        )
    config = BertConfig.from_google(values, where).replace(pooler="bert/pooler/dense/kernel" in names)
    spare = [name for name in names if name == _STEP or _slot_of(name) in names]
    return Opened(
        "tf1",
        config,
        values,
        where,
        checkpoint,
        [*ROWS, *map(Spare, sorted(spare))],
        head=_head(checkpoint),
        vocabulary=folder / checkpoints.VOCABULARY,
    )


def write_folder(parts: Parts, folder: Path, *, allow: Sequence[str] = ()) -> Audit:
    """Write config, weights and vocabulary as google-research/bert reads them; the numbers keep their dtype.

    `allow` names fields of the config that may be changed: GELU is tanh and epsilon 1e-12 there.
    Raises: ConfigError naming such a field, or a head without a place; CheckpointError where a weight has no row.
    """
    import tensorflow as tf

    config, changes = expressed(parts.config, checkpoints.KNOWN, format="tf1", allow=allow)
    rows = [*ROWS, *(parts.head.rows("tf1") if parts.head else [])]
    tensors = export_rows(parts.all, rows, parts.dtype)
    prefix = folder / checkpoints.PREFIX
    checkpoints.write_rest(parts, config, folder)
    with checkpoints.written(prefix):
        tf.raw_ops.SaveV2(
            prefix=str(prefix),
            tensor_names=list(tensors),
            shape_and_slices=[""] * len(tensors),
            tensors=[tf.constant(tensor) for tensor in tensors.values()],
        )
    return export_audit(parts.all, rows, str(prefix), parts.dtype, config_changes=changes)


def _slot_of(name: str) -> str | None:
    return next((name.removesuffix(slot) for slot in _SLOTS if name.endswith(slot)), None)


def _head(checkpoint: Checkpoint) -> tuple[str, Mapping[str, Any]] | None:
    """Return the head that the names tell.  A classifier's labels are in no file: they are numbered."""
    names = set(checkpoint.names())
    told = {
        "masked_lm": "cls/predictions/output_bias",
        "next_sentence": "cls/seq_relationship/output_bias",
        "question_answering": "cls/squad/output_bias",
        "classification": "output_bias",
    }
    found = [head for head, name in told.items() if name in names]
    if found == ["masked_lm", "next_sentence"]:
        return "pretraining", {}
    if len(found) != 1:
        return None
    if found == ["classification"]:
        labels = [f"LABEL_{i}" for i in range(sum(checkpoint.shape("output_bias")))]
        return ("classification", {"labels": labels}) if len(labels) > 1 else ("regression", {})
    return found[0], {}
