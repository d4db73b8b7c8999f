"""Hugging Face BERT folders: `config.json` and `model.safetensors`, read and written.

The tensors of a bare encoder (`BertModel`) have no prefix; under a head they start with `bert.`.  PyTorch keeps
dense kernels as [out,in], Keras as [in,out].
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.errors import CheckpointError, ConfigError
from keras_bert_zoo.files import new_file, read_json
from keras_bert_zoo.weights.formats import Opened, Parts, Weights
from keras_bert_zoo.weights.rows import TRANSPOSE, AnyRow, Constant, Row, Shape, Tied
from keras_bert_zoo.weights.tensors import WEIGHTS, SafetensorsFolder, write_safetensors, write_shards
from keras_bert_zoo.weights.transfer import Audit, common_dtype, export_audit, export_rows, import_rows

CONFIG = "config.json"
SHARDS = True
PREFIX = "bert."
_POSITIONS = "embeddings/position/embeddings"
_TOKENS = "embeddings.word_embeddings.weight"


def _dense(ours: str, theirs: str) -> tuple[Row, Row]:
    return Row(f"{ours}/kernel", f"{theirs}.weight", TRANSPOSE), Row(f"{ours}/bias", f"{theirs}.bias")


def _norm(ours: str, theirs: str) -> tuple[Row, Row]:
    return Row(f"{ours}/gamma", f"{theirs}.weight"), Row(f"{ours}/beta", f"{theirs}.bias")


def _position_ids(shapes: Mapping[str, Shape]) -> np.ndarray:
    return np.arange(shapes[_POSITIONS][0])[None]  # [1,positions]


# Source: transformers, models/bert/modeling_bert.py, the names of BertModel's parameters.
ROWS: tuple[AnyRow, ...] = (
    Row("embeddings/token/embeddings", _TOKENS),
    Row(_POSITIONS, "embeddings.position_embeddings.weight"),
    Row("embeddings/segment/embeddings", "embeddings.token_type_embeddings.weight"),
    *_norm("embeddings/norm", "embeddings.LayerNorm"),
    *_dense("block_{i}/attention/query", "encoder.layer.{i}.attention.self.query"),
    *_dense("block_{i}/attention/key", "encoder.layer.{i}.attention.self.key"),
    *_dense("block_{i}/attention/value", "encoder.layer.{i}.attention.self.value"),
    *_dense("block_{i}/attention/output", "encoder.layer.{i}.attention.output.dense"),
    *_norm("block_{i}/attention_norm", "encoder.layer.{i}.attention.output.LayerNorm"),
    *_dense("block_{i}/inner", "encoder.layer.{i}.intermediate.dense"),
    *_dense("block_{i}/outer", "encoder.layer.{i}.output.dense"),
    *_norm("block_{i}/output_norm", "encoder.layer.{i}.output.LayerNorm"),
    *_dense("pooler", "pooler.dense"),
    Constant("embeddings.position_ids", _position_ids),  # in files of transformers before 4.31
)
# Files older than transformers 1.0 keep TensorFlow's names of LayerNorm's two weights.
_OLD_NORM = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}


def belongs(folder: Path) -> bool:
    """Say whether a folder is of this format: it has a `config.json` that names no Keras class."""
    if not (folder / CONFIG).is_file():
        return False
    return not {"registered_name", "class_name"} & set(read_json(folder / CONFIG, ConfigError))


def open_folder(folder: Path) -> Opened:
    """Open a folder.  Its JSON does not say whether there is a pooler: it is the names of the tensors that decide.

    Raises: ConfigError where `config.json` is missing, broken or not a plain BERT's; CheckpointError where the
    tensors cannot be read or are not a BERT's.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: there is no such folder.")
    where = folder / CONFIG
    values = read_json(where, ConfigError)
    reader = SafetensorsFolder(folder)
    names, prefix = set(reader.names()), _prefix(reader)
    pooler = any(name.startswith(f"{prefix}pooler.") for name in names)
    config = BertConfig.from_huggingface(values, str(where), pooler=pooler)
    old = f"{prefix}embeddings.LayerNorm.gamma" in names

    def spelt(row: AnyRow) -> AnyRow:
        if isinstance(row, Tied):
            row = dataclasses.replace(row, source=row.source.replace(PREFIX, prefix))
        return _old_norm(row) if old else row

    return Opened(
        "huggingface", config, values, str(where), reader, [spelt(row) for row in _prefixed(prefix)], spelt=spelt
    )


def write_folder(parts: Parts, folder: Path, *, allow: Sequence[str] = ()) -> Audit:
    """Write config, weights and vocabulary as transformers writes them for the head's class; it can say every config.

    Raises: CheckpointError where a weight of the model has no row.
    """
    head = parts.head
    extra, architecture = ({}, "BertModel") if head is None else (head.huggingface_config(), head.architecture)
    whole = head is None or head.whole_encoder
    written = parts.all if whole else parts.used
    dtype = parts.dtype or common_dtype(weight.dtype for weight in written.weights)
    write_config(parts.config, folder, architecture=architecture, extra=extra, dtype=dtype)
    for name, values in ({} if head is None else head.files(parts.config, parts.max_length)).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    parts.tokenizer.save(folder)
    audit = write_weights(
        written,
        folder,
        head_rows=() if whole else head.rows("huggingface"),
        prefix=not whole,
        dtype=parts.dtype,
        max_shard_size=parts.max_shard_size,
    )
    # A class of transformers without a pooler has no place for ours, which its head does not read.
    left = {weight.path for weight in parts.all.weights} - {weight.path for weight in written.weights}
    return dataclasses.replace(audit, unused=tuple(sorted(left)))


