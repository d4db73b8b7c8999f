"""Operations that a backend may know in a quicker form than `keras.ops`.  N tokens, D hidden size.

The layers ask for them here.  `serving/kernels.py` puts TensorFlow's own in their place while it traces an export;
everywhere else they are `keras.ops`, so that one model runs on every backend.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras
from keras import ops


def _take(table: Any, numbers: Any) -> Any:
    return ops.take(table, numbers, axis=0)


def _normal(x: Any, epsilon: float, scale: Any, shift: Any) -> Any:
    wide = ops.cast(x, "float32") if keras.backend.standardize_dtype(x.dtype) in ("float16", "bfloat16") else x
    centred = wide - ops.mean(wide, axis=-1, keepdims=True)  # [N,D]
    variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)  # [N,1]
    normal = centred * ops.rsqrt(variance + epsilon)  # [N,D]
    return ops.cast(normal * ops.cast(scale, wide.dtype) + ops.cast(shift, wide.dtype), x.dtype)


@dataclasses.dataclass(frozen=True)
class Kernels:
    """Functions on tensors.

    `take`: rows of a table by their numbers, none of them negative: ([n,...], int32 [...]) -> [...,...].
    `normal`: tokens brought to mean 0 and variance 1, scaled and shifted: ([N,D], epsilon, [D], [D]) -> [N,D].
    """

    take: Callable[[Any, Any], Any] = _take
    normal: Callable[[Any, float, Any, Any], Any] = _normal


KERAS = Kernels()
_CHOSEN: ContextVar[Kernels] = ContextVar("kernels", default=KERAS)


@contextmanager
def using(kernels: Kernels) -> Iterator[None]:
    """Let the layers called inside use these kernels."""
    token = _CHOSEN.set(kernels)
    try:
        yield
    finally:
        _CHOSEN.reset(token)


def take(table: Any, numbers: Any) -> Any:
    """Return rows of a table by their numbers, see `Kernels`."""
    return _CHOSEN.get().take(table, numbers)


def normal(x: Any, epsilon: float, scale: Any, shift: Any) -> Any:
    """Return tokens normalised, scaled and shifted, see `Kernels`."""
    return _CHOSEN.get().normal(x, epsilon, scale, shift)
