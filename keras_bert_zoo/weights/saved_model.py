"""Encoders as SavedModels in TF Hub's layout for text: those of TF Model Garden's exporter and our own, read.

A folder is `saved_model.pb`, `variables/` and `assets/`; nothing of its graph is run.  Weights are found by the names
of their variables, which are the same in all that Model Garden's exporter wrote since 2020; so are their shapes.
Writing one takes a graph: `kbz export SOURCE --as encoder`.
"""

from __future__ import annotations

import collections
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.errors import CheckpointError, ConfigError
from keras_bert_zoo.files import read_json
from keras_bert_zoo.weights.checkpoints import Checkpoint, Renamed, graph_nodes
from keras_bert_zoo.weights.formats import Opened, Parts
from keras_bert_zoo.weights.rows import Row, dense_rows, norm_rows, split_heads, split_heads_in
from keras_bert_zoo.weights.transfer import Audit

MODEL, VARIABLES, ASSETS, OURS = "saved_model.pb", "variables/variables", "assets", "zoo.json"
LOWER, VOCABULARY = "do_lower_case", "vocab_file"  # attributes of the model itself, beside its weights
_TOKENS, _POOLER, _MASKED_LM = "word_embeddings/embeddings", "pooler_transform", "cls/predictions/output_bias/bias"
_POSITIONS, _TYPES = "position_embedding/embeddings", "type_embeddings/embeddings"
_HEADS = "cls/predictions/"
_LAYER = "transformer/layer_{i}"
_QUERY, _INNER = "transformer/layer_0/self_attention/query/kernel", "transformer/layer_0/intermediate/kernel"
# The operation by which an activation shows in a graph; without any of them it is Google's GELU, the tanh form.
_ACTIVATIONS = {"Erf": "gelu_erf", "Erfc": "gelu_erf", "Relu": "relu", "Sigmoid": "silu"}


class NamedVariables(Renamed):
    """The variables of a SavedModel by their own names, without the name of the model that comes before some."""

    def __init__(self, file: Checkpoint) -> None:
        nodes = graph_nodes(file)
        held = [a for node in nodes for a in node.attributes if a.name == "VARIABLE_VALUE"]
        often = collections.Counter(a.full_name for a in held)
        # what has no name of its own keeps the key that leads to it
        keys = {a.full_name if often[a.full_name] == 1 else a.checkpoint_key: a.checkpoint_key for a in held}
        children = {child.local_name: child.node_id for child in nodes[0].children} if nodes else {}
        flag = [a.checkpoint_key for a in nodes[children[LOWER]].attributes] if LOWER in children else []
        self.lower = bool(file.read(flag[0])) if flag else None
        # not weights: the flag, and how often a checkpoint was saved
        keys = {
            re.sub(f"^.*/(?={_HEADS})", "", name): key
            for name, key in keys.items()
            if file.dtype(key) not in ("bool", "int64")
        }
        before = [name.removesuffix(_TOKENS) for name in keys if name.endswith(_TOKENS)]
        if len(before) == 1:
            keys = {name.removeprefix(before[0]): key for name, key in keys.items()}
        super().__init__(file, keys)


def belongs(folder: Path) -> bool:
    """Say whether a folder is of this format: it holds a SavedModel."""
    return (folder / MODEL).is_file()