def read_config(folder: str | os.PathLike[str]) -> tuple[BertConfig, Mapping[str, Any]]:
    """Return the encoder's config and the whole parsed `config.json` of a folder.  Raises: see `open_folder`."""
    opened = open_folder(Path(folder))
    return opened.config, opened.values


def tensor_names(folder: str | os.PathLike[str]) -> list[str]:
    """Return the names of all tensors in a folder, sorted.  Raises: CheckpointError where they cannot be read."""
    return sorted(SafetensorsFolder(folder).names())


def import_weights(
    model: keras.Model,
    folder: str | os.PathLike[str],
    *,
    head_rows: Sequence[AnyRow] = (),
    unused: Sequence[str] = (),
    missing: Sequence[str] = (),
) -> Audit:
    """Load a folder's tensors into an encoder, or into a task model together with the rows of its head.

    `unused` names by patterns the tensors that may be left over (`["cls.*"]`), `missing` the weights of the model
    that the folder may lack (`["head_*"]`).  Half precision is cast to what the model stores.

    Raises: CheckpointError, before anything has changed, listing all that does not fit.
    """
    _refuse_stranger(model)
    opened = open_folder(Path(folder))
    rows = [*opened.rows, *map(opened.spelt, head_rows)]
    return import_rows(model, opened.reader, rows, unused=unused, missing=missing)


def write_weights(
    model: keras.Model | Weights,
    folder: str | os.PathLike[str],
    *,
    head_rows: Sequence[AnyRow] = (),
    prefix: bool,
    dtype: str | None = None,
    max_shard_size: int | str | None = None,
) -> Audit:
    """Write `model.safetensors` with exactly the tensors that transformers writes for the same class.

    `prefix` says whether the encoder's names start with `bert.`: true for every class but `BertModel`.  The numbers
    keep the dtype the model stores unless `dtype` is given; `max_shard_size` see `write_shards`.

    Raises: CheckpointError where a weight of the model has no row; ConfigError on a size that is none.
    """
    _refuse_stranger(model)
    rows = [*_prefixed(PREFIX if prefix else ""), *head_rows]
    tensors = export_rows(model, rows, dtype)
    if max_shard_size is None:
        path = Path(folder) / WEIGHTS
        write_safetensors(tensors, path)
    else:
        path = write_shards({name: tensors[name] for name in sorted(tensors, key=_place)}, Path(folder), max_shard_size)
    return export_audit(model, rows, str(path), dtype)


def write_config(
    config: BertConfig,
    folder: str | os.PathLike[str],
    *,
    architecture: str,
    extra: Mapping[str, Any],
    dtype: str | None = None,
) -> None:
    """Write `config.json` for one class of transformers; `extra` are the head's own keys, such as `id2label`.

    Raises: ConfigError where `extra` contradicts what the encoder says.
    """
    kind = {"dtype": dtype, "torch_dtype": dtype} if dtype else {}  # the second is its name before transformers 4.56
    values = {"architectures": [architecture], **config.to_huggingface(), **kind}
    clash = sorted(name for name in extra if name in values and values[name] != extra[name])
    if clash:
        raise ConfigError(
            f"{Path(folder) / CONFIG}: {', '.join(clash)} would be {extra[clash[0]]!r}, but the model has"
            f" {values[clash[0]]!r}. Leave it out of `extra`."
        )
    text = json.dumps({**values, **extra}, indent=2, sort_keys=True, ensure_ascii=False)
    with new_file(Path(folder) / CONFIG) as aside:
        aside.write_text(text + "\n", encoding="utf-8")


def _prefixed(prefix: str) -> list[AnyRow]:
    return [dataclasses.replace(row, theirs=prefix + row.theirs) for row in ROWS]


def _place(name: str) -> tuple[int, int]:
    """Return where a tensor stands in transformers' own order: embeddings, layer by layer, the rest."""
    parts = name.removeprefix(PREFIX).split(".")
    if parts[:2] == ["encoder", "layer"]:
        return 1, int(parts[2])
    return (0, 0) if parts[0] == "embeddings" else (2, 0)


def _prefix(reader: SafetensorsFolder) -> str:
    names = set(reader.names())
    for prefix in (PREFIX, ""):
        if prefix + _TOKENS in names:
            return prefix
    raise CheckpointError(
        f"{reader.where}: neither '{PREFIX}{_TOKENS}' nor '{_TOKENS}' is in it, so these are not the weights of a BERT."
    )


def _old_norm(row: AnyRow) -> AnyRow:
    theirs = row.theirs
    for new, old in _OLD_NORM.items():
        theirs = theirs.replace(new, old)
    return dataclasses.replace(row, theirs=theirs)


def _refuse_stranger(model: keras.Model | Weights) -> None:
    if not any(variable.path == _POSITIONS for variable in model.weights):
        raise CheckpointError(f"Model '{model.name}' has no BERT encoder in it: make one with build_encoder.")
