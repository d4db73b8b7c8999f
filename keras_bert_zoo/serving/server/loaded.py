"""One version of a model in memory, and how it is asked: by a session, TensorFlow Serving's own way."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  (registers the tokenizer's operations)
from tensorflow.core.protobuf import config_pb2

from keras_bert_zoo.serving.json_values import DTYPES, Spec
from keras_bert_zoo.serving.server.refusals import CODES, Refused

_INIT = "__saved_model_init_op"  # among the signatures, but none
_PLACES = re.compile(r"\{\{[^}]*\}\}\s*")
_ROW_NUMBERS = "owner"  # an output of numbers of the request's rows
_EXAMPLES = {"inputs", "examples"}  # inputs of serialised tf.Example


class Signature(NamedTuple):
    """A signature: its method, the specs of its tensors by name, and the tensors' names in the graph."""

    method: str
    inputs: dict[str, Spec]
    outputs: dict[str, Spec]
    input_tensors: dict[str, str]
    output_tensors: dict[str, str]
    padded: tuple[str, ...]  # outputs whose second axis is as long as a batch's longest row
    joins: bool  # requests may be asked in one batch: their rows, and whose padding is whose, can be told apart


class Loaded:
    """A version in memory.  It is held by whoever asks it, and leaves memory when it is retired and nobody holds it.

    `timeout` is the number of seconds after which a run is given up.
    Raises: what TensorFlow raises for a folder that is no SavedModel, or a damaged one.
    """

    def __init__(self, name: str, version: int, folder: Path, timeout: float) -> None:
        self.name, self.version, self.folder = name, version, folder
        graph = tf.Graph()
        self._timeout = int(timeout * 1000)
        self._session = tf.compat.v1.Session(graph=graph)
        self._lock = threading.Lock()
        self._holders, self._retired, self._closed = 0, False, False
        self._runs: dict[str, Any] = {}
        try:
            with graph.as_default():
                read = tf.compat.v1.saved_model.loader.load(self._session, ["serve"], str(folder))
            self.definitions = dict(read.signature_def.items())
            self.signatures = {key: _signature(value) for key, value in self.definitions.items() if key != _INIT}
        except BaseException:
            self._session.close()
            raise

    def signature(self, name: str) -> Signature:
        """Return a signature.  Raises: Refused where there is none of that name."""
        if name not in self.signatures:
            raise Refused("INVALID_ARGUMENT", f'Serving signature name: "{name}" not found in signature def')
        return self.signatures[name]

    def run(self, name: str, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Answer with a signature: every output by name.  Raises: Refused with the model's own reason."""
        signature = self.signatures[name]
        if name not in self._runs:  # made anew by two threads at most
            options = config_pb2.CallableOptions(
                feed=signature.input_tensors.values(), fetch=signature.output_tensors.values()
            )
            options.run_options.timeout_in_ms = self._timeout
            # The public `make_callable` takes a tenth of a millisecond more to tell what it is fed.
            self._runs[name] = self._session._make_callable_from_options(options)
        try:
            found = self._runs[name](*(tensors[key] for key in signature.inputs))
        except tf.errors.OpError as error:
            said = error.__context__  # before TensorFlow has added where in the graph it was
            message = said.message if isinstance(said, tf.errors.OpError) else error.message
            raise Refused(CODES[error.error_code], _first_line(message)) from error
        except UnicodeDecodeError as error:  # a reason that quotes bytes of the input
            raise Refused("INVALID_ARGUMENT", _first_line(error.object.decode("utf-8", "replace"))) from error
        return dict(zip(signature.outputs, map(np.asarray, found), strict=True))

    def hold(self) -> bool:
        """Keep the version in memory until `release`; false where it has left."""
        with self._lock:
            if self._closed:
                return False
            self._holders += 1
            return True

    def release(self) -> None:
        """Let go of what `hold` has given."""
        with self._lock:
            self._holders -= 1
        self._leave()

    def retire(self) -> None:
        """Have the version leave memory as soon as nobody holds it."""
        with self._lock:
            self._retired = True
        self._leave()

    @property
    def closed(self) -> bool:
        """Whether the version has left memory."""
        return self._closed

    def _leave(self) -> None:
        """Leave memory, once, where nobody needs the version any more."""
        with self._lock:
            leaving = self._retired and not self._holders and not self._closed
            self._closed = self._closed or leaving
        if leaving:
            self._runs.clear()
            self._session.close()


def _signature(definition: Any) -> Signature:
    inputs = {name: _spec(definition.inputs[name]) for name in sorted(definition.inputs)}
    outputs = {name: _spec(definition.outputs[name]) for name in sorted(definition.outputs)}
    padded = tuple(name for name, spec in outputs.items() if spec.shape and None in spec.shape[1:2])
    return Signature(
        definition.method_name,
        inputs,
        outputs,
        {name: definition.inputs[name].name for name in inputs},
        {name: definition.outputs[name].name for name in outputs},
        padded,
        _joins(inputs, outputs, padded),
    )


def _joins(inputs: Mapping[str, Spec], outputs: Mapping[str, Spec], padded: Sequence[str]) -> bool:
    """Whether requests may share a batch, so that each gets what it would get alone."""
    shapes = [spec.shape for spec in (*inputs.values(), *outputs.values())]
    if not inputs or _ROW_NUMBERS in outputs or not all(shape and shape[0] is None for shape in shapes):
        return False
    told = any(outputs[name].dtype == "DT_STRING" for name in padded)  # empty strings tell what is padding
    if any(len(spec.shape or ()) > 1 for spec in inputs.values()):
        return not told  # the axis is the inputs' own, only equal ones are joined, and an empty string is no padding
    return not padded or (told and not inputs.keys() <= _EXAMPLES)  # an example's empty strings may be its own


def _spec(info: Any) -> Spec:
    from tensorflow.core.framework import types_pb2

    shape = info.tensor_shape
    sizes = None if shape.unknown_rank else tuple(None if axis.size < 0 else axis.size for axis in shape.dim)
    return Spec(types_pb2.DataType.Name(info.dtype), sizes)


def _first_line(message: str) -> str:
    """Return what a person can use of TensorFlow's message: the rest are places in the graph."""
    return _PLACES.sub("", message.strip().split("\n")[0])


def check_tensors(signature: Signature, tensors: Mapping[str, np.ndarray], most_rows: int) -> int | None:
    """Return the number of rows of a request, None where the inputs have not all the same.

    Raises: Refused where inputs are missing or strange, or have another type, rank or size than the signature says.
    """
    missing, extra = signature.inputs.keys() - tensors.keys(), tensors.keys() - signature.inputs.keys()
    if missing or extra:
        raise Refused(
            "INVALID_ARGUMENT",
            f"input size does not match signature: {len(tensors)}!={len(signature.inputs)}."
            f" Sent extra: {{{','.join(sorted(extra))}}}. Missing but required: {{{','.join(sorted(missing))}}}.",
        )
    for name, spec in signature.inputs.items():
        array = tensors[name]
        if array.dtype != DTYPES.get(spec.dtype):
            raise Refused("INVALID_ARGUMENT", f"input '{name}' is {array.dtype}, expected: {spec.dtype}")
        if spec.shape is not None and not _fits(array.shape, spec.shape):
            wanted = ",".join("?" if size is None else str(size) for size in spec.shape)
            got = ",".join(map(str, array.shape))
            raise Refused("INVALID_ARGUMENT", f"input '{name}' has shape [{got}], expected: [{wanted}]")
    sizes = {array.shape[0] if array.ndim else None for array in tensors.values()}
    if signature.joins and len(sizes) > 1:
        raise Refused("INVALID_ARGUMENT", f"inputs have different numbers of rows: {sorted(map(str, sizes))}")
    rows = sizes.pop() if len(sizes) == 1 else None
    if rows is not None and rows > most_rows:
        raise Refused("INVALID_ARGUMENT", f"{rows} rows in one request, at most {most_rows} are taken. Send several.")
    if rows == 0:
        raise Refused("INVALID_ARGUMENT", "Input is empty.")
    return rows


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(want in (None, size) for size, want in zip(shape, wanted, strict=True))
