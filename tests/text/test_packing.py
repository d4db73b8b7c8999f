"""Packing against the original's token-by-token truncation."""

import random

import numpy as np
import pytest
import tensorflow as tf
from sizes import VOCAB

from keras_bert_zoo.errors import ConfigError, DataError
from keras_bert_zoo.text.packing import pack

PAD, CLS, SEP = 3, 1, 2  # none is 0, so that padding by accident shows


def ragged(rows: list[list[int]]) -> tf.RaggedTensor:
    flat = tf.constant([id_ for row in rows for id_ in row], tf.int32)
    return tf.RaggedTensor.from_row_lengths(flat, tf.constant([len(row) for row in rows], tf.int64))


def truncate_pair(a: list[int], b: list[int], room: int) -> tuple[list[int], list[int]]:
    """What run_classifier.py's _truncate_seq_pair does, one token at a time."""
    a, b = list(a), list(b)
    while len(a) + len(b) > room:
        (a if len(a) > len(b) else b).pop()
    return a, b


def expected(rows: list[list[int]], pairs: list[list[int]] | None, max_length: int) -> dict[str, list[list[int]]]:
    """The three grids, built row by row."""
    ids, types = [], []
    for i, row in enumerate(rows):
        if pairs is None:
            ids.append([CLS, *row[: max_length - 2], SEP])
            types.append([0] * len(ids[-1]))
        else:
            a, b = truncate_pair(row, pairs[i], max_length - 3)
            ids.append([CLS, *a, SEP, *b, SEP])
            types.append([0] * (len(a) + 2) + [1] * (len(b) + 1))
    width = max(map(len, ids), default=2 if pairs is None else 3)
    return {
        "input_word_ids": [row + [PAD] * (width - len(row)) for row in ids],
        "input_mask": [[1] * len(row) + [0] * (width - len(row)) for row in ids],
        "input_type_ids": [row + [0] * (width - len(row)) for row in types],
    }


def random_rows(random_: random.Random, count: int) -> list[list[int]]:
    return [[random_.randrange(4, VOCAB) for _ in range(random_.randint(0, 9))] for _ in range(count)]


@pytest.mark.parametrize("pair", [False, True])
def test_rows_equal_the_originals(pair: bool) -> None:
    random_ = random.Random(11)
    for _ in range(120):
        count, max_length = random_.randint(1, 6), random_.randint(3, 21)
        rows, pairs = random_rows(random_, count), random_rows(random_, count)
        segments = [ragged(rows), ragged(pairs)] if pair else [ragged(rows)]
        packed = pack(segments, cls_id=CLS, sep_id=SEP, pad_id=PAD, max_length=max_length)
        for name, grid in expected(rows, pairs if pair else None, max_length).items():
            assert packed[name].dtype == tf.int32
            assert packed[name].numpy().tolist() == grid, (name, rows, pairs, max_length)


def test_every_pair_of_lengths_is_cut_as_the_original_cuts() -> None:
    lengths = [(a, b) for a in range(9) for b in range(9)]
    rows = [[10 + i for i in range(a)] for a, _ in lengths]
    pairs = [[50 + i for i in range(b)] for _, b in lengths]
    for max_length in range(3, 20):
        packed = pack([ragged(rows), ragged(pairs)], cls_id=CLS, sep_id=SEP, pad_id=PAD, max_length=max_length)
        for name, grid in expected(rows, pairs, max_length).items():
            np.testing.assert_array_equal(packed[name], grid, err_msg=f"{name} at {max_length}")


@pytest.mark.parametrize(("segments", "width"), [(1, 2), (2, 3)])
def test_no_rows(segments: int, width: int) -> None:
    packed = pack([ragged([])] * segments, cls_id=CLS, sep_id=SEP, pad_id=PAD, max_length=9)
    assert {name: grid.shape.as_list() for name, grid in packed.items()} == {
        "input_word_ids": [0, width],
        "input_mask": [0, width],
        "input_type_ids": [0, width],
    }


def test_room_for_nothing_but_special_tokens() -> None:
    packed = pack([ragged([[7, 8], []])], cls_id=CLS, sep_id=SEP, pad_id=PAD, max_length=2)
    assert packed["input_word_ids"].numpy().tolist() == [[CLS, SEP], [CLS, SEP]]


def test_in_a_graph_the_length_stays_free() -> None:
    @tf.function(input_signature=[tf.RaggedTensorSpec([None, None], tf.int32)])
    def packed(rows: tf.RaggedTensor) -> dict[str, tf.Tensor]:
        return pack([rows], cls_id=CLS, sep_id=SEP, pad_id=PAD, max_length=6)

    assert packed(ragged([[5]]))["input_word_ids"].numpy().tolist() == [[CLS, 5, SEP]]
    long = packed(ragged([[5], [6, 7, 8, 9, 10]]))["input_word_ids"].numpy().tolist()
    assert long == [[CLS, 5, SEP, PAD, PAD, PAD], [CLS, 6, 7, 8, 9, SEP]]


@pytest.mark.parametrize(("segments", "max_length", "least"), [(1, 1, 2), (2, 2, 3)])
def test_too_short_for_special_tokens(segments: int, max_length: int, least: int) -> None:
    message = rf"max_length is {max_length}, but \[CLS\] and \[SEP\] alone take {least}\. Raise it to {least} or more"
    with pytest.raises(ConfigError, match=message):
        pack([ragged([[5]])] * segments, cls_id=CLS, sep_id=SEP, pad_id=PAD, max_length=max_length)


@pytest.mark.parametrize("count", [0, 3])
def test_one_or_two_segments(count: int) -> None:
    with pytest.raises(DataError, match=f"pack got {count} segments, want one or two"):
        pack([ragged([[5]])] * count, cls_id=CLS, sep_id=SEP, pad_id=PAD, max_length=9)
