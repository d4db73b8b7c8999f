"""Loss and metrics of a span's two ends.  R rows, T tokens a row.

Targets are the places of the first and last token, int [R,2]; logits are [R,T,2].
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_bert_zoo")
class SpanCrossEntropy(keras.losses.Loss):
    """Mean of the cross entropies of the first and of the last token.

    Source: google-research/bert run_squad.py, model_fn_builder, compute_loss.
    """

    def __init__(self, name: str = "span_cross_entropy", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        places = ops.cast(y_true, "int32")  # [R,2]
        by_end = ops.transpose(y_pred, (0, 2, 1))  # [R,2,T]
        return ops.mean(ops.sparse_categorical_crossentropy(places, by_end, from_logits=True), axis=-1)  # [R]


@keras.saving.register_keras_serializable("keras_bert_zoo")
class EndAccuracy(keras.metrics.Mean):
    """Share of rows whose first (`end=0`) or last (`end=1`) token has the highest logit."""

    def __init__(self, end: int, name: str, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.end = end

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        right = ops.argmax(y_pred[:, :, self.end], axis=1) == ops.cast(y_true[:, self.end], "int32")
        super().update_state(ops.cast(right, self.dtype), sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "end": self.end}
