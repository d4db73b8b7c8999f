"""Files of named tensors in the safetensors format: one file, or several with an index."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from keras_bert_zoo.errors import CheckpointError
from keras_bert_zoo.files import new_file
from keras_bert_zoo.weights.rows import Shape

WEIGHTS, INDEX, PICKLE = "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"
_LFS_POINTER = b"version https://git-lfs"

# Source: safetensors, format description, "dtype"
_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}


class SafetensorsFolder:
    """Reads the tensors of a folder one at a time; every file is opened, and so checked for its length, at once.

    Raises: CheckpointError where a file is missing, damaged, or not the one the index speaks of.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
        if not self._folder.is_dir():
            raise CheckpointError(f"{self._folder}: there is no such folder.")
        single, index = self._folder / WEIGHTS, self._folder / INDEX
        if single.is_file():
            self.where = str(single)
            file = _open(single)
            self._files = dict.fromkeys(file.keys(), file)
        elif index.is_file():
            self.where = str(index)
            self._files = self._shards(index)
        elif (self._folder / PICKLE).is_file():
            raise CheckpointError(
                f"{self._folder} has only {PICKLE}, a pickle, and reading a pickle runs any code that is in it."
                " Convert it where you trust it: torch.load(..., weights_only=True), then"
                f" safetensors.torch.save_file to {WEIGHTS}."
            )
        else:
            raise CheckpointError(f"{self._folder} has no weights: neither {WEIGHTS} nor {INDEX}.")

    def names(self) -> Iterable[str]:
        """Return the names of all tensors."""
        return self._files.keys()

    def shape(self, name: str) -> Shape:
        """Return a tensor's shape without reading it."""
        return tuple(self._files[name].get_slice(name).get_shape())

    def dtype(self, name: str) -> str:
        """Return a tensor's dtype without reading it, in NumPy's words where NumPy has one."""
        theirs = self._files[name].get_slice(name).get_dtype()
        return _DTYPES.get(theirs, theirs)

    def read(self, name: str) -> np.ndarray:
        """Read one tensor."""
        return self._files[name].get_tensor(name)

    def _shards(self, index: Path) -> dict[str, Any]:
        weight_map = read_json(index, CheckpointError).get("weight_map")
        if not isinstance(weight_map, dict) or not all(isinstance(shard, str) for shard in weight_map.values()):
            raise CheckpointError(f"{index}: 'weight_map' is not a table of tensor name -> file name.")
        outside = sorted({shard for shard in weight_map.values() if Path(shard).name != shard})
        if outside:
            raise CheckpointError(f"{index}: {', '.join(outside)} is not a file name in that folder.")
        shards = {shard: _open(self._folder / shard) for shard in dict.fromkeys(weight_map.values())}
        held = {(shard, name) for shard, file in shards.items() for name in file.keys()}  # noqa: SIM118
        said = {(shard, name) for name, shard in weight_map.items()}
        if held != said:
            wrong = ", ".join(f"'{name}' in {shard}" for shard, name in sorted(held ^ said))
            raise CheckpointError(f"{index}: the index and its files do not agree on {wrong}. Fetch all of them again.")
        return {name: shards[shard] for name, shard in weight_map.items()}


def write_safetensors(tensors: Mapping[str, np.ndarray], path: Path) -> None:
    """Write contiguous arrays to a file, aside first, so that the name never shows half of it."""
    with new_file(path) as aside:
        # The metadata is what transformers writes and asks for when it reads.
        safetensors.numpy.save_file(dict(tensors), aside, metadata={"format": "pt"})


def read_json(path: Path, error: type[Exception]) -> dict[str, Any]:
    """Return the JSON object in a file; what is wrong with it is raised as `error`."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise error(f"{path.parent} has no {path.name}.") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as cause:
        raise error(f"{path} cannot be read as JSON: {cause}.") from cause
    if not isinstance(values, dict):
        raise error(f"{path} holds a JSON {type(values).__name__}, an object was expected.")
    return values


def _open(path: Path) -> Any:
    try:
        return safetensors.safe_open(path, framework="np")
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing, though the index names it. Fetch it again.") from None
    except (OSError, safetensors.SafetensorError) as cause:
        hint = "It is cut off or no safetensors file: fetch it again."
        if path.is_file() and path.open("rb").read(len(_LFS_POINTER)) == _LFS_POINTER:
            hint = "It is only a pointer of Git LFS: run `git lfs pull` in that folder."
        raise CheckpointError(f"{path} ({path.stat().st_size} bytes) cannot be read: {cause}. {hint}") from cause
