"""Whether one text follows another.  B batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np

from keras_bert_zoo.answers import log_probabilities
from keras_bert_zoo.heads.head import Head, Where
from keras_bert_zoo.heads.language import NEXT_SENTENCE_LABELS, NEXT_SENTENCE_PLACES, next_sentence_targets
from keras_bert_zoo.weights.rows import AnyRow


class NextSentence(Head):
    """Says how likely a second text is to follow the first.

    Served out: `probability` float32 [B], that it follows.  In tables the label is is_next (or 0) where it does and
    not_next (or 1) where it does not; the order is Google's and Hugging Face's.
    """

    name: ClassVar[str] = "next_sentence"
    architecture: ClassVar[str] = "BertForNextSentencePrediction"
    monitor: ClassVar[str] = "accuracy"
    served_as: ClassVar[str] = "classify"
    lasting: ClassVar[bool] = True
    places: ClassVar[Mapping[str, Sequence[AnyRow]]] = NEXT_SENTENCE_PLACES

    def __init__(self, *, new_pooler: bool = False) -> None:
        super().__init__(2, pair=True, dropout=0.0, new_pooler=new_pooler)

    def targets(self, labels: Sequence[Any], where: Where) -> np.ndarray:
        """Turn labels into 0 (follows) and 1, int32 [N].  Raises: DataError naming the row on another label."""
        return next_sentence_targets(labels, where)

    def loss(self) -> keras.losses.Loss:
        """Return cross entropy of targets int [B] and logits [B,2]."""
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    def metrics(self) -> list[keras.metrics.Metric]:
        """Return accuracy."""
        return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]

    def decode(self, outputs: Any, features: Mapping[str, Any]) -> dict[str, Any]:
        """Turn logits [B,2] into the probability that the second text follows, [B]."""
        import tensorflow as tf

        return {"probability": tf.nn.softmax(tf.cast(outputs, tf.float32))[:, 0]}  # [B]

    def serve_as(self, answer: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, Any]:
        """Return the two labels of the data and their probabilities."""
        import tensorflow as tf

        follows = answer["probability"]
        scores = tf.stack([follows, 1 - follows], axis=1)  # [B,2]
        return {"classes": tf.broadcast_to(tf.constant(NEXT_SENTENCE_LABELS), tf.shape(scores)), "scores": scores}

    def logits_of(self, answers: Sequence[dict[str, Any]]) -> np.ndarray:
        """Return the logarithms of both probabilities, [N,2]."""
        follows = np.array([answer["probability"] for answer in answers], "float64")
        return log_probabilities(np.stack([follows, 1 - follows], axis=1))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that make the same head again."""
        return {}

    def huggingface_config(self) -> dict[str, Any]:
        """Return nothing: a `config.json` has no words for this head but `architectures`."""
        return {}

    @classmethod
    def from_huggingface(cls, raw: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Any]:
        """Return no arguments: a `config.json` says nothing of this head."""
        return {}
