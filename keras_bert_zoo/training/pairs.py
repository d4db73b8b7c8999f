"""What vectors of text pairs learn from, and how well they rank.  B batch or N rows of two vectors of size D."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_bert_zoo.layers.sentence import unit

_BLOCK = 1024  # rows ranked at a time
_SAME = 1e-6  # cosines this close are equal: the same text gives nearly the same vector in another batch


@keras.saving.register_keras_serializable("keras_bert_zoo")
class InBatchNegatives(keras.losses.Loss):
    """Each first text is to be nearest to its own second text among those of its batch: targets unused, [B,2,D] -> [B].

    Cross entropy over cosine similarities times `scale`.  Under a strategy the batch is that of all replicas.
    Source: Henderson et al. 2017, section 4.4; sentence-transformers, MultipleNegativesRankingLoss.
    """

    whole_batch = True  # no sum of what parts of a batch give

    def __init__(self, scale: float = 20.0, name: str = "in_batch_negatives", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)
        self.scale = scale

    def call(self, y_true: Any, y_pred: Any) -> Any:
        first, second = _unit(y_pred)
        scores = self.scale * ops.matmul(first, ops.transpose(_of_all_replicas(second)))  # [B,B]
        return ops.logsumexp(scores, axis=-1) - self.scale * ops.sum(first * second, axis=-1)  # [B]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "scale": self.scale}


@keras.saving.register_keras_serializable("keras_bert_zoo")
class CosineError(keras.losses.Loss):
    """Squared difference of a pair's cosine similarity and its score: scores [B], vectors [B,2,D] -> [B].

    Source: Reimers and Gurevych 2019, section 3; sentence-transformers, CosineSimilarityLoss.
    """

    def __init__(self, name: str = "cosine_error", **kwargs: Any) -> None:
        super().__init__(name=name, **kwargs)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        first, second = _unit(y_pred)
        return ops.square(ops.sum(first * second, axis=-1) - ops.reshape(y_true, (-1,)))  # [B]


@keras.saving.register_keras_serializable("keras_bert_zoo")
def own_is_nearest(y_true: Any, y_pred: Any) -> Any:
    """Tell whether each first text is nearest to its own second text within the batch: [B,2,D] -> [B]."""
    first, second = _unit(y_pred)
    own = ops.sum(first * second, axis=-1)  # [B]
    scores = ops.matmul(first, ops.transpose(_of_all_replicas(second)))  # [B,B]
    return ops.cast(ops.max(scores, axis=-1) <= own + _SAME, "float32")


def cosines(vectors: np.ndarray) -> np.ndarray:
    """Return the cosine similarity of each pair: [N,2,D] -> [N]."""
    first, second = _unit_arrays(vectors)
    return (first * second).sum(axis=-1)


def ranking(vectors: np.ndarray) -> dict[str, float]:
    """Return how each first text finds its own second text among all second texts: [N,2,D].

    `accuracy` is the share that finds it first, `mrr` the mean of 1/place.  One that is just as near, such as the same
    text again, does not stand before it.
    """
    first, second = _unit_arrays(vectors)
    own = (first * second).sum(axis=-1)  # [N]
    places = [
        1 + (first[i : i + _BLOCK] @ second.T > own[i : i + _BLOCK, None] + _SAME).sum(axis=1)
        for i in range(0, len(own), _BLOCK)
    ]
    place = np.concatenate(places)
    return {"accuracy": float((place == 1).mean()), "mrr": float((1 / place).mean())}


def _of_all_replicas(vectors: Any) -> Any:
    """Return the vectors of the whole batch, where its rows are dealt to several replicas."""
    if keras.backend.backend() != "tensorflow":
        return vectors
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    several = context is not None and context.num_replicas_in_sync > 1
    return context.all_gather(vectors, axis=0) if several else vectors


def _unit(vectors: Any) -> tuple[Any, Any]:
    vectors = unit(vectors)
    return vectors[:, 0], vectors[:, 1]


def _unit_arrays(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return vectors[:, 0], vectors[:, 1]
