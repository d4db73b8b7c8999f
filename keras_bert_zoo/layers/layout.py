"""How tokens lie in memory.  B batch, T tokens a row, N tokens in all, D hidden size.

Everything but attention treats each token alone, so blocks work on a plain list of tokens [N,D]; attention
alone needs rows, the grid [B,T].  A layout maps one to the other.  `padded` keeps the padding as tokens
(N = B·T): both maps are reshapes, every shape can be static, so it suits XLA, TPU and JAX.

A grid travels through the model as a dict of tensors, made once a batch by the layer `Grid`:
`mask` int32 [B,T], 1 for a real token, and `bias` [B,1,1,T], what attention adds to the scores.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_bert_zoo.errors import ConfigError

# Large enough that exp() of it is exactly 0, small enough for float16 after adding a score.
_MASKED = {"float16": -3e4}
_MASKED_DEFAULT = -1e9


def make_grid(mask: Any, dtype: str) -> dict[str, Any]:
    """Return the grid of a mask: int [B,T], 1 for a real token."""
    hidden = ops.cast(ops.equal(mask, 0), dtype)  # [B,T]
    bias = hidden * ops.cast(_MASKED.get(dtype, _MASKED_DEFAULT), dtype)
    return {"mask": mask, "bias": ops.expand_dims(bias, (1, 2))}  # [B,T], [B,1,1,T]


def to_tokens(x: Any) -> Any:
    """List the tokens of a grid: [B,T,D] -> [N,D]."""
    return ops.reshape(x, (-1, x.shape[-1]))


def to_grid(x: Any, grid: dict[str, Any], *tail: int) -> Any:
    """Put tokens back on the grid: [N,D] -> [B,T,*tail], with `tail` (D,) unless given."""
    batch, time = ops.shape(grid["mask"])
    return ops.reshape(x, (batch, time, *(tail or (x.shape[-1],))))


@keras.saving.register_keras_serializable("keras_bert_zoo")
class Grid(keras.layers.Layer):
    """Prepares, once a batch, what attention needs to know about the mask: int [B,T] -> grid."""

    def __init__(self, layout: str = "padded", **kwargs: Any) -> None:
        if layout not in LAYOUTS:
            raise ConfigError(f"layout is {layout!r}, it must be one of {', '.join(LAYOUTS)}.")
        super().__init__(**kwargs)
        self.layout = layout

    def call(self, mask: Any) -> dict[str, Any]:
        return make_grid(mask, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "layout": self.layout}


@keras.saving.register_keras_serializable("keras_bert_zoo")
class ToGrid(keras.layers.Layer):
    """Puts a list of tokens back into rows: ([N,D], grid) -> [B,T,D]."""

    def call(self, x: Any, grid: dict[str, Any]) -> Any:
        return to_grid(x, grid)


LAYOUTS = ("padded",)
