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
                pooled = ops.max(ops.where(real, x, _NOTHING), axis=1)
            else:
                keep = ops.cast(real, x.dtype)
                # 1e-9: sentence-transformers' Pooling
                pooled = ops.sum(x * keep, axis=1) / ops.maximum(ops.sum(keep, axis=1), 1e-9)
        # 1e-12: torch.nn.functional.normalize
        return ops.normalize(pooled, axis=-1, order=2, epsilon=1e-12) if self.normalize else pooled  # [B,D]

    def compute_output_spec(self, x: Any, mask: Any) -> Any:
        return keras.KerasTensor((x.shape[0], x.shape[-1]), dtype="float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "pooling": self.pooling, "normalize": self.normalize}
