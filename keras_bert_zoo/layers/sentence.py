"""One vector for a text, without weights.  B batch, T tokens, D hidden size."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_bert_zoo.errors import ConfigError

POOLINGS = ("mean", "cls", "max")
_NOTHING = -1e9  # below any vector's element: what a maximum of no tokens is


@keras.saving.register_keras_serializable("keras_bert_zoo")
class SentencePooling(keras.layers.Layer):
    """Makes one vector of a row's vectors, in float32: ([B,T,D], mask int [B,T]) -> [B,D].

    `pooling` is "mean" or "max" of the real tokens, or "cls", the first; with `normalize` the vector has length 1.
    Raises: ConfigError on another pooling.
    Source: Reimers and Gurevych 2019; sentence-transformers, modules Pooling and Normalize.
    """

    def __init__(self, pooling: str = "mean", normalize: bool = True, **kwargs: Any) -> None:
        if pooling not in POOLINGS:
            raise ConfigError(f"pooling is {pooling!r}, it must be one of {', '.join(POOLINGS)}.")
        super().__init__(**{**kwargs, "autocast": False})
        self.pooling = pooling
        self.normalize = normalize

    def call(self, x: Any, mask: Any) -> Any:
        x = ops.cast(x, "float32")  # sums of bfloat16 would lose what the tokens agree in
        if self.pooling == "cls":
            pooled = x[:, 0]
        else:
            real = ops.expand_dims(ops.not_equal(mask, 0), -1)  # [B,T,1]
            if self.pooling == "max":
                # Not ops.max: its way back looks for the places equal to the maximum, which XLA, that computes x
                # anew there, with other rounding, does not find.
                x = ops.where(real, x, _NOTHING)
                place = ops.expand_dims(ops.argmax(x, axis=1), 1)  # [B,1,D]
                pooled = ops.squeeze(ops.take_along_axis(x, place, axis=1), 1)
            else:
                keep = ops.cast(real, x.dtype)
                # 1 at least: a row without a token gets zeros, where nothing near 0 is divided by, going back either
                pooled = ops.sum(x * keep, axis=1) / ops.maximum(ops.sum(keep, axis=1), 1)
        return unit(pooled) if self.normalize else pooled  # [B,D]

    def compute_output_spec(self, x: Any, mask: Any) -> Any:
        return keras.KerasTensor((x.shape[0], x.shape[-1]), dtype="float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "pooling": self.pooling, "normalize": self.normalize}


def unit(x: Any) -> Any:
    """Return vectors [...,D] at length 1; zeros stay zeros, and going back they get what came.

    `ops.normalize` divides that by its epsilon, which XLA turns into NaN.  Source: torch.nn.functional.normalize.
    """
    squares = ops.sum(ops.square(x), axis=-1, keepdims=True)  # [...,1]
    squares = ops.where(squares > 0, ops.maximum(squares, 1e-24), 1)
    return x * ops.rsqrt(squares)
