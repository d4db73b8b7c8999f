"""KerasHub presets of BERT: `config.json` and `model.weights.h5`, `task.json` and `task.weights.h5` for a head.

Only the files are read and written: KerasHub itself is never imported, and nothing in them is run.  A tensor's name
here is `model/` or `task/` and its path in that file.  There a layer is called by its class and counted in the order
of the model: the first `transformer_encoder`, the second `transformer_encoder_1`.  Attention's kernels have an axis of
heads.  KerasHub has one dropout for all, the tanh form of GELU, one epsilon, and always a pooler.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.errors import CheckpointError, ConfigError, VocabularyError
from keras_bert_zoo.files import new_file, read_json
from keras_bert_zoo.weights.formats import Opened, Parts, expressed
from keras_bert_zoo.weights.hdf5 import H5Tensors, write_h5
from keras_bert_zoo.weights.rows import AnyRow, Op, Row, Spare, split_heads, split_heads_in
from keras_bert_zoo.weights.transfer import Audit, common_dtype, export_audit, export_rows, numpy_dtype

CONFIG, TASK, TOKENIZER, PREPROCESSOR = "config.json", "task.json", "tokenizer.json", "preprocessor.json"
MODEL_WEIGHTS, TASK_WEIGHTS, METADATA = "model.weights.h5", "task.weights.h5", "metadata.json"
VOCABULARY = Path("assets", "tokenizer", "vocabulary.txt")
# Source: keras_hub, models/bert/bert_backbone.py: gelu_approximate and layer_norm_epsilon of every layer.
KNOWN: Mapping[str, Sequence[Any]] = {"hidden_act": ("gelu_tanh",), "layer_norm_eps": (1e-12,), "pooler": (True,)}
# Source: bert_masked_lm.py: intermediate_activation "gelu", which is erf in Keras; masked_lm_head.py: its epsilon.
TRANSFORM: Mapping[str, Any] = {"hidden_act": "gelu_erf", "layer_norm_eps": 1e-5}
_INITIALIZER_RANGE = 0.02  # bert_kernel_initializer; it shapes new layers alone, no answer
_VERSION = "0.32.0"  # of KerasHub, whose layout is written
_PACKAGES = ("keras_hub>", "keras_nlp>")  # the second is its name before 0.18

# A task is compiled when it is made, with an Adam that has counted no step (models/task.py): kept, or loading warns.
_OPTIMIZER: Mapping[str, Any] = {"task/optimizer/vars/0": np.int64(0), "task/optimizer/vars/1": np.float32(5e-5)}

_SIZES = {
    "vocabulary_size": "vocab_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "hidden_dim": "hidden_size",
    "intermediate_dim": "intermediate_size",
    "dropout": "hidden_dropout_prob",
    "max_sequence_length": "max_position_embeddings",
    "num_segments": "type_vocab_size",
}
_PLAIN = {"name", "trainable", "dtype"}  # every layer of Keras says these
_CLASSIFIER, _MASKED_LM = "BertTextClassifier", "BertMaskedLM"
# The activation after the logits, which are ours without one -> the head that reads them so
_CLASSIFIERS = {"linear": "classification", "softmax": "classification", "sigmoid": "multi_label"}
# head -> KerasHub's task
_TASKS = {
    "classification": _CLASSIFIER,
    "multi_label": _CLASSIFIER,
    "regression": _CLASSIFIER,
    "masked_lm": _MASKED_LM,
}


def _pair(ours: str, theirs: str, kernel: Op | None = None, bias: Op | None = None) -> tuple[Row, ...]:
    first, second = ("gamma", "beta") if ours.endswith("norm") else ("kernel", "bias")
    rows = (
        Row(f"{ours}/{first}", f"model/layers/{theirs}/vars/0"),
        Row(f"{ours}/{second}", f"model/layers/{theirs}/vars/1"),
    )
    return tuple(
        row if op is None else dataclasses.replace(row, op=op) for row, op in zip(rows, (kernel, bias), strict=True)
    )


def rows(heads: int) -> tuple[AnyRow, ...]:
    """Return where the weights of an encoder with so many attention heads lie."""
    block, attention = "transformer_encoder{_i}", "transformer_encoder{_i}/_self_attention_layer"
    split = split_heads(heads)
    return (
        Row("embeddings/token/embeddings", "model/layers/reversible_embedding/vars/0"),
        Row("embeddings/position/embeddings", "model/layers/position_embedding/vars/0"),
        Row("embeddings/segment/embeddings", "model/layers/embedding/vars/0"),
        *_pair("embeddings/norm", "layer_normalization"),
        *_pair("block_{i}/attention/query", f"{attention}/query_dense", split, split),
        *_pair("block_{i}/attention/key", f"{attention}/key_dense", split, split),
        *_pair("block_{i}/attention/value", f"{attention}/value_dense", split, split),
        *_pair("block_{i}/attention/output", f"{attention}/output_dense", split_heads_in(heads)),
        *_pair("block_{i}/attention_norm", f"{block}/_self_attention_layer_norm"),
        *_pair("block_{i}/inner", f"{block}/_feedforward_intermediate_dense"),
        *_pair("block_{i}/outer", f"{block}/_feedforward_output_dense"),
        *_pair("block_{i}/output_norm", f"{block}/_feedforward_layer_norm"),
        *_pair("pooler", "dense"),
    )


def belongs(folder: Path) -> bool:
    """Say whether a folder is of this format: its `config.json` names a class of KerasHub."""
    if not (folder / CONFIG).is_file():
        return False
    return str(read_json(folder / CONFIG, ConfigError).get("registered_name")).startswith(_PACKAGES)


def open_folder(folder: Path) -> Opened:
    """Open a folder.  A text classifier's labels are not in it: they are numbered.

    Raises: ConfigError where a JSON file is missing, broken or not of a BERT; CheckpointError where the weights are
    missing or damaged; VocabularyError on a tokenizer that is no WordPiece as BERT's.
    """
    where = folder / CONFIG
    values = read_json(where, ConfigError)
    config = _read_config(values, str(where))
    if not (folder / MODEL_WEIGHTS).is_file():
        several = (folder / "model.weights.json").is_file()
        hint = " They are in several files: save them in KerasHub with max_shard_size=None." if several else ""
        raise CheckpointError(f"{folder} has no {MODEL_WEIGHTS}.{hint}")
    files = {"model": folder / MODEL_WEIGHTS, "task": folder / TASK_WEIGHTS}
    reader = H5Tensors(folder, {prefix: path for prefix, path in files.items() if path.is_file()})
    state = (Spare(name) for name in reader.names() if name.startswith("task/optimizer/"))
    return Opened(
        "keras_hub",
        config,
        values,
        str(where),
        reader,
        [*rows(config.num_attention_heads), *state],
        head=_read_task(folder),
        vocabulary=folder / VOCABULARY,
        switches=_read_tokenizer(folder),
    )


def write_folder(parts: Parts, folder: Path, *, allow: Sequence[str] = ()) -> Audit:
    """Write a preset as KerasHub's `save_to_preset` does: backbone, tokenizer, and the task of a head.

    Where `allow` names `pooler`, an encoder without one gets a new, untrained one.
    Raises: ConfigError where KerasHub has no word for a field of the config, the tokenizer or for the head.
    """
    dropout = parts.config.hidden_dropout_prob
    known = {**KNOWN, "attention_probs_dropout_prob": (dropout,)}
    config, changes = expressed(parts.config, known, format="keras_hub", allow=allow)
    if config.initializer_range != _INITIALIZER_RANGE:
        changes += (f"initializer_range {config.initializer_range!r} -> {_INITIALIZER_RANGE!r} (for new layers only)",)
    task = _task_of(parts.head)
    table = [*rows(config.num_attention_heads), *(parts.head.rows("keras_hub") if parts.head is not None else ())]
    tensors: dict[str, Any] = export_rows(parts.all, table, parts.dtype)
    audit = export_audit(parts.all, table, str(folder), parts.dtype)
    kind = common_dtype(value.dtype.name for value in tensors.values())
    if config.pooler and not parts.config.pooler:
        tensors |= _new_pooler(config.hidden_size, kind)
    if task is not None:
        tensors |= _OPTIMIZER
    for prefix, name in (("model/", MODEL_WEIGHTS), ("task/", TASK_WEIGHTS)):
        if chosen := {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}:
            write_h5(chosen, folder / name)
    backbone = _object("BertBackbone", _dtype(kind), **{t: getattr(config, o) for t, o in _SIZES.items()})
    _write_json(folder / CONFIG, backbone)
    _write_json(folder / METADATA, _metadata(sum(v.size for k, v in tensors.items() if k.startswith("model/"))))
    tokenizer, more = _tokenizer(parts.tokenizer, allow)
    _write_json(folder / TOKENIZER, tokenizer)
    (folder / VOCABULARY).parent.mkdir(parents=True)
    parts.tokenizer.save_vocabulary(folder / VOCABULARY)
    if task is not None:
        preprocessor = _preprocessor(task, tokenizer, parts)
        _write_json(folder / PREPROCESSOR, preprocessor)
        logits = {"num_classes": parts.head.outputs, "activation": "linear", "dropout": parts.head.dropout}
        own = logits if task == _CLASSIFIER else {}
        _write_json(folder / TASK, _object(task, None, backbone=backbone, preprocessor=preprocessor, **own))
    return dataclasses.replace(audit, config_changes=(*changes, *more))


def _read_config(values: Mapping[str, Any], where: str) -> BertConfig:
    told = _told(values, where, "BertBackbone")
    if unknown := sorted(set(told) - set(_SIZES) - _PLAIN):
        raise ConfigError(f"{where}: unknown key of BertBackbone: {', '.join(unknown)}. Nothing is ignored silently.")
    if missing := [name for name in _SIZES if name not in told]:
        raise ConfigError(f"{where}: {', '.join(missing)} is missing. Save the preset again with save_to_preset.")
    fields = {ours: told[theirs] for theirs, ours in _SIZES.items()}
    usual = {name: allowed[0] for name, allowed in KNOWN.items()}
    try:
        return BertConfig(**fields, **usual, attention_probs_dropout_prob=told["dropout"])
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _told(values: Mapping[str, Any], where: str, *names: str) -> dict[str, Any]:
    """Return the config of a serialised object, which must be of one of these classes."""
    package, _, name = str(values.get("registered_name")).partition(">")
    told = values.get("config")
    if f"{package}>" not in _PACKAGES or name not in names or not isinstance(told, dict):
        raise ConfigError(f"{where}: it holds {values.get('registered_name')!r}, only {', '.join(names)} can be read.")
    return told


def _read_task(folder: Path) -> tuple[str, Mapping[str, Any]] | None:
    path = folder / TASK
    if not path.is_file():
        return None
    values = read_json(path, ConfigError)
    name = str(values.get("registered_name")).partition(">")[2]
    if name == _MASKED_LM:
        return "masked_lm", TRANSFORM
    if name not in (_CLASSIFIER, "BertClassifier"):  # the second is its older name
        return name, {}  # no head of ours: an error unless the encoder alone is wanted
    told = _told(values, str(path), name)
    outputs, activation = told.get("num_classes"), told.get("activation") or "linear"
    if not isinstance(outputs, int) or outputs < 1 or activation not in _CLASSIFIERS:
        raise ConfigError(
            f"{path}: num_classes {outputs!r} with activation {activation!r} is not known here; an activation is one of"
            f" {', '.join(_CLASSIFIERS)}."
        )
    dropout = {"dropout": told.get("dropout", 0.1)}
    if outputs == 1 and activation == "linear":
        return "regression", dropout
    return _CLASSIFIERS[activation], {"labels": [f"LABEL_{i}" for i in range(outputs)], **dropout}


def _read_tokenizer(folder: Path) -> dict[str, Any]:
    path = folder / TOKENIZER
    if not path.is_file():
        return {}
    told = _told(read_json(path, ConfigError), str(path), "BertTokenizer")
    for name, only in (("split", True), ("suffix_indicator", "##")):
        if told.get(name, only) != only:
            raise VocabularyError(f"{path}: {name} is {told[name]!r}, only {only!r} can be read.")
    switches = {"lower": told.get("lowercase", False), "special_tokens": {"unk": told.get("oov_token", "[UNK]")}}
    # False is only what KerasHub's lower-casing presets leave it at; their weights are of text without accents.
    return {**switches, "strip_accents": True} if told.get("strip_accents") else switches


def _task_of(head: Any) -> str | None:
    if head is None or (head.whole_encoder and not head.rows("keras_hub")):  # a head that has no weights
        return None
    if head.name not in _TASKS:
        raise ConfigError(
            f"The weight format 'keras_hub' has no place for the head '{head.name}', only for {', '.join(_TASKS)}."
            " Convert the encoder alone: encoder_only=True (--encoder-only)."
        )
    return _TASKS[head.name]


def _new_pooler(size: int, dtype: str) -> dict[str, np.ndarray]:
    kernel = np.random.default_rng(0).normal(0, _INITIALIZER_RANGE, (size, size))
    values = {"0": kernel, "1": np.zeros(size)}
    return {f"model/layers/dense/vars/{n}": value.astype(numpy_dtype(dtype)) for n, value in values.items()}


def _tokenizer(tokenizer: Any, allow: Sequence[str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    told = tokenizer.settings
    usual = {"cls": "[CLS]", "sep": "[SEP]", "pad": "[PAD]", "mask": "[MASK]"}
    if wrong := {
        role: told.special_tokens[role] for role, token in usual.items() if told.special_tokens[role] != token
    }:
        raise ConfigError(f"The format 'keras_hub' has no word for special tokens of other names: {wrong}.")
    if not told.split_cjk and "split_cjk" not in allow:
        raise ConfigError(
            "The format 'keras_hub' has no word for split_cjk False (only True). The answers would change: allow it"
            " with allow=['split_cjk'] (--allow-change split_cjk)."
        )
    config = {
        "config_file": TOKENIZER,
        "vocabulary": None,
        "sequence_length": None,
        "lowercase": told.lower,
        "strip_accents": told.strip_accents,
        "split": True,
        "suffix_indicator": "##",
        "oov_token": told.special_tokens["unk"],
        "special_tokens": None,
        "special_tokens_in_strings": False,
    }
    changes = () if told.split_cjk else ("split_cjk False -> True",)
    return _object("BertTokenizer", _dtype("int32"), **config), changes


def _preprocessor(task: str, tokenizer: Mapping[str, Any], parts: Parts) -> dict[str, Any]:
    config = {"config_file": PREPROCESSOR, "sequence_length": parts.max_length, "truncate": "round_robin"}
    if task == _MASKED_LM:
        head = parts.head
        config |= {"mask_selection_rate": head.mask_share, "mask_selection_length": head.max_predictions or 96}
        config |= {"mask_token_rate": 0.8, "random_token_rate": 0.1}
    return _object(f"{task}Preprocessor", _dtype("float32"), tokenizer=tokenizer, **config)


def _metadata(parameters: int) -> dict[str, Any]:
    return {
        "keras_version": keras.__version__,
        "keras_hub_version": _VERSION,
        "parameter_count": parameters,
        "date_saved": datetime.now().strftime("%Y-%m-%d@%H:%M:%S"),
        "tasks": ["MaskedLM", "TextClassifier", "TextEmbedder"],
    }


def _object(name: str, dtype: Mapping[str, Any] | None, **config: Any) -> dict[str, Any]:
    """Return what Keras serialises an object of KerasHub as."""
    snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in name.replace("LM", "Lm")).strip("_")
    plain = {"name": snake} if dtype is None else {"name": snake, "trainable": True, "dtype": dtype}
    return {
        "module": f"keras_hub.src.models.bert.{snake}",
        "class_name": name,
        "config": {**plain, **config},
        "registered_name": f"keras_hub>{name}",
    }


def _dtype(name: str) -> dict[str, Any]:
    return {"module": "keras", "class_name": "DTypePolicy", "config": {"name": name}, "registered_name": None}


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    with new_file(path) as aside:
        aside.write_text(json.dumps(values, indent=4) + "\n", encoding="utf-8")
