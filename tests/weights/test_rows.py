"""The words of a weight table."""

import numpy as np
import pytest

from keras_bert_zoo.weights.model_garden import encoder_rows
from keras_bert_zoo.weights.rows import IDENTITY, TRANSPOSE, Constant, Pair, Row, expand, split_heads, split_heads_in


@pytest.mark.parametrize("op", [IDENTITY, TRANSPOSE])
def test_an_op_undoes_itself(op):
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(op.ours(op.theirs(x)), x)
    np.testing.assert_array_equal(op.theirs(op.ours(x)), x)
    assert op.their_shape((2, 3)) == op.theirs(x).shape


@pytest.mark.parametrize(
    ("op", "shape", "theirs"),
    [
        (split_heads(4), (5, 12), (5, 4, 3)),
        (split_heads(4), (12,), (4, 3)),
        (split_heads_in(4), (12, 5), (4, 3, 5)),
    ],
)
def test_heads_side_by_side_and_apart(op, shape, theirs):
    x = np.arange(np.prod(shape)).reshape(shape)
    assert op.theirs(x).shape == op.their_shape(shape) == theirs
    np.testing.assert_array_equal(op.ours(op.theirs(x)), x)
    np.testing.assert_array_equal(op.theirs(x).ravel(), x.ravel())  # head h has columns h*S to (h+1)*S


def test_a_shape_costs_no_memory():
    assert TRANSPOSE.their_shape((10**9, 10**9, 7)) == (7, 10**9, 10**9)
    assert split_heads(4).their_shape((10**9, 4 * 10**8)) == (10**9, 4, 10**8)
    assert split_heads_in(4).their_shape((4 * 10**8, 10**9)) == (4, 10**8, 10**9)


@pytest.mark.parametrize("row", encoder_rows(heads=3), ids=lambda row: row.ours)
def test_an_op_with_an_axis_for_heads_undoes_itself(row):
    shape = (12, 6) if "/kernel" in row.ours else (12,)  # a layer from 6 or to 12, in 3 heads
    x = np.arange(np.prod(shape)).reshape(shape)
    y = row.op.theirs(x)
    np.testing.assert_array_equal(row.op.ours(y), x)
    np.testing.assert_array_equal(row.op.theirs(row.op.ours(y)), y)
    assert row.op.their_shape(shape) == y.shape
    split = (12, 3, 2) if "/kernel" in row.ours else (3, 4)
    assert y.shape == {"split_heads": split, "split_heads_in": (3, 4, 6), "identity": shape}[row.op.name]


def test_a_row_stands_for_every_layer_of_the_model():
    rows = [
        Row("block_{i}/k", "layer.{i}.k", TRANSPOSE),
        Row("block_{i}/k/deep", "layer.{i}.d"),
        Row("head/k", "head.k"),
        Row("absent/k", "absent.k"),
        Constant("ids", lambda shapes: np.arange(3)),
    ]
    paths = ["block_0/k", "block_1/k", "block_0/k/deep", "head/k", "block_x/k", "other"]
    assert expand(rows, paths) == [
        Pair("block_0/k", "layer.0.k", TRANSPOSE),
        Pair("block_1/k", "layer.1.k", TRANSPOSE),
        Pair("block_0/k/deep", "layer.0.d", IDENTITY),
        Pair("head/k", "head.k", IDENTITY),
    ]


def test_a_name_that_counts_as_keras_does():
    pairs = expand([Row("block_{i}/k", "encoder{_i}/{i}")], [f"block_{i}/k" for i in range(3)])
    assert [pair.theirs for pair in pairs] == ["encoder/0", "encoder_1/1", "encoder_2/2"]


def test_more_than_nine_layers():
    paths = [f"block_{i}/k" for i in range(24)]
    assert [pair.theirs for pair in expand([Row("block_{i}/k", "l.{i}.k")], paths)] == [f"l.{i}.k" for i in range(24)]
