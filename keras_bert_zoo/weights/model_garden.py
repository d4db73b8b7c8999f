"""Checkpoints of TF Model Garden (`official.nlp`, TF2): BertEncoder, BertEncoderV2 and BertPretrainerV2, both ways.

A folder is as Google publishes them: `bert_config.json`, `vocab.txt` and `bert_model.ckpt.*`; the `params.yaml` of a
training run is not read.  Weights are found by following the attributes that the file's graph of objects names, so it
does not matter which class wrote it, or as what: `tf.train.Checkpoint(encoder=…)`, `(model=…)` or a model's
`checkpoint_items`.  A tensor's name here is that path of attributes, from the encoder (`encoder/…`), the masked-LM
layer (`masked_lm/…`) or the first classification head (`next_sentence/…`).

What is written has the keys that the real BertEncoder or BertPretrainerV2 saves, and is restored into
`tf.train.Checkpoint(encoder=…)`, `(model=…)` or `(**model.checkpoint_items)` with BertEncoder and BertEncoderV2 alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.errors import CheckpointError, ConfigError
from keras_bert_zoo.weights import checkpoints
from keras_bert_zoo.weights.checkpoints import GRAPH, Checkpoint, Renamed, graph_nodes
from keras_bert_zoo.weights.formats import Opened, Parts, expressed
from keras_bert_zoo.weights.rows import AnyRow, Row, Spare, dense_rows, norm_rows, split_heads, split_heads_in
from keras_bert_zoo.weights.transfer import Audit, export_audit, export_rows

_TOKENS, _POOLER = "encoder/_embedding_layer/embeddings", "encoder/_pooler_layer"
_HEAD_POOLER, _HEAD_LOGITS, _MASKED_LM = "next_sentence/dense", "next_sentence/out_proj", "masked_lm"
# Where the parts are found, the first that is there counts; "" is the root itself, as `save_weights` writes a model.
_PLACES = {
    "encoder/": ("encoder/", "model/", "model/encoder_network/", "pretrainer/encoder_network/", "model/_network/", ""),
    "masked_lm/": ("masked_lm/", "model/masked_lm/", "pretrainer/masked_lm/"),
    "next_sentence/": ("model/classification_heads/0/", "pretrainer/classification_heads/0/"),
    f"{_HEAD_POOLER}/": ("next_sentence..pooler_dense/",),
}
# An encoder's layers in their order: older files number some of them instead of naming them, newer ones do both.
_LAYERS = ("_embedding_layer", "_position_embedding_layer", "_type_embedding_layer", "_embedding_norm_layer")
_NUMBERED = "layer_with_weights-"
# Keys that training leaves beside the weights.
_TRAINING, _SLOT = ("optimizer/", "save_counter/", "global_step/"), "/.OPTIMIZER_SLOT/"


class ObjectTensors(Renamed):
    """A checkpoint's tensors by the paths of attributes that lead to them; those that none does keep their keys."""

    def __init__(self, file: Checkpoint, paths: Iterable[str], layers: int) -> None:
        nodes = graph_nodes(file)
        self._children = [{_escaped(child.local_name): child.node_id for child in node.children} for node in nodes]
        self._variables = [
            next((a.checkpoint_key for a in node.attributes if a.name == "VARIABLE_VALUE"), None) for node in nodes
        ]
        found = {path: next(filter(None, map(self._follow, _spellings(path, layers))), None) for path in paths}
        keys = {path: key for path, key in found.items() if key}
        super().__init__(file, keys | {key: key for key in set(file.names()) - {GRAPH, *keys.values()}})

    def _follow(self, path: str) -> str | None:
        """Return the key of the variable that a path of attributes leads to from the root, None where it breaks off."""
        node = 0
        for attribute in path.split("/"):
            if attribute not in self._children[node]:
                return None
            node = self._children[node][attribute]
        return self._variables[node]


def belongs(folder: Path) -> bool:
    """Say whether a folder is of this format: it has a checkpoint with a graph of objects."""
    return checkpoints.belongs(folder, "model_garden")


