"""One number for a text.  B batch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np

from keras_bert_zoo.config import huggingface_dropout
from keras_bert_zoo.errors import DataError
from keras_bert_zoo.heads.head import SENTENCE_PLACES, Head, Where
from keras_bert_zoo.training.metrics import pearson, spearman


class Regression(Head):
    """Gives one number for a text, or for a pair of texts (similarity, rating).

    Served out: `value` float32 [B].
    """

    name: ClassVar[str] = "regression"
    problem_type: ClassVar[str] = "regression"
    monitor: ClassVar[str] = "spearman"
    served_as: ClassVar[str] = "regress"
    places = SENTENCE_PLACES

    def __init__(self, *, pair: bool = False, dropout: float = 0.1, new_pooler: bool = False) -> None:
        super().__init__(1, pair=pair, dropout=dropout, new_pooler=new_pooler)

    def loss(self) -> keras.losses.Loss:
        """Return the mean squared error of targets and logits, both [B,1]."""
        return keras.losses.MeanSquaredError()

    def metrics(self) -> list[keras.metrics.Metric]:
        """Return the mean absolute error; correlations need all rows at once and are in `report`."""
        return [keras.metrics.MeanAbsoluteError(name="mae")]

    def report(self, targets: np.ndarray, outputs: np.ndarray) -> dict[str, float]:
        """Return loss, mean absolute error, Pearson and Spearman correlation over a whole data set."""
        figures = super().report(targets, outputs)
        true, got = np.asarray(targets)[:, 0], np.asarray(outputs)[:, 0]
        return {**figures, "pearson": pearson(true, got), "spearman": spearman(true, got)}

    def targets(self, labels: Sequence[Any], where: Where) -> np.ndarray:
        """Turn numbers, or text that spells them, into float32 [N,1].  Raises: DataError on anything else."""
        values = [_number(label, where(i)) for i, label in enumerate(labels)]
        return np.array(values, "float32").reshape(-1, 1)

    def decode(self, outputs: Any, features: Mapping[str, Any]) -> dict[str, Any]:
        """Turn logits [B,1] into values [B]."""
        import tensorflow as tf

        return {"value": tf.cast(outputs, tf.float32)[:, 0]}  # [B]

    def serve_as(self, answer: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values."""
        return {"outputs": answer["value"]}

    def logits_of(self, answers: Sequence[dict[str, Any]]) -> np.ndarray:
        """Return the values, [N,1]."""
        return np.array([[answer["value"]] for answer in answers], "float32")

    @classmethod
    def from_huggingface(cls, raw: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Any]:
        """Return the arguments that a `config.json` means; its one label has no meaning."""
        return {"dropout": huggingface_dropout(raw)}


def _number(label: Any, where: str) -> float:
    try:
        value = float(label)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{where}: label {label!r} is not a number, but the head is a regression.")
    return value
