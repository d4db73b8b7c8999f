"""TensorFlow's own kernels against numpy and against those they stand in for."""

import numpy as np
import pytest
import tensorflow as tf

from keras_bert_zoo.layers import kernels
from keras_bert_zoo.serving.kernels import TENSORFLOW

RANDOM = np.random.default_rng(5)
# On both sides of the size from which on the norm is fused; the last is as the masked-LM head has it.
SHAPES = [(7, 96), (1_100, 96), (5, 211, 96)]


def layer_norm(x, epsilon, scale, shift):
    x = x.astype("float64")
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt(np.square(centred).mean(-1, keepdims=True) + epsilon) * scale + shift


@pytest.mark.parametrize("epsilon", [1e-12, 0.5])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_norm_is_the_layer_norm(dtype, shape, epsilon):
    tolerance = {"atol": 5e-6} if dtype == "float32" else {"atol": 0.02, "rtol": 0.02}
    x = tf.cast(RANDOM.normal(3, 2, shape), dtype)
    scale, shift = RANDOM.normal(size=(2, shape[-1])).astype("float32")
    want = layer_norm(tf.cast(x, tf.float64).numpy(), epsilon, scale, shift)

    def normal(x):
        return TENSORFLOW.normal(x + 0, epsilon, tf.constant(scale, dtype), tf.constant(shift, dtype))

    # Traced, as an export is: TensorFlow's optimizer puts another kernel in the place of ours.
    open_shape = tf.TensorSpec([*[None] * (len(shape) - 1), shape[-1]], dtype)
    traced = tf.function(normal, input_signature=[open_shape], autograph=False)
    for function in (normal, traced, lambda x: kernels.normal(x, epsilon, scale, shift)):
        got = function(x)
        assert got.dtype == dtype
        np.testing.assert_allclose(tf.cast(got, tf.float32), want, **tolerance)


def test_only_large_norms_are_fused():
    def normal(x):
        return TENSORFLOW.normal(x, 1e-12, tf.ones([96]), tf.zeros([96]))

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        x = tf.compat.v1.placeholder(tf.float32, [None, 96])
        y = normal(x)
        for tokens, fused in ((7, False), (1_100, True)):
            options = tf.compat.v1.RunOptions(trace_level=tf.compat.v1.RunOptions.FULL_TRACE)
            told = tf.compat.v1.RunMetadata()
            session.run(y, {x: np.ones((tokens, 96))}, options=options, run_metadata=told)
            ran = [node.timeline_label for device in told.step_stats.dev_stats for node in device.node_stats]
            assert any("FusedBatchNorm" in label or "LayerNorm" in label for label in ran) == fused


def test_rows_are_taken_by_number():
    table = np.arange(33).reshape(11, 3)
    numbers = np.array([[10, 0], [4, 4]])
    np.testing.assert_array_equal(TENSORFLOW.take(table, numbers), table[numbers])
    np.testing.assert_array_equal(kernels.take(table, numbers), table[numbers])


def test_other_kernels_last_as_long_as_they_are_asked_for():
    tens = kernels.Kernels(take=lambda table, numbers: 10)
    with kernels.using(tens):
        assert kernels.take([1], [0]) == 10
        np.testing.assert_allclose(kernels.normal(np.array([[1.0, 3.0]], "float32"), 0.0, 1.0, 0.0), [[-1, 1]])
    assert kernels.take(np.array([1]), np.array([0])) == 1