def open_folder(folder: Path) -> Opened:
    """Open a folder.

    BertPretrainerV2 has two poolers: the one its next-sentence head was trained with is read, the encoder's own, which
    that training never touches, is left.  What the optimizer keeps is left too.

    Raises: ConfigError where `bert_config.json` is missing, broken or no plain BERT's; CheckpointError where the
    checkpoint is missing, damaged, one of several, one of TF1's, or has no BertEncoder in it.
    """
    file, values, where = checkpoints.open_checkpoint(folder, "model_garden")
    config = BertConfig.from_google(_plain(values, where), where)
    layers = config.num_hidden_layers
    rows: list[AnyRow] = [*encoder_rows(config.num_attention_heads)]
    paths = [row.theirs.replace("{i}", str(i)) for row in rows for i in range(layers if "{i}" in row.theirs else 1)]
    paths += [f"{dense}/{name}" for dense in (_POOLER, _HEAD_POOLER, _HEAD_LOGITS) for name in ("kernel", "bias")]
    paths += [f"{_MASKED_LM}/{name}" for name in ("dense/kernel", "dense/bias", "layer_norm/gamma", "layer_norm/beta")]
    reader = ObjectTensors(file, [*paths, f"{_MASKED_LM}/bias"], layers)
    names = set(reader.names())
    if _TOKENS not in names:
        raise CheckpointError(f"{file.where}: there is no BertEncoder in it, as encoder, as model or within a model.")
    two = f"{_HEAD_POOLER}/kernel" in names
    rows += dense_rows("pooler", _HEAD_POOLER if two else _POOLER)
    rows += [Spare(row.theirs) for row in dense_rows("pooler", _POOLER)] if two else []
    rows += [Spare(name) for name in sorted(names) if name.startswith(_TRAINING) or _SLOT in name]
    masked, logits = f"{_MASKED_LM}/bias" in names, two and f"{_HEAD_LOGITS}/bias" in names
    head = {(True, True): "pretraining", (True, False): "masked_lm", (False, True): "next_sentence"}
    return Opened(
        "model_garden",
        config.replace(pooler=two or f"{_POOLER}/kernel" in names),
        values,
        where,
        reader,
        rows,
        head=(head[masked, logits], {}) if masked or logits else None,
        vocabulary=folder / checkpoints.VOCABULARY,
    )


def write_folder(parts: Parts, folder: Path, *, allow: Sequence[str] = ()) -> Audit:
    """Write config, weights and vocabulary; a head of pretraining makes it a BertPretrainerV2's, none a BertEncoder's.

    `allow` names fields of the config that may be changed: GELU is tanh and epsilon 1e-12 there, and every encoder has
    a pooler (where ours has none, nothing is written for it: theirs stays as it is made).
    Raises: ConfigError naming such a field, or a head without a place; CheckpointError where a weight has no row.
    """
    pooler = any(weight.path == "pooler/kernel" for weight in parts.all.weights)
    known = {**checkpoints.KNOWN, "pooler": (True,)}
    told = parts.config.replace(pooler=pooler)
    config, changes = expressed(told, known, format="model_garden", allow=allow)
    head_rows = parts.head.rows("model_garden") if parts.head else []
    rows: list[AnyRow] = [*encoder_rows(config.num_attention_heads), *dense_rows("pooler", _POOLER), *head_rows]
    if any(isinstance(row, Row) and row.theirs.startswith(_HEAD_LOGITS) for row in head_rows):
        rows += dense_rows("pooler", _HEAD_POOLER)  # the head's own, beside the encoder's
    tensors = export_rows(parts.all, rows, parts.dtype)
    prefix = folder / checkpoints.PREFIX
    checkpoints.write_rest(parts, config, folder)
    with checkpoints.written(prefix):
        _write(tensors, config.num_hidden_layers, prefix)
    return export_audit(parts.all, rows, str(prefix), parts.dtype, config_changes=changes)


