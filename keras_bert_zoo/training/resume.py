"""Checkpoints of a training that goes on, after a kill, as if nothing had happened.

A checkpoint is one safetensors file, `step-000001200.safetensors`: every weight, every dropout's seed and every
variable of the optimizer, and in its metadata the step, what the caller keeps beside it, and a digest of all that.  It
is written aside and moved into place, so it is whole or not there.  Metrics are left out, unless the caller keeps them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import safetensors
import safetensors.numpy

from keras_bert_zoo.errors import CheckpointError
from keras_bert_zoo.files import new_file
from keras_bert_zoo.training.layouts import place_of

_NAME = "step-{:09d}.safetensors"
_NAMES = re.compile(r"step-(\d{9,})\.safetensors")
_FORMAT = "1"
_KEPT = "kept/"  # before the names of the caller's own arrays


@dataclasses.dataclass(frozen=True)
class Progress:
    """Where a training stands: updates done, and what the caller keeps beside the weights: JSON, and arrays by name."""

    step: int
    kept: dict[str, Any]
    arrays: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)


def be_deterministic(wanted: str) -> None:
    """Have TensorFlow give the same bits every time: "on", "off", or "auto": where there is no GPU."""
    import tensorflow as tf

    if wanted == "on" or (wanted == "auto" and not tf.config.list_physical_devices("GPU")):
        tf.config.experimental.enable_op_determinism()


def seeds(model: keras.Model) -> list[Any]:
    """Return the states of a model's generators of random numbers, in the order of its layers."""
    known = {id(weight) for weight in model.weights}
    known |= {id(variable) for metric in model.metrics for variable in metric.variables}
    return [variable for variable in model.variables if id(variable) not in known]


def training_state(model: keras.Model) -> dict[str, Any]:
    """Return every variable that the next steps of a compiled model depend on, by a name that a new process gives too.

    Weights have their paths.  Seeds are numbered in the order of the layers and optimizers, of which one may be inside
    another, from the outside, for Keras numbers theirs through the whole process.
    Raises: CheckpointError where two variables have one name.
    """
    if not model.optimizer.built:
        with place_of(model):
            model.optimizer.build(model.trainable_variables)
    named = [(weight.path, weight) for weight in model.weights]
    named += [(f"seeds/{number}", seed) for number, seed in enumerate(seeds(model))]
    optimizers: dict[str, int] = {}
    for variable in model.optimizer.variables:
        owner, _, name = variable.path.partition("/")
        named.append((f"optimizer/{optimizers.setdefault(owner, len(optimizers))}/{name}", variable))
    state = dict(named)
    if len(state) < len(named):
        twice = sorted({name for name, _ in named if sum(name == other for other, _ in named) > 1})
        raise CheckpointError(f"{model.name}: several variables are called {', '.join(twice)}. Name the layers apart.")
    return state


def save_checkpoint(
    model: keras.Model,
    folder: str | Path,
    step: int,
    kept: Mapping[str, Any] | None = None,
    *,
    arrays: Mapping[str, np.ndarray] | None = None,
    keep: int = 2,
) -> Path:
    """Write the state of a compiled model after `step` updates, and delete all but the newest `keep` checkpoints.

    `kept` is JSON and `arrays` are arrays that `restore_checkpoint` gives back.
    Raises: CheckpointError where a weight is no number any more, or the file cannot be written; the checkpoints there
    were are then untouched.
    """
    folder = Path(folder)
    path = folder / _NAME.format(step)
    state = {name: _array(variable) for name, variable in training_state(model).items()}
    broken = [name for name, array in state.items() if _is_float(array) and not np.isfinite(array).all()]
    if broken:
        raise CheckpointError(
            f"After step {step} {len(broken)} of {len(state)} variables hold NaN or infinity, {broken[0]} the first."
            f" {_last_told(folder)} Lower the learning rate, or warm up longer."
        )
    state |= {f"{_KEPT}{name}": np.ascontiguousarray(array) for name, array in (arrays or {}).items()}
    told = {"format": _FORMAT, "step": str(step), "kept": json.dumps(kept or {})}
    try:
        with new_file(path) as aside:
            safetensors.numpy.save_file(state, aside, metadata={**told, "sha256": _digest(state, told)})
            _flush(aside)
        _flush(folder)
        for old in checkpoints(folder)[keep:]:
            old.unlink()
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(
            f"{path}: the checkpoint cannot be written: {error}. {_last_told(folder)} Make room, and run it again."
        ) from error
    return path


