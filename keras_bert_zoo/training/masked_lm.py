"""Loss and metrics of masked language modelling, Google's definitions.  B batch, M places asked about, V vocabulary.

Targets are float32 [B,M,2]: the id that stood at each place, and how much the place counts (1, or 0 for padding).
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

_LEAST = 1e-5  # run_pretraining.py get_masked_lm_output: a batch without a single place has loss 0


@keras.saving.register_keras_serializable("keras_bert_zoo")
class MaskedLMLoss(keras.losses.Loss):
    """Cross entropy of targets [B,M,2] and logits [B,M,V], averaged by weight: values [B,M] whose mean is the loss.

    Source: google-research/bert run_pretraining.py get_masked_lm_output.
    """

    least = _LEAST

    def call(self, y_true: Any, y_pred: Any) -> Any:
        losses, weights = _losses(y_true, y_pred)
        places = ops.cast(ops.size(weights), "float32")
        return losses * weights * (places / (ops.sum(weights) + _LEAST))

    def counted(self, y_true: Any) -> Any:
        """Return what the batch's loss is a mean over: how much its places count in sum."""
        return ops.sum(_parted(y_true)[1])


@keras.saving.register_keras_serializable("keras_bert_zoo")
class MaskedLMAccuracy(keras.metrics.Mean):
    """The share of the places, by weight, where the token with the highest logit is the one that stood there.

    Source: run_pretraining.py metric_fn, "masked_lm_accuracy".
    """

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        ids, weights = _parted(y_true)
        right = ops.equal(_best(y_pred), ids)
        super().update_state(_flat(ops.cast(right, "float32")), sample_weight=_flat(weights))


@keras.saving.register_keras_serializable("keras_bert_zoo")
class Perplexity(keras.metrics.Mean):
    """exp of the mean cross entropy, by weight, over all places seen, however they were cut into batches."""

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        losses, weights = _losses(y_true, y_pred)
        super().update_state(_flat(losses), sample_weight=_flat(weights))

    def result(self) -> Any:
        return ops.exp(super().result())


def _flat(values: Any) -> Any:
    """List the places: Keras would average over each row first, and so over the padding of its batch."""
    return ops.reshape(values, (-1,))


def _parted(targets: Any) -> tuple[Any, Any]:
    """[B,M,2] -> ids int32 [B,M], weights float32 [B,M]."""
    return ops.cast(targets[..., 0], "int32"), ops.cast(targets[..., 1], "float32")


def _losses(targets: Any, logits: Any) -> tuple[Any, Any]:
    """Return the cross entropy of each place and its weight, float32 [B,M] each."""
    ids, weights = _parted(targets)
    logits = ops.cast(logits, "float32")
    return _cross_entropy(ids, logits), weights


def _cross_entropy(ids: Any, logits: Any) -> Any:
    """Return the cross entropy of ids int32 [B,M] and logits float32 [B,M,V]: float32 [B,M]."""
    if keras.backend.backend() != "tensorflow":
        return ops.sparse_categorical_crossentropy(ids, logits, from_logits=True)
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return tf.nn.sparse_softmax_cross_entropy_with_logits(ids, logits)
    flat = _few_passes(tf.reshape(logits, [-1, tf.shape(logits)[-1]]), tf.reshape(ids, [-1]))
    return tf.reshape(flat, tf.shape(ids))


def _few_passes(logits: Any, ids: Any) -> Any:
    """Return the cross entropy of logits float32 [N,V] and ids int32 [N]: float32 [N].

    On a CPU each pass over [N,V] counts.  TensorFlow's own call makes many where it is to be deterministic, and as one
    operation its `exp` is slow.  What the metrics ask for is the same, so TensorFlow computes it once for both.
    """
    import tensorflow as tf

    @tf.custom_gradient
    def cross_entropy(logits: Any) -> Any:
        highest = tf.reduce_max(logits, axis=-1, keepdims=True)  # [N,1]
        shares = tf.exp(logits - highest)  # [N,V]
        total = tf.reduce_sum(shares, axis=-1)  # [N]
        losses = tf.math.log(total) + highest[:, 0] - tf.gather(logits, ids, batch_dims=1)

        def gradient(upstream: Any) -> Any:
            places = tf.stack([tf.range(tf.shape(ids)[0]), ids], axis=1)  # [N,2]
            return tf.tensor_scatter_nd_sub(shares * (upstream / total)[:, None], places, upstream)

        return losses, gradient

    return cross_entropy(logits)


def _best(logits: Any) -> Any:
    """Return the id of the highest logit, the first of equals: [B,M,V] -> int32 [B,M]."""
    if keras.backend.backend() != "tensorflow":
        return ops.cast(ops.argmax(logits, axis=-1), "int32")
    import tensorflow as tf

    return tf.argmax(logits, axis=-1, output_type=tf.int32)  # Keras's first looks for negative zeros, in four passes
