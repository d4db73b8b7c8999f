"""Batches padded to few lengths: the same rows with more padding, in shapes that are known beforehand."""

import numpy as np
import pytest
import tensorflow as tf
import tiny

import keras_bert_zoo as kbz
from keras_bert_zoo.data.widths import check_widths, next_width
from keras_bert_zoo.errors import ConfigError

TEXTS = tiny.GOOD + tiny.BAD + ["a film", "it", "the end of a bad movie so very sad and awful"]  # 15 rows
BATCH, LENGTH, WIDTH = 4, 13, 17
TAGS = [[[0, len(text.split()[0]), "B-X"]] for text in TEXTS]
# a head -> its arguments, its labels and its second texts
HEADS = {
    "classification": ({"labels": ["bad", "good"]}, [["bad", "good"][i % 2] for i in range(15)], None),
    "masked_lm": ({}, None, None),
    "pretraining": ({}, [i % 2 for i in range(15)], TEXTS[::-1]),
    "token_classification": ({"labels": ["O", "B-X"], "stride": 4}, TAGS, None),
    "question_answering": ({"doc_stride": 3, "max_query_length": 4}, [[("", 0)]] * 15, TEXTS[::-1]),
    "multiple_choice": ({}, [i % 2 for i in range(15)], [["it", "so"], ["a", "an", "the"]] * 7 + [["it", "a"]]),
    "sentence_embedding": ({}, None, TEXTS[::-1]),
}


QUICK = ("token_classification", "pretraining", "multiple_choice")  # those that pad more than rows


def _made(name):
    arguments, labels, pairs = HEADS[name]
    head = kbz.heads.make(name, arguments)
    if name == "question_answering":
        answers = [[(context.split()[0], 0)] for context in pairs]
        return head, kbz.data.question_table(TEXTS, pairs, answers)
    return head, kbz.data.Table.from_lists(TEXTS, labels, pairs)


def _batches(name, **options):
    head, table = _made(name)
    return table.batches(head, tiny.tokenizer(), BATCH, length=LENGTH, by_length=True, seed=2, **options)


def _filled(x, shape, value):
    return np.pad(x, [(0, want - got) for want, got in zip(shape, x.shape, strict=True)], constant_values=value)


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in HEADS]
)
def test_the_same_rows_with_more_padding(name):
    plain, wide = _batches(name), _batches(name, pad_to=WIDTH)
    pad = tiny.tokenizer().pad_id
    empty = {"input_word_ids": pad, "input_mask": 0, "input_type_ids": 0, "masked_lm_positions": 0}
    count = 0
    for (x, y), (wider, targets) in zip(plain, wide, strict=True):
        for key, values in wider.items():
            assert values.shape[-1] == (3 if key == "masked_lm_positions" else WIDTH)  # 3: 0.15 of 17, rounded up
            np.testing.assert_array_equal(values, _filled(x[key].numpy(), values.shape, empty[key]), err_msg=key)
        for want, got in zip(tf.nest.flatten(y), tf.nest.flatten(targets), strict=True):
            filler = -1 if name == "token_classification" else 0
            np.testing.assert_array_equal(got, _filled(want.numpy(), got.shape, filler))
        count += 1
    assert count == len(plain)
    shapes = [spec.shape for spec in tf.nest.flatten(wide.element_spec)]
    assert all(shape[0] is None and shape[1:].is_fully_defined() for shape in shapes), shapes
    full = _batches(name, pad_to=WIDTH, drop_remainder=True)
    shapes = [spec.shape for spec in tf.nest.flatten(full.element_spec)]
    assert all(shape.is_fully_defined() and shape[0] == BATCH for shape in shapes), shapes
    rows = sum(len(x["input_mask"]) for x, _ in plain)
    assert len(list(full)) == len(full) == rows // BATCH


def test_each_batch_takes_the_next_of_several_lengths():
    plain, some = _batches("classification"), _batches("classification", pad_to=[15, 5, 8])
    longest = [x["input_mask"].shape[1] for x, _ in plain]
    widths = [x["input_mask"].shape[1] for x, _ in some]
    assert widths == [min(width for width in (5, 8, 15) if width >= most) for most in longest]
    assert len(set(widths)) == 3


def test_next_width():
    widths = (4, 9, 16)
    found = [int(next_width(widths, tf.constant(longest))) for longest in (1, 4, 5, 9, 10, 16)]
    assert found == [4, 4, 9, 9, 16, 16]


def test_what_cannot_be_padded_to():
    assert check_widths(None, 9) == ()
    assert check_widths(9, 9) == (9,)
    assert check_widths([16, 9, 16], 12) == (9, 16)
    for wrong in ([], [0], [8.5], -3):
        with pytest.raises(ConfigError, match="it must be one or several lengths in tokens"):
            check_widths(wrong, 0)
    with pytest.raises(ConfigError, match="pad_to ends at 11, but rows may be of 12 tokens"):
        check_widths([8, 11], 12)
    head, table = _made("classification")
    with pytest.raises(ConfigError, match="15 rows do not fill a batch of 16"):
        table.batches(head, tiny.tokenizer(), 16, drop_remainder=True)