def encoder_rows(heads: int) -> list[Row]:
    """Return where an encoder's weights are, its pooler apart.  Source: bert_encoder.py, transformer_encoder_block.py.

    A projection to or from the heads has an axis for them: [D,heads,size] or [heads,size,D], its bias [heads,size].
    """
    into = split_heads(heads)
    layer, attention = "encoder/_transformer_layers/{i}", "encoder/_transformer_layers/{i}/_attention_layer"
    return [
        Row("embeddings/token/embeddings", _TOKENS),
        Row("embeddings/position/embeddings", "encoder/_position_embedding_layer/embeddings"),
        Row("embeddings/segment/embeddings", "encoder/_type_embedding_layer/embeddings"),
        *norm_rows("embeddings/norm", "encoder/_embedding_norm_layer"),
        *dense_rows("block_{i}/attention/query", f"{attention}/_query_dense", into, into),
        *dense_rows("block_{i}/attention/key", f"{attention}/_key_dense", into, into),
        *dense_rows("block_{i}/attention/value", f"{attention}/_value_dense", into, into),
        *dense_rows("block_{i}/attention/output", f"{attention}/_output_dense", split_heads_in(heads)),
        *norm_rows("block_{i}/attention_norm", f"{layer}/_attention_layer_norm"),
        *dense_rows("block_{i}/inner", f"{layer}/_intermediate_dense"),
        *dense_rows("block_{i}/outer", f"{layer}/_output_dense"),
        *norm_rows("block_{i}/output_norm", f"{layer}/_output_layer_norm"),
    ]


def _plain(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the config without the two keys that Model Garden's own BertConfig adds to Google's."""
    size = values.get("embedding_size")
    if size is not None and size != values.get("hidden_size", size):
        raise ConfigError(
            f"{where}: embedding_size is {size}, but hidden_size {values['hidden_size']}: its embeddings are"
            " factorised, which plain BERT has no place for."
        )
    return {name: value for name, value in values.items() if name not in ("embedding_size", "backward_compatible")}


def _spellings(path: str, layers: int) -> Iterator[str]:
    """Yield the ways from the root that may lead to the tensor of that name."""
    for ours, places in _PLACES.items():
        for place in places if path.startswith(ours) else ():
            yield place + path.removeprefix(ours)
            if ours == "encoder/":
                yield place + _numbered(path.removeprefix(ours), layers)


def _numbered(path: str, layers: int) -> str:
    """Return a path within an encoder with its layer's number for its name."""
    name, rest = path.split("/", 1)
    if name == "_transformer_layers":
        i, rest = rest.split("/", 1)
        return f"{_NUMBERED}{len(_LAYERS) + int(i)}/{rest}"
    return f"{_NUMBERED}{_LAYERS.index(name) if name in _LAYERS else len(_LAYERS) + layers}/{rest}"


def _escaped(name: str) -> str:
    """Return an attribute's name as TensorFlow spells it in a path."""
    return name.replace(".", "..").replace("/", ".S")


def _write(tensors: Mapping[str, np.ndarray], layers: int, prefix: Path) -> None:
    """Write tensors as the attributes of a tree of objects, each under all names that the real classes have for it."""
    import tensorflow as tf

    root = tf.Module()
    for name, tensor in tensors.items():
        part, rest = name.split("/", 1)
        *path, last = f"{part}/{_numbered(rest, layers) if part == 'encoder' else rest}".split("/")
        node = root
        for attribute in path:
            if not hasattr(node, attribute):
                setattr(node, attribute, tf.Module())
            node = getattr(node, attribute)
        setattr(node, last, tf.Variable(tensor, trainable=False))
    encoder, blocks = root.encoder, tf.Module()
    named = dict(enumerate([*_LAYERS, *(str(i) for i in range(layers)), "_pooler_layer"]))
    for number, name in named.items():
        if hasattr(encoder, f"{_NUMBERED}{number}"):
            setattr(blocks if name.isdigit() else encoder, name, getattr(encoder, f"{_NUMBERED}{number}"))
    encoder._transformer_layers = blocks
    items, model = {"encoder": encoder}, tf.Module()
    model.encoder_network = encoder
    if hasattr(root, _MASKED_LM):
        masked = tf.Module()
        masked.embedding_table = encoder._embedding_layer.embeddings
        masked.dense, masked.layer_norm = root.masked_lm.dense, root.masked_lm.layer_norm
        setattr(masked, "output_bias/bias", root.masked_lm.bias)
        masked.bias = root.masked_lm.bias
        items["masked_lm"] = model.masked_lm = masked
    if hasattr(root, "next_sentence"):
        model.classification_heads = tf.Module()
        setattr(model.classification_heads, "0", root.next_sentence)
        items["next_sentence.pooler_dense"] = root.next_sentence.dense
    checkpoint = tf.train.Checkpoint(**items, model=model if len(items) > 1 else encoder)
    _ = checkpoint.save_counter  # made when it is asked for; `save` writes one, and what restores wants to find it
    checkpoint.write(str(prefix))
