"""Metrics that Keras has no word for.  B batch, C classes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops


class _Confusion(keras.metrics.Metric):
    """Counts (true, predicted) pairs over all batches: targets int [B], logits [B,C] -> counts [C,C]."""

    def __init__(self, classes: int, name: str, **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.classes = classes
        self.counts = self.add_weight(shape=(classes, classes), initializer="zeros", name="counts")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        true = ops.cast(ops.reshape(y_true, (-1,)), "int32")  # [B]
        cell = true * self.classes + ops.cast(ops.argmax(y_pred, axis=-1), "int32")  # [B]
        rows = ops.one_hot(cell, self.classes**2, dtype=self.dtype)  # [B,C*C]
        if sample_weight is not None:
            rows = rows * ops.reshape(ops.cast(sample_weight, self.dtype), (-1, 1))
        self.counts.assign(self.counts + ops.reshape(ops.sum(rows, axis=0), self.counts.shape))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "classes": self.classes}


@keras.saving.register_keras_serializable("keras_bert_zoo")
class MacroF1(_Confusion):
    """Mean over the classes of F1 = 2·TP / (2·TP + FP + FN), 0 for a class never seen nor predicted."""

    def __init__(self, classes: int, name: str = "f1_macro", **kwargs: Any) -> None:
        super().__init__(classes, name, **kwargs)

    def result(self) -> Any:
        hit = ops.diagonal(self.counts)  # [C]
        both = ops.sum(self.counts, axis=0) + ops.sum(self.counts, axis=1)  # [C]
        return ops.mean(ops.where(both > 0, 2 * hit / ops.maximum(both, 1e-12), 0.0))


@keras.saving.register_keras_serializable("keras_bert_zoo")
class F1(_Confusion):
    """F1 = 2·TP / (2·TP + FP + FN) of the second of two classes, the positive one; 0 where it never is nor is told."""

    def __init__(self, classes: int = 2, name: str = "f1", **kwargs: Any) -> None:
        super().__init__(classes, name, **kwargs)

    def result(self) -> Any:
        both = ops.sum(self.counts[1]) + ops.sum(self.counts[:, 1])
        return ops.where(both > 0, 2 * self.counts[1, 1] / ops.maximum(both, 1e-12), 0.0)


@keras.saving.register_keras_serializable("keras_bert_zoo")
class MatthewsCorrelation(_Confusion):
    """Correlation of truth and prediction over the confusion matrix, 0 where one of them is constant.

    Source: Gorodkin 2004, "Comparing two K-category assignments by a K-category correlation coefficient".
    """

    def __init__(self, classes: int, name: str = "mcc", **kwargs: Any) -> None:
        super().__init__(classes, name, **kwargs)

    def result(self) -> Any:
        total = ops.sum(self.counts)
        true, predicted = ops.sum(self.counts, axis=1), ops.sum(self.counts, axis=0)  # [C], [C]
        covariance = ops.trace(self.counts) * total - ops.sum(true * predicted)
        spread = (total**2 - ops.sum(predicted**2)) * (total**2 - ops.sum(true**2))
        return ops.where(spread > 0, covariance / ops.sqrt(ops.maximum(spread, 1e-12)), 0.0)


@keras.saving.register_keras_serializable("keras_bert_zoo")
class LabelF1(keras.metrics.Metric):
    """F1 of yes/no decisions on C labels, logits above 0 counting as yes: targets and logits [B,C].

    `average` is "micro" (all decisions in one pot) or "macro" (mean over the labels).
    """

    def __init__(self, classes: int, average: str, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(name=name or f"f1_{average}", **kwargs)
        self.classes, self.average = classes, average
        self.hit = self.add_weight(shape=(classes,), initializer="zeros", name="hit")
        self.both = self.add_weight(shape=(classes,), initializer="zeros", name="both")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        true = ops.cast(ops.cast(y_true, "float32") > 0.5, self.dtype)  # [B,C]
        yes = ops.cast(y_pred > 0, self.dtype)  # [B,C]
        if sample_weight is not None:
            weight = ops.reshape(ops.cast(sample_weight, self.dtype), (-1, 1))
            hit, both = true * yes * weight, (true + yes) * weight
        else:
            hit, both = true * yes, true + yes
        self.hit.assign(self.hit + ops.sum(hit, axis=0))
        self.both.assign(self.both + ops.sum(both, axis=0))

    def result(self) -> Any:
        hit, both = self.hit.value, self.both.value
        if self.average == "micro":
            hit, both = ops.sum(hit), ops.sum(both)
        return ops.mean(ops.where(both > 0, 2 * hit / ops.maximum(both, 1e-12), 0.0))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "classes": self.classes, "average": self.average}


@keras.saving.register_keras_serializable("keras_bert_zoo")
class LabelledAccuracy(keras.metrics.Metric):
    """Share of right numbers: targets int [B,T], below 0 where nothing counts, logits [B,T,C]."""

    def __init__(self, name: str = "accuracy", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.right = self.add_weight(shape=(), initializer="zeros", name="right")
        self.all = self.add_weight(shape=(), initializer="zeros", name="all")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        weight = ops.cast(ops.greater_equal(y_true, 0), self.dtype)  # [B,T]
        if sample_weight is not None:
            weight = weight * ops.cast(sample_weight, self.dtype)
        right = ops.cast(ops.equal(ops.cast(y_true, "int32"), ops.cast(ops.argmax(y_pred, -1), "int32")), self.dtype)
        self.right.assign(self.right + ops.sum(right * weight))
        self.all.assign(self.all + ops.sum(weight))

    def result(self) -> Any:
        return ops.divide_no_nan(self.right.value, self.all.value)


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Linear correlation of two [N] arrays, 0 where one of them is constant."""
    x, y = x.astype("float64") - x.mean(), y.astype("float64") - y.mean()
    spread = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / spread if spread else 0.0


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Rank correlation of two [N] arrays, ties sharing their mean rank."""
    return pearson(_ranks(x), _ranks(y))


def _ranks(x: np.ndarray) -> np.ndarray:
    _, place, counts = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)  # rank of the last of each group of ties
    return (last - (counts - 1) / 2)[place]
