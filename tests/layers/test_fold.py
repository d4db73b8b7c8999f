"""Layers for several texts an example, and those that make a vector of a text, against numpy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.layers import ChoiceLogits, Fold, SentencePooling, Unfold
from keras_bert_zoo.training.pairs import CosineError

RANDOM = np.random.default_rng(5)
GRID = RANDOM.integers(0, 9, (4, 3, 5)).astype("int32")  # [B,C,T]
VECTORS = RANDOM.normal(size=(12, 6)).astype("float32")  # [R,D]
SEQUENCE = RANDOM.normal(size=(4, 5, 6)).astype("float32")  # [B,T,D]
MASK = (np.arange(5) < np.array([[5], [1], [3], [4]])).astype("int32")


@pytest.mark.parametrize("in_graph", [False, True], ids=["eager", "graph"])
def test_fold_and_unfold(in_graph):
    fold, unfold = Fold(), Unfold()
    if in_graph:
        fold = tf.function(fold, input_signature=[tf.TensorSpec([None, None, None], tf.int32)])
        unfold = tf.function(
            unfold,
            input_signature=[tf.TensorSpec([None, 6], tf.float32), tf.TensorSpec([None, None, None], tf.int32)],
        )
    np.testing.assert_array_equal(fold(GRID), GRID.reshape(12, 5))
    np.testing.assert_array_equal(unfold(VECTORS, GRID), VECTORS.reshape(4, 3, 6))
    assert fold(GRID[:, :0]).shape == (0, 5)
    assert unfold(VECTORS[:0], GRID[:, :0]).shape == (4, 0, 6)


def test_what_is_no_choice_gets_nothing():
    mask = GRID * 0 + 1
    mask[1, 2], mask[3] = 0, 0
    got = ChoiceLogits()(VECTORS.reshape(4, 3, 6)[..., :1], mask).numpy()
    want = VECTORS.reshape(4, 3, 6)[..., 0]
    np.testing.assert_allclose(got, np.where(mask[..., 0] > 0, want, want - np.float32(1e9)), rtol=1e-6)
    assert tf.nn.softmax(got)[1, 2] == 0


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_pooling(pooling, normalize):
    rows = [row[: mask.sum()].astype("float64") for row, mask in zip(SEQUENCE, MASK, strict=True)]
    take = {"mean": lambda row: row.mean(0), "cls": lambda row: row[0], "max": lambda row: row.max(0)}[pooling]
    want = np.array([take(row) for row in rows])
    want = want / np.linalg.norm(want, axis=1, keepdims=True) if normalize else want
    got = SentencePooling(pooling, normalize)(SEQUENCE, MASK)
    np.testing.assert_allclose(got, want, atol=1e-6)


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_a_row_without_a_token_has_a_vector_of_numbers(pooling):
    got = SentencePooling(pooling)(SEQUENCE[:1], MASK[:1] * 0)
    assert np.isfinite(got).all()


@pytest.mark.parametrize("compiled", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_a_row_without_a_token_sends_nothing_back(pooling, compiled):
    mask = MASK.copy()
    mask[2] = 0  # half of the second pair
    layer, loss = SentencePooling(pooling), CosineError()

    @tf.function(jit_compile=compiled)
    def gradient(x, mask):
        with tf.GradientTape() as tape:
            tape.watch(x)
            vectors = tf.reshape(layer(x, mask), [2, 2, 6])
            told = loss(tf.constant([0.3, 0.6]), vectors)
        return vectors, told, tape.gradient(told, x)

    vectors, told, back = gradient(tf.constant(SEQUENCE), tf.constant(mask))
    first, second = (np.dot(*pair) for pair in vectors.numpy())
    np.testing.assert_allclose(told, ((first - 0.3) ** 2 + (second - 0.6) ** 2) / 2, rtol=1e-5)
    assert np.isfinite(back).all()
    np.testing.assert_array_equal(back[2], np.zeros((5, 6)))
    assert np.abs(back[0]).max() > 1e-3
    np.testing.assert_array_equal(back[1, 1:], np.zeros((4, 6)))
    if pooling == "mean":
        np.testing.assert_array_equal(vectors[1, 0], np.zeros(6))


def test_sums_are_float32_whatever_comes_in():
    layer = SentencePooling("mean", dtype="bfloat16")
    got = layer(tf.cast(SEQUENCE, tf.bfloat16), MASK)
    assert got.dtype == Unfold(dtype="bfloat16")(got, MASK[:, None]).dtype == tf.float32
    rounded = tf.cast(tf.cast(SEQUENCE, tf.bfloat16), tf.float32)
    np.testing.assert_array_equal(got, SentencePooling("mean")(rounded, MASK))


@pytest.mark.parametrize("layer", [Fold(), Unfold(), ChoiceLogits(), SentencePooling("max", False)], ids=repr)
def test_they_are_made_again_from_their_config(layer):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()


def test_a_pooling_there_is_not():
    with pytest.raises(ConfigError, match="pooling is 'sum', it must be one of mean, cls, max"):
        SentencePooling("sum")
