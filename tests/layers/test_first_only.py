"""The last block for first tokens alone gives what the whole encoder gives there: values, gradients, layouts."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny

from keras_bert_zoo.encoder import encode, serving_copy, with_layout

LENGTHS = np.array([3, 17, 1, 9, 5, 4, 18])  # packed: three groups, not in the order of the batch
MASK = (np.arange(19) < LENGTHS[:, None]).astype("int32")
IDS = np.random.default_rng(3).integers(5, 99, MASK.shape).astype("int32")
INPUTS = {"input_word_ids": IDS, "input_mask": MASK, "input_type_ids": (IDS % 2) * MASK}


@pytest.fixture(scope="module")
def encoder():
    still = tiny.CONFIG.replace(
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, max_position_embeddings=MASK.shape[1]
    )
    return tiny.bundle(config=still).encoder


@pytest.fixture(scope="module")
def first(encoder):
    return keras.Model(encoder.input, encode(encoder, first_only=True))


@pytest.mark.parametrize("layout", ["padded", "packed"])
@pytest.mark.parametrize("in_graph", [False, True], ids=["eager", "graph"])
def test_values(encoder, first, layout, in_graph):
    model = with_layout(first, layout)
    got = (tf.function(model) if in_graph else model)(INPUTS)
    assert got.shape == (7, 1, 12)
    np.testing.assert_allclose(got, encoder(INPUTS)["sequence_output"][:, :1], atol=1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.1)])
def test_values_of_a_serving_copy(encoder, first, dtype, tolerance):
    got = np.float32(serving_copy(first, dtype)(INPUTS))
    np.testing.assert_allclose(got, encoder(INPUTS)["sequence_output"][:, :1], atol=tolerance)


@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_gradients(encoder, first, layout):
    weights = np.random.default_rng(4).normal(size=(7, 1, 12)).astype("float32")
    variables = [v.value for v in first.trainable_variables]

    def gradients(output):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(output() * weights)
        return [tf.convert_to_tensor(g) for g in tape.gradient(loss, variables)]

    model = with_layout(first, layout)
    ours = gradients(lambda: model(INPUTS, training=True))
    theirs = gradients(lambda: encoder(INPUTS, training=True)["sequence_output"][:, :1])
    for variable, one, other in zip(first.trainable_variables, ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5 * max(1, np.abs(other).max()), err_msg=variable.path)


@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_the_last_block_works_on_as_many_tokens_as_there_are_rows(first, layout):
    model = with_layout(first, layout)
    sizes = {}
    for name in ("block_1", "block_2"):
        dense = model.get_layer(name).inner

        def call(x, *, name=name, original=dense.call, **kwargs):
            sizes[name] = x.shape[0]
            return original(x, **kwargs)

        dense.call = call
    try:
        model(INPUTS)
    finally:
        for name in sizes:
            del model.get_layer(name).inner.call
    assert sizes == {"block_1": MASK.size if layout == "padded" else 64, "block_2": 7}  # 57 real tokens


def test_no_rows(first):
    nothing = {name: values[:0] for name, values in INPUTS.items()}
    for layout in ("padded", "packed"):
        assert with_layout(first, layout)(nothing).shape == (0, 1, 12)


def test_it_is_saved_and_loaded(encoder, first, tmp_path):
    first.save(tmp_path / "first.keras")
    loaded = keras.saving.load_model(tmp_path / "first.keras")
    np.testing.assert_allclose(loaded(INPUTS), encoder(INPUTS)["sequence_output"][:, :1], atol=1e-5)