def open_folder(folder: Path) -> Opened:
    """Open a folder.

    Our own exports say their config and their tokenizer's settings in `zoo.json`.  Elsewhere sizes are those of the
    tensors, the activation is told by the graph's operations, epsilon is 1e-12 as in Model Garden's BertEncoder, and
    dropouts are BERT's 0.1; the model says itself whether it lower-cases and has its vocabulary as an asset.

    Raises: CheckpointError where a file is missing or damaged, or holds no BERT encoder; ConfigError where `zoo.json`
    is broken or the graph has several activations.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: there is no such folder.")
    if not (folder / MODEL).is_file():
        raise CheckpointError(f"{folder} has no {MODEL}: it is no SavedModel.")
    if not (folder / f"{VARIABLES}.index").is_file():
        raise CheckpointError(
            f"{folder} has {MODEL}, but no {VARIABLES}.index: its weights are missing. Copy the whole folder."
        )
    file = Checkpoint(folder / VARIABLES)
    if not file.has_graph:
        raise CheckpointError(f"{file.where} holds no graph of objects: it is a SavedModel of TF1, which is not read.")
    reader, graph = NamedVariables(file), _meta_graph(folder / MODEL)
    names = set(reader.names())
    lacking = [name for name in (_TOKENS, _POSITIONS, _TYPES, _QUERY, _INNER) if name not in names]
    if lacking:
        raise CheckpointError(
            f"{folder} is no BERT encoder in TF Hub's layout: it has no {', '.join(map(repr, lacking))}. A preprocessor"
            " holds no weights, and the export of a head cannot be read back: load the run it was made from."
        )
    ours = read_json(folder / OURS, ConfigError) if (folder / OURS).is_file() else {}
    told = "config" in ours
    config = BertConfig.from_dict(ours["config"]) if told else _config(reader, graph, folder / MODEL)
    vocabulary = _asset(graph, folder)
    return Opened(
        "saved_model",
        config,
        ours if told else config.to_dict(),
        str(folder / (OURS if told else MODEL)),
        reader,
        encoder_rows(config.num_attention_heads),
        head=("masked_lm", {}) if _MASKED_LM in names else None,
        vocabulary=vocabulary,
        switches={} if reader.lower is None else {"lower": reader.lower},
    )


def write_folder(parts: Parts, folder: Path, *, allow: Sequence[str] = ()) -> Audit:
    """Raises: ConfigError always: a SavedModel is a graph beside weights, which an export writes."""
    raise ConfigError(
        "The format 'saved_model' is written by an export: kbz export SOURCE --as encoder, or"
        " kbz.export_encoder(bundle, folder)."
    )


def encoder_rows(heads: int) -> list[Row]:
    """Return where an encoder's weights are.  Source: tf-models-official, bert_encoder.py and the layers it has.

    A projection to or from the heads has an axis for them: [D,heads,size] or [heads,size,D], its bias [heads,size].
    """
    into = split_heads(heads)
    attention = f"{_LAYER}/self_attention"
    return [
        Row("embeddings/token/embeddings", _TOKENS),
        Row("embeddings/position/embeddings", _POSITIONS),
        Row("embeddings/segment/embeddings", _TYPES),
        *norm_rows("embeddings/norm", "embeddings/layer_norm"),
        *dense_rows("block_{i}/attention/query", f"{attention}/query", into, into),
        *dense_rows("block_{i}/attention/key", f"{attention}/key", into, into),
        *dense_rows("block_{i}/attention/value", f"{attention}/value", into, into),
        *dense_rows("block_{i}/attention/output", f"{attention}/attention_output", split_heads_in(heads)),
        *norm_rows("block_{i}/attention_norm", f"{_LAYER}/self_attention_layer_norm"),
        *dense_rows("block_{i}/inner", f"{_LAYER}/intermediate"),
        *dense_rows("block_{i}/outer", f"{_LAYER}/output"),
        *norm_rows("block_{i}/output_norm", f"{_LAYER}/output_layer_norm"),
        *dense_rows("pooler", _POOLER),
    ]


def _meta_graph(path: Path) -> Any:
    """Return the MetaGraphDef of a file.  Raises: CheckpointError where it cannot be read."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    try:
        graphs = SavedModel.FromString(path.read_bytes()).meta_graphs
    except DecodeError as cause:
        raise CheckpointError(f"{path} cannot be read: {cause}. It is cut off or damaged: fetch it again.") from cause
    if len(graphs) != 1:
        raise CheckpointError(f"{path} holds {len(graphs)} graphs, a model of TF2 holds one. Fetch it again.")
    return graphs[0]


def _config(reader: NamedVariables, graph: Any, where: Path) -> BertConfig:
    """Return what tensors and operations tell of a model without our `zoo.json`."""
    names, query = set(reader.names()), reader.shape(_QUERY)
    if len(query) != 3:
        raise CheckpointError(f"{reader.where}: '{_QUERY}' is {list(query)}, it must be [hidden, heads, head size].")
    nodes = [*graph.graph_def.node, *(node for inner in graph.graph_def.library.function for node in inner.node_def)]
    acts = {_ACTIVATIONS[op] for op in {node.op for node in nodes} if op in _ACTIVATIONS} or {"gelu_tanh"}
    if len(acts) > 1:
        raise ConfigError(f"{where}: its graph has several activations: {', '.join(sorted(acts))}. Which is its own?")
    layers = [name for name in names if re.fullmatch(_QUERY.replace("_0/", r"_\d+/"), name)]
    (vocab_size, hidden_size), (positions, _), (types, _) = map(reader.shape, (_TOKENS, _POSITIONS, _TYPES))
    return BertConfig(
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        num_hidden_layers=len(layers),
        num_attention_heads=query[1],
        intermediate_size=reader.shape(_INNER)[-1],
        hidden_act=next(iter(acts)),
        max_position_embeddings=positions,
        type_vocab_size=types,
        pooler=f"{_POOLER}/kernel" in names,
    )


def _asset(graph: Any, folder: Path) -> Path:
    """Return the file of tokens that the model names, else the place where one may be put.

    Raises: CheckpointError where it names one outside its folder, or none and none is there.
    """
    nodes = graph.object_graph_def.nodes
    children = {child.local_name: child.node_id for child in nodes[0].children} if nodes else {}
    if VOCABULARY not in children:
        placed = folder / ASSETS / "vocab.txt"
        if not placed.is_file():
            raise CheckpointError(
                f"{folder}: the model names no vocabulary. Put the one of its preprocessor (assets/vocab.txt there) at"
                f" {placed}."
            )
        return placed
    number = nodes[children[VOCABULARY]].asset.asset_file_def_index
    name = graph.asset_file_def[number].filename
    if Path(name).name != name:
        raise CheckpointError(f"{folder / MODEL}: its vocabulary is {name!r}, which is no file name in {ASSETS}/.")
    return folder / ASSETS / name
