"""An export on this machine, asked in this process as a server would ask it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_bert_zoo.errors import ExportError
from keras_bert_zoo.serving.answerer import Answerer
from keras_bert_zoo.serving.figures import FILE
from keras_bert_zoo.serving.interface import Metadata, Signature, Tensor

MODEL_FILE = "saved_model.pb"


def version_folder(folder: str | Path) -> Path | None:
    """Return the folder of one version: this one, or the highest in a model's folder; None where there is neither."""
    folder = Path(folder).expanduser()
    if (folder / MODEL_FILE).is_file():
        return folder
    if not folder.is_dir():
        return None
    numbers = [int(path.name) for path in folder.iterdir() if path.name.isdecimal() and (path / MODEL_FILE).is_file()]
    return folder / str(max(numbers)) if numbers else None


def zoo_folder(source: str | Path) -> Path | None:
    """Return the version's folder that a source means if it is an export of ours, by what `kbz export` leaves in it."""
    folder = version_folder(source)
    return folder if folder is not None and (folder / FILE).is_file() else None


class Exported(Answerer):
    """A version's folder, or the highest version in a model's folder; asked with what a server's `Client` is asked.

    Raises: ExportError where there is no SavedModel, or it cannot be loaded.
    """

    def __init__(self, folder: str | Path) -> None:
        import tensorflow as tf
        import tensorflow_text  # noqa: F401  (registers the tokenizer's operations)

        found = version_folder(folder)
        if found is None:
            raise ExportError(f"{folder}: no {MODEL_FILE} here, nor in a folder whose name is a version.")
        self.folder = found
        try:
            self._model: Any = tf.saved_model.load(str(found))
        except (tf.errors.OpError, OSError, ValueError, AttributeError) as error:
            raise ExportError(f"{found}: this SavedModel cannot be loaded ({error!s:.300}). Export it again.") from None
        if "serving_default" not in self._model.signatures:
            raise ExportError(f"{found}: there is no signature 'serving_default', so it answers no texts.")
        version = int(found.name) if found.name.isdecimal() else 0
        self._metadata = Metadata(
            version, {name: _signature(name, each) for name, each in self._model.signatures.items()}
        )

    def __str__(self) -> str:
        return str(self.folder)

    @property
    def metadata(self) -> Metadata:
        """Its version, 0 where its folder's name is no number, and its signatures."""
        return self._metadata

    def ask(self, signature: Signature, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs of a signature for one batch of arrays.  Raises: ExportError where the graph refuses."""
        import tensorflow as tf

        feed = {
            name: tf.constant(values.tolist(), signature.inputs[name].dtype, shape=values.shape)
            for name, values in inputs.items()
        }
        try:
            outputs = self._model.signatures[signature.name](**feed)
        except tf.errors.OpError as error:
            raise ExportError(f"{self.folder}: the signature '{signature.name}' failed: {error.message:.300}") from None
        return {name: values.numpy() for name, values in outputs.items()}


def _signature(name: str, function: Any) -> Signature:
    given = function.structured_input_signature[1]
    got = function.structured_outputs
    return Signature(name, "predict", *({key: _tensor(each) for key, each in side.items()} for side in (given, got)))


def _tensor(spec: Any) -> Tensor:
    shape = () if spec.shape.rank is None else tuple(spec.shape.as_list())
    return Tensor(spec.dtype.name, shape)
