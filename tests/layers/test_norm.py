"""Layer normalisation against its formula, and against Keras's own layer."""

import keras
import numpy as np
import pytest

from keras_bert_zoo.layers import Norm

X = np.random.default_rng(5).normal(3.0, 2.0, (7, 12)).astype("float32")  # [N,D]


def make(dtype="float32", epsilon=1e-2):
    norm = Norm(epsilon=epsilon, dtype=dtype, name="norm")
    norm.build((None, 12))
    norm.gamma.assign(np.linspace(0.5, 2.0, 12))
    norm.beta.assign(np.linspace(-1.0, 1.0, 12))
    return norm


def by_hand(x, gamma, beta, epsilon=1e-2):
    x = x.astype("float64")
    centred = x - x.mean(1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(1, keepdims=True) + epsilon) * gamma + beta


def test_it_is_the_formula():
    want = by_hand(X, np.linspace(0.5, 2.0, 12), np.linspace(-1.0, 1.0, 12))
    np.testing.assert_allclose(make()(X), want, atol=1e-5)


def test_it_takes_the_place_of_keras_own():
    ours, theirs = make(), keras.layers.LayerNormalization(epsilon=1e-2, name="norm")
    theirs.build((None, 12))
    theirs.set_weights(ours.get_weights())
    assert [w.path for w in ours.weights] == [w.path for w in theirs.weights]
    np.testing.assert_allclose(ours(X), theirs(X), atol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "mixed_bfloat16", "float16"])
def test_means_and_variances_are_float32_in_any_precision(dtype):
    norm = make(dtype)
    x = keras.ops.cast(X + 100, norm.compute_dtype)  # bfloat16 keeps 3 digits: squares of it would lose all
    got = np.asarray(keras.ops.cast(norm(x), "float32"))
    gamma, beta = (np.asarray(keras.ops.cast(w, "float32")) for w in (norm.gamma, norm.beta))
    want = by_hand(np.asarray(keras.ops.cast(x, "float32")), gamma, beta)
    assert keras.backend.standardize_dtype(norm(x).dtype) == norm.compute_dtype
    np.testing.assert_allclose(got, want, atol=0.02)
