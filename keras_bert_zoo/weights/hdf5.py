"""Files of named tensors as Keras writes its weights: HDF5, a group for each layer and `vars` in it."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path

import h5py
import ml_dtypes
import numpy as np

from keras_bert_zoo.errors import CheckpointError
from keras_bert_zoo.files import new_file
from keras_bert_zoo.weights.rows import Shape

# Keras 2.13 called the group so; Keras 3's own reader looks there too.
_OLD_LAYERS, _LAYERS = "_layer_checkpoint_dependencies/", "layers/"
_BFLOAT16 = "bfloat16"  # HDF5 has no word for it: Keras stores two bytes and says so in an attribute "dtype"


class H5Tensors:
    """Reads the tensors of HDF5 files one at a time.  A tensor's name is its file's prefix and its path in there.

    Raises: CheckpointError where a file is damaged, or speaks of tensors that lie in other files.
    """

    def __init__(self, where: Path, files: Mapping[str, Path]) -> None:
        self.where = str(where)
        self._tensors: dict[str, h5py.Dataset] = {}
        for prefix, path in files.items():
            for name, tensor in _tensors(path).items():
                if name.startswith(_OLD_LAYERS):
                    name = _LAYERS + name.removeprefix(_OLD_LAYERS)
                self._tensors[f"{prefix}/{name}"] = tensor

    def names(self) -> Iterable[str]:
        """Return the names of all tensors."""
        return self._tensors.keys()

    def shape(self, name: str) -> Shape:
        """Return a tensor's shape without reading it."""
        return tuple(self._tensors[name].shape)

    def dtype(self, name: str) -> str:
        """Return a tensor's dtype without reading it."""
        tensor = self._tensors[name]
        return _BFLOAT16 if tensor.attrs.get("dtype") == _BFLOAT16 else tensor.dtype.name

    def read(self, name: str) -> np.ndarray:
        """Read one tensor.  Raises: CheckpointError where the file is damaged there."""
        try:
            value = np.asarray(self._tensors[name][()])
        except OSError as cause:
            raise CheckpointError(f"{self.where}: '{name}' cannot be read: {cause}. Fetch the file again.") from cause
        return value.view(ml_dtypes.bfloat16) if self.dtype(name) == _BFLOAT16 else value


def write_h5(tensors: Mapping[str, np.ndarray], path: Path) -> None:
    """Write arrays to a file under their paths, aside first, so that the name never shows half of it.

    The file is made in memory: where the disk is full, HDF5 itself may take the whole process down.
    """
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        for name, value in tensors.items():
            tensor = file.create_dataset(name, data=value)
            if value.dtype == ml_dtypes.bfloat16:
                tensor.attrs["dtype"] = _BFLOAT16
    with new_file(path) as aside:
        aside.write_bytes(memory.getbuffer())


def _tensors(path: Path) -> dict[str, h5py.Dataset]:
    found: dict[str, h5py.Dataset] = {}

    def visit(name: str, item: h5py.HLObject) -> None:  # links to other places are not followed
        if isinstance(item, h5py.Dataset):
            found[name] = item

    try:
        h5py.File(path, "r").visititems(visit)
        elsewhere = [name for name, tensor in found.items() if tensor.is_virtual or tensor.external]
    except (OSError, RuntimeError, KeyError, ValueError) as cause:  # what h5py raises depends on where it is damaged
        size = path.stat().st_size
        raise CheckpointError(
            f"{path} ({size} bytes) cannot be read: {cause}. It is cut off or no HDF5 file: fetch it again."
        ) from cause
    if elsewhere:
        raise CheckpointError(f"{path}: '{elsewhere[0]}' lies in another file, and that is not followed.")
    return found
