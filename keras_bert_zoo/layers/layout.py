"""How tokens lie in memory.  B batch, T tokens a row, N tokens in all, D hidden size.

Everything but attention treats each token alone, so blocks work on a plain list of tokens [N,D]; attention
alone needs rows, the grid [B,T].  A layout maps one to the other:

- `padded` lists the padding too (N = B·T).  Both maps are reshapes and every shape can be static, so it suits XLA,
  TPU and JAX.
- `packed` lists the real tokens alone, so that dense layers, activations and norms cost what the text costs.  Both
  maps are gathers, N changes with every batch: for TensorFlow's graphs.

A grid travels through the model as a dict of tensors, made once a batch by the layer `Grid`: `mask` int32 [B,T],
1 for a real token; `bias` [B,1,1,T], what attention adds to the scores; `cells` int32 [N], the cell each token lies
in, and `tokens` int32 [B·T], the token to look up for each cell.  The last two are empty, [0], in a padded grid: by
that the same layers work with either layout, and one model can be laid out as the other.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_bert_zoo.errors import ConfigError

LAYOUTS = ("padded", "packed")
# Large enough that exp() of it is exactly 0, small enough for float16 after adding a score.
_MASKED = {"float16": -3e4}
_MASKED_DEFAULT = -1e9


def make_grid(mask: Any, dtype: str, layout: str = "padded") -> dict[str, Any]:
    """Return the grid of a mask: int [B,T], 1 for a real token."""
    hidden = ops.cast(ops.equal(mask, 0), dtype)  # [B,T]
    bias = hidden * ops.cast(_MASKED.get(dtype, _MASKED_DEFAULT), dtype)
    if layout == "packed":
        # A row's first token is listed even where the mask hides the whole row: the pooler reads it.
        first = ops.equal(ops.arange(ops.shape(mask)[1]), 0)  # [T]
        listed = ops.cast(ops.reshape(ops.logical_or(ops.not_equal(mask, 0), first), (-1,)), "int32")  # [B·T]
        cells = ops.cast(ops.nonzero(listed)[0], "int32")  # [N]
        tokens = ops.maximum(ops.cumsum(listed) - 1, 0)  # [B·T]; padding looks up some real token
    else:
        cells = tokens = ops.zeros((0,), "int32")
    return {"mask": mask, "bias": ops.expand_dims(bias, (1, 2)), "cells": cells, "tokens": tokens}


def is_packed(grid: dict[str, Any]) -> bool:
    """Tell whether only real tokens are listed."""
    return grid["cells"].shape[0] != 0


def to_tokens(x: Any, grid: dict[str, Any]) -> Any:
    """List the tokens of a grid: [B,T,*tail] -> [N,*tail]."""
    x = ops.reshape(x, (-1, *x.shape[2:]))
    return ops.take(x, grid["cells"], axis=0) if is_packed(grid) else x


def to_grid(x: Any, grid: dict[str, Any], *tail: int) -> Any:
    """Put tokens back on the grid: [N,D] -> [B,T,*tail], with `tail` (D,) unless given; padding holds anything."""
    batch, time = ops.shape(grid["mask"])
    x = ops.take(x, grid["tokens"], axis=0) if is_packed(grid) else x
    return ops.reshape(x, (batch, time, *(tail or (x.shape[-1],))))


@keras.saving.register_keras_serializable("keras_bert_zoo")
class Grid(keras.layers.Layer):
    """Prepares, once a batch, what attention needs to know about the mask: int [B,T] -> grid."""

    def __init__(self, layout: str = "padded", **kwargs: Any) -> None:
        if layout not in LAYOUTS:
            raise ConfigError(f"layout is {layout!r}, it must be one of {', '.join(LAYOUTS)}.")
        if layout == "packed" and keras.backend.backend() == "jax":
            raise ConfigError(
                "layout 'packed' needs shapes that change with the batch, which JAX has not: use 'padded'."
            )
        super().__init__(**kwargs)
        self.layout = layout

    def call(self, mask: Any) -> dict[str, Any]:
        return make_grid(mask, self.compute_dtype, self.layout)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "layout": self.layout}


@keras.saving.register_keras_serializable("keras_bert_zoo")
class ToGrid(keras.layers.Layer):
    """Puts a list of tokens back into rows: ([N,D], grid) -> [B,T,D]; packed, the padding is 0."""

    def call(self, x: Any, grid: dict[str, Any]) -> Any:
        rows = to_grid(x, grid)
        return rows * ops.cast(ops.expand_dims(grid["mask"], -1), rows.dtype) if is_packed(grid) else rows
