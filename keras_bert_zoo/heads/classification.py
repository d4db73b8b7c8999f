"""One label out of several.  B batch, C labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np

from keras_bert_zoo.answers import log_probabilities
from keras_bert_zoo.heads.head import SENTENCE_PLACES, Head, Where, check_labels, label_index
from keras_bert_zoo.training.metrics import F1, MacroF1, MatthewsCorrelation


class Classification(Head):
    """Chooses one label for a text, or for a pair of texts.

    Served out: `label` string [B], `score` float32 [B], `labels` string [B,C], `probabilities` float32 [B,C].
    Raises: ConfigError unless `labels` are two or more different strings.
    """

    name: ClassVar[str] = "classification"
    problem_type: ClassVar[str] = "single_label_classification"
    monitor: ClassVar[str] = "accuracy"
    served_as: ClassVar[str] = "classify"
    places = SENTENCE_PLACES

    def __init__(
        self, labels: Sequence[str], *, pair: bool = False, dropout: float = 0.1, new_pooler: bool = False
    ) -> None:
        self.labels = check_labels("Classification", labels, least=2)
        super().__init__(len(self.labels), pair=pair, dropout=dropout, new_pooler=new_pooler)

    def loss(self) -> keras.losses.Loss:
        """Return cross entropy of label numbers int [B] and logits [B,C]."""
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def metrics(self) -> list[keras.metrics.Metric]:
        """Return accuracy, macro F1 and Matthews correlation; of two labels also F1 of the second, the positive one."""
        classes = len(self.labels)
        return [
            keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
            *([F1()] if classes == 2 else []),
            MacroF1(classes),
            MatthewsCorrelation(classes),
        ]

    def targets(self, labels: Sequence[Any], where: Where) -> np.ndarray:
        """Turn labels into their numbers, int32 [N].  Raises: DataError on a label that is not in the list."""
        return np.array([label_index(self.labels, label, where(i)) for i, label in enumerate(labels)], "int32")

    @staticmethod
    def labels_in(values: Sequence[Any]) -> list[str]:
        """Return the different labels of a column, sorted."""
        return sorted({str(value) for value in values})

    def decode(self, outputs: Any, features: Mapping[str, Any]) -> dict[str, Any]:
        """Turn logits [B,C] into the chosen label, its probability, and all of them in the head's order."""
        import tensorflow as tf

        probabilities = tf.nn.softmax(tf.cast(outputs, tf.float32))  # [B,C]
        labels = tf.constant(self.labels)  # [C]
        return {
            "label": tf.gather(labels, tf.argmax(probabilities, axis=-1)),  # [B]
            "score": tf.reduce_max(probabilities, axis=-1),  # [B]
            "labels": tf.broadcast_to(labels, tf.shape(probabilities)),  # [B,C]
            "probabilities": probabilities,  # [B,C]
        }

    def serve_as(self, answer: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, Any]:
        """Return every label and its probability."""
        return {"classes": answer["labels"], "scores": answer["probabilities"]}

    def logits_of(self, answers: Sequence[dict[str, Any]]) -> np.ndarray:
        """Return the logarithms of the probabilities, [N,C]."""
        return log_probabilities([answer["probabilities"] for answer in answers])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same head again."""
        return {"labels": list(self.labels), **super().get_config()}
