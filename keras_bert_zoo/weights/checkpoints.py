"""TensorFlow checkpoints in a folder, and what lies beside them.  Google's two formats, TF1 and Model Garden, share it.

A checkpoint is `<prefix>.index` and its shards `<prefix>.data-00000-of-00001`.  One of TF1 knows its tensors by name
alone; one of TF2 also holds the graph of the objects they belong to, as a tensor named `GRAPH`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.errors import CheckpointError, ConfigError
from keras_bert_zoo.files import read_json
from keras_bert_zoo.weights.formats import Parts
from keras_bert_zoo.weights.rows import Shape

CONFIG, VOCABULARY, PREFIX, STATE = "bert_config.json", "vocab.txt", "bert_model.ckpt", "checkpoint"
GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
KINDS = {"tf1": "tensors by name, as TF1 writes them", "model_garden": "a graph of objects, as TF2 writes them"}
# What bert_config.json has a word for; Google's code fixes epsilon.  Source: modeling.py get_activation, layer_norm.
KNOWN: Mapping[str, tuple[Any, ...]] = {
    "hidden_act": ("gelu_tanh", "relu", "tanh", "linear"),
    "layer_norm_eps": (1e-12,),
}
_SHARD = re.compile(r"(.+)\.data-\d{5}-of-(\d{5})")


class Checkpoint:
    """Reads a checkpoint's tensors one at a time; its files are checked for their length at once.

    Raises: CheckpointError where a file is missing or damaged; so does `read`, which compares checksums.
    """

    def __init__(self, prefix: Path) -> None:
        import tensorflow as tf

        self.where = str(prefix)
        self._damage = (tf.errors.OpError, IndexError)
        if set("*?[\\") & set(prefix.as_posix()):
            raise CheckpointError(f"{prefix}: TensorFlow takes *, ?, [ and \\ in a path for a pattern. Rename it.")
        try:
            self._reader = tf.train.load_checkpoint(self.where)
            self._shapes = self._reader.get_variable_to_shape_map()
            self._dtypes = self._reader.get_variable_to_dtype_map()
        except self._damage as cause:
            raise self._damaged(cause) from cause
        shards = _shards(prefix)
        if not shards or len(shards) != int(shards[0].name[-5:]):
            there = ", ".join(path.name for path in shards) or "none"
            raise CheckpointError(f"{prefix}: some of its .data files are missing (there: {there}). Fetch them again.")
        got, want = sum(path.stat().st_size for path in shards), sum(map(self._bytes, self._shapes))
        if got < want:
            raise CheckpointError(
                f"{prefix}: its .data files have {got} bytes, the index speaks of {want}: they are cut off. Fetch them"
                " again."
            )

    @property
    def has_graph(self) -> bool:
        """Whether it is one of objects, as TF2 writes it."""
        return GRAPH in self._shapes

    def names(self) -> Iterable[str]:
        """Return the names of all tensors."""
        return self._shapes.keys()

    def shape(self, name: str) -> Shape:
        """Return a tensor's shape without reading it."""
        return tuple(self._shapes[name])

    def dtype(self, name: str) -> str:
        """Return a tensor's dtype, in NumPy's words, without reading it."""
        return self._dtypes[name].name

    def read(self, name: str) -> Any:
        """Read one tensor, of strings as bytes.  Raises: CheckpointError where it is damaged."""
        try:
            return self._reader.get_tensor(name)
        except self._damage as cause:
            raise self._damaged(cause) from cause

    def _bytes(self, name: str) -> int:
        if self.dtype(name) == "string":
            return len(self.read(name)) if not self.shape(name) else 0
        return int(np.prod(self._shapes[name], dtype=np.int64)) * self._dtypes[name].size

    def _damaged(self, cause: Exception) -> CheckpointError:
        return CheckpointError(f"{self.where} cannot be read: {cause}. Its files are damaged: fetch them again.")


