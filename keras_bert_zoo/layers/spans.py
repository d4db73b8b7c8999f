"""What keeps a span inside its text.  R rows, T tokens a row."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

# Low enough for a softmax to give 0, and a number in every precision a model is served in.
_LOW = -1e9


@keras.saving.register_keras_serializable("keras_bert_zoo")
class RealTokensOnly(keras.layers.Layer):
    """Puts a very low number wherever a row is padding: logits [R,T,C], mask [R,T] -> [R,T,C]."""

    def call(self, logits: Any, mask: Any) -> Any:
        return ops.where(ops.cast(mask, "bool")[..., None], logits, ops.cast(_LOW, logits.dtype))

    def compute_output_spec(self, logits: Any, mask: Any) -> Any:
        return keras.KerasTensor(logits.shape, dtype=self.compute_dtype)
