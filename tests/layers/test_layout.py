"""The packed layout against the padded one: the same weights, the same answers, the same gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny

import keras_bert_zoo as kbz
from keras_bert_zoo.encoder import serving_copy, with_layout
from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.layers.layout import from_heads, row_groups, to_heads

MASK = np.array([[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 1], [1, 0, 0, 0, 0, 0], [1, 0, 1, 1, 0, 0]], "int32")
IDS = np.random.default_rng(1).integers(5, 99, MASK.shape).astype("int32")
INPUTS = {"input_word_ids": IDS, "input_mask": MASK, "input_type_ids": (IDS % 2) * MASK}
STILL = tiny.CONFIG.replace(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


@pytest.fixture(scope="module")
def padded():
    return tiny.bundle(config=STILL).encoder


@pytest.fixture(scope="module")
def packed(padded):
    return with_layout(padded, "packed")


@pytest.mark.parametrize("in_graph", [False, True], ids=["eager", "graph"])
def test_outputs_are_equal_on_real_tokens_and_zero_elsewhere(padded, packed, in_graph):
    want, got = padded(INPUTS), (tf.function(packed) if in_graph else packed)(INPUTS)
    real = MASK[..., None]
    np.testing.assert_allclose(got["pooled_output"], want["pooled_output"], atol=1e-5)
    for ours, theirs in zip(got["encoder_outputs"], want["encoder_outputs"], strict=True):
        np.testing.assert_allclose(ours * real, theirs * real, atol=1e-5)
        assert np.abs(ours * (1 - real)).max() == 0


def test_layers_and_weights_are_shared(padded, packed):
    assert len(packed.variables) == len(padded.variables)
    assert all(a is b for a, b in zip(packed.variables, padded.variables, strict=True))
    again = with_layout(packed, "padded")
    np.testing.assert_array_equal(again(INPUTS)["sequence_output"], padded(INPUTS)["sequence_output"])


def test_gradients_are_equal(padded, packed):
    def gradients(model):
        with tf.GradientTape() as tape:
            outputs = model(INPUTS, training=True)
            rows = outputs["sequence_output"] * MASK[..., None]
            loss = tf.reduce_sum(rows**2 * np.arange(1, 13)) + tf.reduce_sum(outputs["pooled_output"] ** 3)
        return [tf.convert_to_tensor(g) for g in tape.gradient(loss, [v.value for v in model.trainable_variables])]

    for variable, ours, theirs in zip(padded.trainable_variables, gradients(packed), gradients(padded), strict=True):
        scale = max(1.0, np.abs(theirs).max())
        np.testing.assert_allclose(ours / scale, theirs / scale, atol=1e-5, err_msg=variable.path)


def test_only_the_tokens_there_are_are_computed(packed):
    sizes = []
    block = packed.get_layer("block_1")
    original = block.inner.call
    block.inner.call = lambda x, **kwargs: (sizes.append(x.shape[0]), original(x, **kwargs))[1]
    try:
        packed(INPUTS)
    finally:
        block.inner.call = original
    assert MASK.sum() == 13
    assert sizes == [16]  # the next multiple of 8


def test_many_different_lengths_give_few_numbers_of_tokens():
    listed = set()
    for length in range(1, 200):
        grid = kbz.layers.Grid("packed")(np.ones((1, length), "int32"))
        cells = np.asarray(grid["cells"])
        assert cells[:length].tolist() == list(range(length))
        assert set(cells[length:]) <= {length - 1}
        assert len(cells) - length < (8 if length < 64 else 32)
        listed.add(len(cells))
    assert sorted(listed) == [8, 16, 24, 32, 40, 48, 56, 64, 96, 128, 160, 192, 224]


def test_rows_of_like_length_attend_together():
    grid = kbz.layers.Grid("packed")(MASK)  # rows of 3, 6, 1 and 3 tokens
    assert [group["tokens"].shape.as_list() for group in grid["groups"]] == [[1, 6], [2, 3], [1, 1]]
    assert [np.asarray(group["tokens"]).tolist() for group in grid["groups"]] == [
        [[3, 4, 5, 6, 7, 8]],
        [[0, 1, 2], [10, 11, 12]],
        [[9]],
    ]


def test_tokens_come_back_from_the_heads_as_they_went():
    lengths = np.array([3, 17, 1, 9, 5, 4])
    mask = (np.arange(19) < lengths[:, None]).astype("int32")
    grid = kbz.layers.Grid("packed")(mask)
    x = np.arange(lengths.sum() * 10, dtype="float32").reshape(-1, 10)  # [N,D]
    rows = [row for group in row_groups(grid) for row in to_heads(x, grid, group, 5)]
    assert len(rows) == 3
    assert all(row.shape[1] == 5 and row.shape[3] == 2 for row in rows)
    back = np.asarray(from_heads(rows, grid))
    np.testing.assert_array_equal(back[:39], x)
    np.testing.assert_array_equal(back[39:], x[-1:])  # the fortieth is the last one again


@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_parts_of_one_product_go_to_the_heads_as_if_they_were_several(layout):
    mask = (np.arange(7) < np.array([3, 7, 1, 5])[:, None]).astype("int32")
    grid = kbz.layers.Grid(layout)(mask)
    tokens = 28 if layout == "padded" else 16
    parts = np.random.default_rng(0).normal(size=(3, tokens, 10)).astype("float32")  # [parts,N,D]
    together = np.concatenate(parts, axis=-1)  # [N,3·D]
    for group in row_groups(grid):
        found = to_heads(together, grid, group, 5, parts=3)
        assert len(found) == 3
        for part, rows in zip(parts, found, strict=True):
            np.testing.assert_array_equal(rows, to_heads(part, grid, group, 5)[0])


def test_a_serving_copy_answers_alike(padded):
    want = padded(INPUTS)
    for dtype, tolerance in (("float32", 1e-5), ("bfloat16", 0.1)):
        copy = serving_copy(padded, dtype)
        assert {weight.dtype for weight in copy.trainable_variables} == {dtype}
        assert not {id(w) for w in copy.variables} & {id(w) for w in padded.variables}
        assert copy.get_layer("block_1").attention.query_key_value.kernel.shape == (12, 36)
        got = copy(INPUTS)
        np.testing.assert_allclose(np.float32(got["pooled_output"]), want["pooled_output"], atol=tolerance)
        real = MASK[..., None]
        ours, theirs = np.float32(got["sequence_output"]), np.float32(want["sequence_output"])
        np.testing.assert_allclose(ours * real, theirs * real, atol=tolerance)


def test_odd_batches(packed, padded):
    nothing = {name: values[:0] for name, values in INPUTS.items()}
    assert packed(nothing)["sequence_output"].shape == (0, 6, 12)
    hidden = {**INPUTS, "input_mask": np.zeros_like(MASK)}  # no row has a real token
    assert np.isfinite(packed(hidden)["pooled_output"]).all()


def test_a_packed_encoder_trains_and_is_saved(tmp_path):
    head = kbz.heads.Classification(["bad", "good"])
    model = head.attach(kbz.build_encoder(tiny.CONFIG, layout="packed"))
    model.compile(kbz.adamw(1e-3, steps=9), head.loss())
    rows = tiny.mood_table().batches(head, tiny.tokenizer(), 5, shuffle=True, length=9)
    assert np.isfinite(model.fit(rows, verbose=0).history["loss"]).all()
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.get_layer("grid").layout == "packed"
    np.testing.assert_array_equal(again(INPUTS), model(INPUTS))


def test_an_export_leaves_the_model_as_it_was(tmp_path):
    head = kbz.heads.Regression()
    bundle = tiny.bundle(head)
    before = bundle.model(INPUTS).numpy()
    kbz.export_saved_model(bundle.model, head, bundle.tokenizer, tmp_path / "model")
    assert bundle.model.get_layer("grid").layout == "padded"
    bundle.model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "model.keras")(INPUTS), before)


def test_what_cannot_be_laid_out(monkeypatch, padded):
    with pytest.raises(ConfigError, match="layout is 'heap', it must be one of padded, packed"):
        with_layout(padded, "heap")
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ConfigError, match=r"which JAX has not: use 'padded'"):
        kbz.layers.Grid("packed")
