"""Files of named tensors in the safetensors format: one file, or several with an index."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from huggingface_hub import split_state_dict_into_shards_factory

from keras_bert_zoo.errors import CheckpointError, ConfigError
from keras_bert_zoo.files import new_file, read_json
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
        elif any((self._folder / name).is_file() for name in (PICKLE, f"{PICKLE}.index.json")):
            raise CheckpointError(
                f"{self._folder} has only {PICKLE}, a pickle, and reading a pickle runs any code that is in it. Where"
                " you trust it, convert it; in an environment with torch and safetensors this does:"
                f" {_convert_command(self._folder)}"
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
        try:
            safetensors.numpy.save_file(dict(tensors), aside, metadata={"format": "pt"})
        except safetensors.SafetensorError as cause:  # a full disk is told so
            raise OSError(f"{path}: {cause}") from cause


def write_shards(tensors: Mapping[str, np.ndarray], folder: Path, max_shard_size: int | str) -> Path:
    """Write arrays in their order to files of at most so many bytes, with an index, and return the index's path.

    One file that holds them all has no index.  Raises: ConfigError on a size that is none.
    Source: huggingface_hub's own split, which transformers uses; transformers modeling_utils.py, `save_pretrained`.
    """
    try:
        split = split_state_dict_into_shards_factory(
            dict(tensors),
            get_storage_size=lambda tensor: tensor.nbytes,
            filename_pattern=WEIGHTS.replace(".safetensors", "{suffix}.safetensors"),
            max_shard_size=max_shard_size,
        )
    except (ValueError, AttributeError, TypeError):
        split = None
    if split is None or (isinstance(max_shard_size, int) and max_shard_size < 1):
        raise ConfigError(f"max_shard_size is {max_shard_size!r}, write bytes or a size such as 500MB or 5GB.")
    for name, members in split.filename_to_tensors.items():
        write_safetensors({member: tensors[member] for member in members}, folder / name)
    if not split.is_sharded:
        return folder / WEIGHTS
    metadata = {"total_parameters": sum(tensor.size for tensor in tensors.values()), **split.metadata}
    index = {"metadata": metadata, "weight_map": split.tensor_to_filename}
    with new_file(folder / INDEX) as aside:
        aside.write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return folder / INDEX


def _convert_command(folder: Path) -> str:
    """Return the command that makes `model.safetensors` of a folder's pickles, to be typed in a shell."""
    code = (
        "import sys, pathlib, torch, safetensors.torch as s; f = pathlib.Path(sys.argv[1]);"
        " w = {n: t.contiguous().clone() for p in sorted(f.glob('pytorch_model*.bin'))"
        " for n, t in torch.load(p, map_location='cpu', weights_only=True).items()};"
        f" s.save_file(w, f / '{WEIGHTS}', metadata={{'format': 'pt'}})"
    )
    return f'python -c "{code}" {shlex.quote(str(folder))}'


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
