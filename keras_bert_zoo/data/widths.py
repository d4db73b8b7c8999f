"""Batches of few shapes, for what compiles a graph for each of them: XLA, a TPU, JAX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from keras_bert_zoo.errors import ConfigError


def check_widths(pad_to: int | Sequence[int] | None, length: int) -> tuple[int, ...]:
    """Return the lengths that batches are padded to, from the shortest; none where they follow their longest row.

    Raises: ConfigError on what is no length, or where the longest is less than `length`, a row's limit.
    """
    if pad_to is None:
        return ()
    widths = (pad_to,) if isinstance(pad_to, int) else tuple(pad_to)
    if not widths or not all(isinstance(width, int) and width > 0 for width in widths):
        raise ConfigError(f"pad_to is {pad_to!r}, it must be one or several lengths in tokens, such as 128.")
    if max(widths) < length:
        raise ConfigError(
            f"pad_to ends at {max(widths)}, but rows may be of {length} tokens: lower the limit (length, --max-length)"
            " or pad to more."
        )
    return tuple(sorted(set(widths)))


def next_width(widths: Sequence[int], longest: tf.Tensor) -> tf.Tensor:
    """Return the least of the widths that a row of `longest` tokens, int32 [], fits in: int32 []."""
    return tf.gather(widths, tf.searchsorted(widths, longest[None])[0])


def with_shapes(dataset: tf.data.Dataset, first: Any, rows: int | None) -> tf.data.Dataset:
    """Tell a dataset's shapes, which the graph that makes its batches cannot: those of `first`, but for the rows."""
    shapes = [[rows, *x.shape[1:]] for x in tf.nest.flatten(first) if x is not None]

    def told(*batch: Any) -> Any:
        left = iter(shapes)
        return tf.nest.map_structure(lambda x: x if x is None else tf.ensure_shape(x, next(left)), batch)

    return dataset.map(told)