def restore_checkpoint(model: keras.Model, folder: str | Path) -> Progress | None:
    """Give a compiled model the state of the newest checkpoint that is whole; None where the folder has none.

    One that is damaged is passed over with a warning.
    Raises: CheckpointError where all of them are damaged, or belong to another model.
    """
    found = checkpoints(folder)
    if not found:
        return None
    state = training_state(model)
    path, arrays, told = _newest_whole(found)
    own = {name.removeprefix(_KEPT): arrays.pop(name) for name in list(arrays) if name.startswith(_KEPT)}
    _check_same(path, arrays, state)
    for name, variable in state.items():
        variable.assign(arrays[name])
    return Progress(int(told["step"]), json.loads(told["kept"]), own)


def checkpoints(folder: str | Path) -> list[Path]:
    """Return the checkpoints of a folder, the newest first."""
    if not Path(folder).is_dir():
        return []
    steps = {path: _NAMES.fullmatch(path.name) for path in Path(folder).iterdir()}
    found = {path: int(match[1]) for path, match in steps.items() if match}
    return sorted(found, key=lambda path: found[path], reverse=True)


def _newest_whole(found: list[Path]) -> tuple[Path, dict[str, np.ndarray], dict[str, str]]:
    path, *older = found
    try:
        return path, *_read(path)
    except CheckpointError as error:
        if not older:
            raise CheckpointError(
                f"{error} There is no older one: delete {path.parent}, and the run begins again."
            ) from None
        warnings.warn(f"{error} Going on from {older[0].name}.", UserWarning, stacklevel=4)
    return _newest_whole(older)


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Raises: CheckpointError where the file is cut off or was changed."""
    try:
        with safetensors.safe_open(path, framework="np") as file:
            told = dict(file.metadata() or {})
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- it is no dict
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{path}: the checkpoint is cut off or damaged ({error}).") from None
    if told.get("format") != _FORMAT or told.pop("sha256", None) != _digest(arrays, told):
        raise CheckpointError(f"{path}: the checkpoint is damaged (its digest is not the one it was written with).")
    return arrays, told


def _check_same(path: Path, arrays: Mapping[str, np.ndarray], state: Mapping[str, Any]) -> None:
    """Raises: CheckpointError where the file's variables are not the model's."""
    want = {name: (tuple(v.shape), keras.backend.standardize_dtype(v.dtype)) for name, v in state.items()}
    got = {name: (array.shape, array.dtype.name) for name, array in arrays.items()}
    if wrong := sorted(name for name in {*want, *got} if want.get(name) != got.get(name)):
        one = wrong[0]
        raise CheckpointError(
            f"{path}: the checkpoint is of another model or optimizer: {len(wrong)} variables differ, such as '{one}',"
            f" {got.get(one, 'none')} in the file, {want.get(one, 'none')} in the model."
        )


def _digest(arrays: Mapping[str, np.ndarray], told: Mapping[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(dict(told), sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {array.dtype.name} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _array(variable: Any) -> np.ndarray:
    # A copy: on the CPU the array is the variable's own memory.
    return np.array(keras.ops.convert_to_numpy(variable), order="C")


def _is_float(array: np.ndarray) -> bool:
    return array.dtype.kind == "f" or array.dtype.name == "bfloat16"  # whose kind is "V"


def _last_told(folder: Path) -> str:
    found = checkpoints(folder)
    return f"The last good checkpoint is {found[0].name}." if found else "There is no checkpoint yet."


def _flush(path: Path) -> None:
    """Have the disk hold what was written, or a folder's list of names."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
