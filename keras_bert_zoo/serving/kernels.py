"""What TensorFlow computes in fewer steps than `keras.ops`, for graphs that are served.  N tokens, D hidden size."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_bert_zoo.layers.kernels import KERAS, Kernels

# Numbers [N,D] from which on the fused norm wins; below, what it costs to call is more.  benchmarks/RESULTS.md
_MANY = 3 * 2**15


def _take(table: Any, numbers: Any) -> Any:
    return tf.gather(table, numbers)  # without the five nodes in which Keras looks for negative numbers


def _normal(x: Any, epsilon: float, scale: Any, shift: Any) -> Any:
    def in_steps() -> Any:
        return KERAS.normal(x, epsilon, scale, shift)

    def fused() -> Any:
        # A batch norm in training is a layer norm, if every token is a channel.  Written in just these operations
        # TensorFlow's optimizer knows it as one and has a kernel for it on CPUs, with our epsilon: for a layer norm
        # written out in means and squares it takes 0.001, whatever was asked for.
        size = x.shape[-1]
        tokens = tf.size(x) // size
        none = tf.zeros([0])
        channels = tf.raw_ops.FusedBatchNormV3(
            x=tf.reshape(x, [1, tokens, 1, size]),
            scale=tf.ones([tokens]),
            offset=tf.zeros([tokens]),
            mean=none,
            variance=none,
            epsilon=epsilon,
            exponential_avg_factor=1.0,
            data_format="NCHW",
            is_training=True,
        )
        return tf.reshape(channels.y, tf.shape(x)) * tf.cast(scale, x.dtype) + tf.cast(shift, x.dtype)

    return tf.ensure_shape(tf.cond(tf.size(x) < _MANY, in_steps, fused), x.shape)


TENSORFLOW = Kernels(take=_take, normal=_normal)
