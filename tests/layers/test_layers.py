"""Each layer alone: its numbers, its dropout, and its way through a config."""

import keras
import numpy as np
import pytest
from sizes import BATCH, HEADS, HIDDEN, INNER, POSITIONS, TIME, TYPES, VOCAB

from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.layers import Block, Embeddings, Grid, Norm, Pooler, SelfAttention, ToGrid

MASK = (np.arange(TIME) < np.array([7, 1, 4, 6, 3])[:, None]).astype(np.int32)
TOKENS = np.random.default_rng(0).normal(size=(BATCH * TIME, HIDDEN)).astype(np.float32)
IDS = np.random.default_rng(1).integers(0, VOCAB, (BATCH, TIME), dtype=np.int32)


def make(name):
    return {
        "Embeddings": lambda: Embeddings(VOCAB, HIDDEN, POSITIONS, TYPES, 1e-5, 0.3, 0.4, name="e"),
        "Norm": lambda: Norm(epsilon=1e-3, name="n"),
        "FusedAttention": lambda: SelfAttention(HIDDEN, HEADS, 0.3, 0.4, fused=True, name="a"),
        "SelfAttention": lambda: SelfAttention(HIDDEN, HEADS, 0.3, 0.4, name="a"),
        "Block": lambda: Block(HIDDEN, HEADS, INNER, "relu", 1e-5, 0.2, 0.3, 0.4, name="b"),
        "Grid": lambda: Grid("packed", name="g"),
        "ToGrid": lambda: ToGrid(name="t"),
        "Pooler": lambda: Pooler(HIDDEN, 0.4, name="p"),
    }[name]()


def call(layer):
    grid = Grid()(MASK)
    if isinstance(layer, Embeddings):
        return layer(IDS, IDS % TYPES, grid)
    if isinstance(layer, Grid):
        return layer(MASK)["places"]
    if isinstance(layer, Norm):
        return layer(TOKENS)
    if isinstance(layer, Pooler):
        return layer(TOKENS.reshape(BATCH, TIME, HIDDEN))
    return layer(TOKENS, grid)


@pytest.mark.parametrize(
    "name", ["Embeddings", "SelfAttention", "FusedAttention", "Block", "Grid", "ToGrid", "Norm", "Pooler"]
)
def test_a_layer_survives_its_config(name):
    layer = make(name)
    before = np.asarray(call(layer))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
    call(again)
    assert [v.path for v in again.weights] == [v.path for v in layer.weights]
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(np.asarray(call(again)), before)


def test_a_precision_survives_the_config():
    block = Block(HIDDEN, HEADS, INNER, "relu", 1e-5, 0.2, 0.3, 0.4, name="b", dtype="mixed_bfloat16")
    again = Block.from_config(block.get_config())
    assert again.compute_dtype == again.inner.compute_dtype == again.attention.query.compute_dtype == "bfloat16"
    assert again.inner.variable_dtype == "float32"


def test_the_grid_hides_padding_and_puts_tokens_back():
    grid = Grid()(MASK)
    bias = np.asarray(grid["groups"][0]["bias"])
    assert bias.shape == (BATCH, 1, 1, TIME)
    np.testing.assert_array_equal(bias[:, 0, 0] == 0, MASK == 1)
    assert bias.min() <= -1e9
    np.testing.assert_array_equal(np.asarray(ToGrid()(TOKENS, grid)), TOKENS.reshape(BATCH, TIME, HIDDEN))
    half = np.asarray(Grid(dtype="float16")(MASK)["groups"][0]["bias"])
    assert np.isfinite(half).all()
    assert np.exp(half.min()) == 0


def test_a_layout_that_is_not_there():
    with pytest.raises(ConfigError, match=r"layout is 'diagonal', it must be one of padded"):
        Grid("diagonal")


def test_heads_that_do_not_divide():
    with pytest.raises(ConfigError, match=r"SelfAttention: 12 cannot be divided by 5 heads"):
        SelfAttention(HIDDEN, 5, 0.1, 0.02)


def test_the_pooler_reads_the_first_token():
    pooler = make("Pooler")
    x = TOKENS.reshape(BATCH, TIME, HIDDEN)
    found = np.asarray(pooler(x))
    want = np.tanh(x[:, 0] @ np.asarray(pooler.kernel) + np.asarray(pooler.bias))
    np.testing.assert_allclose(found, want, atol=1e-6)


# Dropout by value: each test lets one dropout alone decide an output, and counts.  A share of n draws lies within
# five deviations, 5·sqrt(p(1-p)/n), of its rate.
RATE = 0.3


def near(share, draws):
    assert abs(share - RATE) < 5 * (RATE * (1 - RATE) / draws) ** 0.5


def test_the_dropout_of_the_embeddings():
    keras.utils.set_random_seed(1)
    layer = Embeddings(VOCAB, HIDDEN, 1_000, TYPES, 1e-12, RATE, 0.02)
    ids = np.ones((5, 200), np.int32)
    grid = Grid()(ids)
    full = np.asarray(layer(ids, ids, grid, training=False))
    found = np.asarray(layer(ids, ids, grid, training=True))
    near((found == 0).mean(), found.size)
    np.testing.assert_allclose(found[found != 0], full[found != 0] / (1 - RATE), rtol=1e-5)


def test_the_dropout_of_the_attention_weights():
    keras.utils.set_random_seed(2)
    time = 96
    layer = SelfAttention(time, 1, RATE, 0.02)
    layer.build((None, time))
    eye, zero = np.eye(time), np.zeros((time, time))
    layer.set_weights([zero, zero[0], zero, zero[0], eye, zero[0], eye, zero[0]])  # query, key, value, output
    grid = Grid()(np.ones((1, time), np.int32))
    weights = np.asarray(layer(eye.astype(np.float32), grid, training=True))  # every score is 0, so all weights are 1/T
    near((weights == 0).mean(), weights.size)
    np.testing.assert_allclose(weights[weights != 0], 1 / time / (1 - RATE), rtol=1e-5)
    np.testing.assert_allclose(np.asarray(layer(eye.astype(np.float32), grid)), 1 / time, rtol=1e-5)


@pytest.mark.parametrize("bias", ["attention/output/bias", "outer/bias"])
def test_the_dropouts_of_the_block(bias):
    keras.utils.set_random_seed(3)
    layer = Block(HIDDEN, HEADS, INNER, "relu", 1e-12, RATE, 0.0, 0.02, name="b")
    grid = Grid()(np.ones((1, 2_000), np.int32))
    layer.build((None, HIDDEN))
    for variable in layer.weights:  # all that is left of the block is one bias, dropped or not, then normalised
        variable.assign(np.ones(variable.shape) if variable.path.endswith(("gamma", bias)) else variable * 0)
    found = np.asarray(layer(np.zeros((2_000, HIDDEN), np.float32), grid, training=True))
    mixed = found[np.ptp(found, axis=1) > 1e-3]  # a row all kept or all dropped normalises to 0
    assert len(mixed) > 1_900
    near((mixed < 0).mean(), mixed.size)
    assert np.ptp(np.asarray(layer(np.zeros((2, HIDDEN), np.float32), Grid()(np.ones((1, 2), np.int32))))) < 1e-6
