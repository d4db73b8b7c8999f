"""Any number of labels out of several.  B batch, C labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np

from keras_bert_zoo.answers import log_probabilities
from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.heads.head import SENTENCE_PLACES, Head, Where, check_labels, label_index
from keras_bert_zoo.training.metrics import LabelF1


class MultiLabel(Head):
    """Says yes or no to every label of a text, or of a pair of texts.

    `threshold` is the probability from which a label counts as predicted.  `separator` parts the labels of a
    table cell; a list (jsonl) needs none, an empty cell or list has no label.
    Served out: `labels` string [B,C], `probabilities` float32 [B,C], `predicted` bool [B,C].
    Raises: ConfigError unless `labels` are different strings and the threshold lies between 0 and 1.
    """

    name: ClassVar[str] = "multi_label"
    problem_type: ClassVar[str] = "multi_label_classification"
    monitor: ClassVar[str] = "f1_micro"
    served_as: ClassVar[str] = "classify"
    places = SENTENCE_PLACES

    def __init__(
        self,
        labels: Sequence[str],
        *,
        pair: bool = False,
        dropout: float = 0.1,
        new_pooler: bool = False,
        threshold: float = 0.5,
        separator: str = ",",
    ) -> None:
        self.labels = check_labels("MultiLabel", labels, least=1)
        super().__init__(len(self.labels), pair=pair, dropout=dropout, new_pooler=new_pooler)
        if not 0 < threshold < 1:
            raise ConfigError(f"MultiLabel: threshold is {threshold}, it must lie between 0 and 1.")
        if not separator:
            raise ConfigError("MultiLabel: separator is empty, it must be what parts the labels of a cell.")
        self.threshold = threshold
        self.separator = separator

    def loss(self) -> keras.losses.Loss:
        """Return the mean binary cross entropy of 0/1 targets and logits, both [B,C]."""
        return keras.losses.BinaryCrossentropy(from_logits=True)

    def metrics(self) -> list[keras.metrics.Metric]:
        """Return micro F1, macro F1 and the accuracy of the single decisions, all at probability 0.5."""
        classes = len(self.labels)
        return [
            LabelF1(classes, "micro"),
            LabelF1(classes, "macro"),
            keras.metrics.BinaryAccuracy(threshold=0.0, name="accuracy"),
        ]

    def targets(self, labels: Sequence[Any], where: Where) -> np.ndarray:
        """Turn lists or cells of labels into 0/1, float32 [N,C].  Raises: DataError on a label not in the list."""
        targets = np.zeros((len(labels), len(self.labels)), "float32")
        for i, cell in enumerate(labels):
            for label in _split(cell, self.separator):
                targets[i, label_index(self.labels, label, where(i))] = 1
        return targets

    @staticmethod
    def labels_in(values: Sequence[Any], separator: str = ",") -> list[str]:
        """Return the different labels of a column, sorted."""
        return sorted({str(label) for cell in values for label in _split(cell, separator)})

    def decode(self, outputs: Any, features: Mapping[str, Any]) -> dict[str, Any]:
        """Turn logits [B,C] into the probability of every label and whether it reaches the threshold."""
        import tensorflow as tf

        probabilities = tf.sigmoid(tf.cast(outputs, tf.float32))  # [B,C]
        return {
            "labels": tf.broadcast_to(tf.constant(self.labels), tf.shape(probabilities)),  # [B,C]
            "probabilities": probabilities,  # [B,C]
            "predicted": probabilities >= self.threshold,  # [B,C]
        }

    def serve_as(self, answer: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, Any]:
        """Return every label and its probability, which do not add up to 1."""
        return {"classes": answer["labels"], "scores": answer["probabilities"]}

    def logits_of(self, answers: Sequence[dict[str, Any]]) -> np.ndarray:
        """Return the logarithms of the odds, [N,C]."""
        yes = np.array([answer["probabilities"] for answer in answers], "float64")
        return log_probabilities(yes) - log_probabilities(1 - yes)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same head again."""
        own = {"threshold": self.threshold, "separator": self.separator}
        return {"labels": list(self.labels), **super().get_config(), **own}


def _split(cell: Any, separator: str) -> list[Any]:
    if isinstance(cell, str):
        return [label.strip() for label in cell.split(separator) if label.strip()]
    return list(cell) if isinstance(cell, (list, tuple)) else [cell]