class Renamed:
    """A checkpoint's tensors by other names: a table of name -> key in the file."""

    def __init__(self, file: Checkpoint, keys: Mapping[str, str]) -> None:
        self.where = file.where
        self._file, self._keys = file, keys

    def names(self) -> Iterable[str]:
        """Return the names of all tensors."""
        return self._keys.keys()

    def shape(self, name: str) -> Shape:
        """Return a tensor's shape without reading it."""
        return self._file.shape(self._keys[name])

    def dtype(self, name: str) -> str:
        """Return a tensor's dtype, in NumPy's words, without reading it."""
        return self._file.dtype(self._keys[name])

    def read(self, name: str) -> np.ndarray:
        """Read one tensor."""
        return self._file.read(self._keys[name])


def graph_nodes(file: Checkpoint) -> Any:
    """Return the nodes of the graph of objects that a checkpoint of TF2 holds."""
    from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

    return TrackableObjectGraph.FromString(file.read(GRAPH)).nodes


def belongs(folder: Path, format: str) -> bool:
    """Say whether a checkpoint in a folder is of the kind of that format, by whether it holds a graph of objects."""
    return any(Checkpoint(prefix).has_graph == (format == "model_garden") for prefix in _prefixes(folder))


def open_checkpoint(folder: Path, format: str) -> tuple[Checkpoint, dict[str, Any], str]:
    """Open the one checkpoint of a folder, or of several the one that its file `checkpoint` names.

    Returns it with the parsed `bert_config.json` and that file's path.
    Raises: CheckpointError where there is none, where it is not told which, or where it is of the other kind;
    ConfigError where there is no `bert_config.json`, or none that can be read.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: there is no such folder.")
    checkpoint = Checkpoint(_chosen(folder))
    kind = "model_garden" if checkpoint.has_graph else "tf1"
    if kind != format:
        raise CheckpointError(
            f"{checkpoint.where} holds {KINDS[kind]}, not {KINDS[format]}. Open it with format='{kind}'."
        )
    return checkpoint, read_json(folder / CONFIG, ConfigError), str(folder / CONFIG)


def write_rest(parts: Parts, config: BertConfig, folder: Path) -> None:
    """Write what lies beside a checkpoint: `bert_config.json` and `vocab.txt`."""
    (folder / CONFIG).write_text(json.dumps(config.to_google(), indent=2) + "\n", encoding="utf-8")
    parts.tokenizer.save_vocabulary(folder / VOCABULARY)


@contextmanager
def written(prefix: Path) -> Iterator[None]:
    """Write a checkpoint within the block, from main memory.  Raises: OSError where TensorFlow cannot."""
    import tensorflow as tf

    try:
        with tf.device("CPU"):
            yield
    except tf.errors.OpError as cause:
        raise OSError(f"{prefix.name}: {cause.message}") from cause


def _prefixes(folder: Path) -> list[Path]:
    """Return the prefixes that have an index and a shard; other programs have files named *.index too."""
    found = sorted(path.with_suffix("") for path in folder.glob("*.index")) if folder.is_dir() else []
    return [prefix for prefix in found if _shards(prefix)]


def _shards(prefix: Path) -> list[Path]:
    matches = ((path, _SHARD.fullmatch(path.name)) for path in sorted(prefix.parent.iterdir()))
    return [path for path, match in matches if match and match[1] == prefix.name]


def _chosen(folder: Path) -> Path:
    import tensorflow as tf

    found = _prefixes(folder)
    if (folder / STATE).is_file():
        state = tf.train.get_checkpoint_state(str(folder))
        if state is None:
            raise CheckpointError(f'{folder / STATE} cannot be read. It should say model_checkpoint_path: "<prefix>".')
        chosen = folder / Path(state.model_checkpoint_path).name  # the path may be of where it was written
        if chosen not in found:
            raise CheckpointError(
                f"{folder / STATE} names {chosen.name}, but that is not there. There:"
                f" {_listed(found) or 'no checkpoint'}."
            )
        return chosen
    if not found:
        raise CheckpointError(f"{folder} has no checkpoint: no <prefix>.index with its <prefix>.data-00000-of-00001.")
    if len(found) > 1:
        raise CheckpointError(
            f"{folder} has several checkpoints: {_listed(found)}. Leave one, or name it in a file '{STATE}':"
            f' model_checkpoint_path: "{found[-1].name}".'
        )
    return found[0]


def _listed(prefixes: Iterable[Path]) -> str:
    return ", ".join(prefix.name for prefix in prefixes)
