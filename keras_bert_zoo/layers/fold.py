"""Several texts an example.  B examples, C texts each, R = B·C rows, T tokens a row, D hidden size."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

# Added to what may not be chosen: its share of a softmax is exactly 0.
_NEVER = -1e9


@keras.saving.register_keras_serializable("keras_bert_zoo")
class Fold(keras.layers.Layer):
    """Puts the texts of all examples under one another, the rows an encoder reads: [B,C,T] -> [R,T]."""

    def call(self, x: Any) -> Any:
        batch, texts, time = ops.shape(x)
        return ops.reshape(x, (batch * texts, time))

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor((None, x.shape[2]), dtype=x.dtype)


@keras.saving.register_keras_serializable("keras_bert_zoo")
class Unfold(keras.layers.Layer):
    """Gives each example its rows back: ([R,D], any [B,C,...]) -> [B,C,D], in the dtype that comes in."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "autocast": False})

    def call(self, x: Any, like: Any) -> Any:
        batch, texts = ops.shape(like)[:2]
        return ops.reshape(x, (batch, texts, x.shape[-1]))

    def compute_output_spec(self, x: Any, like: Any) -> Any:
        return keras.KerasTensor((*like.shape[:2], x.shape[-1]), dtype=x.dtype)


@keras.saving.register_keras_serializable("keras_bert_zoo")
class ChoiceLogits(keras.layers.Layer):
    """One logit a choice, float32: ([B,C,1], mask int [B,C,T]) -> [B,C].

    A choice without a token is none: its logit is -1e9 lower, which leaves it no probability.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "autocast": False})

    def call(self, x: Any, mask: Any) -> Any:
        absent = ops.equal(ops.max(mask, axis=-1, initial=0), 0)  # [B,C]
        return ops.cast(x[..., 0], "float32") + ops.cast(absent, "float32") * _NEVER

    def compute_output_spec(self, x: Any, mask: Any) -> Any:
        return keras.KerasTensor(x.shape[:2], dtype="float32")
