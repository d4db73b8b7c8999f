"""Masks that are stored: how many, which, what stands in their place, against the shares told and Model Garden."""

import collections
import random

import numpy as np
import pytest

from keras_bert_zoo.data.pretraining.draws import keys
from keras_bert_zoo.data.pretraining.masks import draw_masks
from keras_bert_zoo.data.pretraining.rows import layout
from keras_bert_zoo.data.pretraining.settings import Plan, Settings

PAD, UNK, CLS, SEP, MASK, VOCAB = 0, 1, 2, 3, 4, 211
GLUED = np.arange(VOCAB) >= 160  # ids that begin with ##


def rows(count, length, *, pieces=0.0, seed=1, full=False):
    """Return ids, sizes of the first and the second segment; `pieces` is the share of glued tokens."""
    rng = np.random.default_rng(seed)
    first = np.full(count, (length - 3) // 2) if full else rng.integers(1, (length - 3) // 2 + 1, count)
    second = np.full(count, length - 3 - (length - 3) // 2) if full else rng.integers(1, (length - 3) // 2 + 1, count)
    where = layout(first, second, length)
    glued = rng.random((count, length)) < pieces
    ids = np.where(glued, rng.integers(160, VOCAB, (count, length)), rng.integers(5, 160, (count, length)))
    ids = np.where(where.first | where.second, ids, PAD)
    ids[:, 0] = CLS
    number = np.arange(count)
    ids[number, first + 1] = ids[number, first + second + 2] = SEP
    return ids.astype(np.uint16), where, first + second + 3


def drawn(ids, where, *, seed=0, first_key=0, **settings):
    plan = Plan(Settings(masks="static", **settings), VOCAB, PAD, CLS, SEP, MASK, 9, 99)
    return draw_masks(keys(seed, first_key + np.arange(len(ids))), ids, where, GLUED, plan)


def chosen(masked, shape):
    """Return bool [N,T]: where a prediction is asked for."""
    asked = np.zeros(shape, bool)
    for row, positions, count in zip(asked, masked.positions, masked.counts, strict=True):
        assert (np.diff(positions[:count]) > 0).all()
        assert not positions[count:].any()
        row[positions[:count]] = True
    return asked


def wanted(length, share, most):
    """The original's words: google-research/bert create_pretraining_data.py create_masked_lm_predictions."""
    return min(most, max(1, round(length * share)))


@pytest.fixture(scope="module")
def many():
    ids, where, lengths = rows(12_000, 128)
    return ids, where, lengths, drawn(ids, where, max_length=128, max_predictions=17)


def test_how_many_and_which(many):
    ids, where, lengths, masked = many
    want = [wanted(length, 0.15, 17) for length in lengths.tolist()]
    assert masked.counts.tolist() == want
    assert sum(want) > 100_000
    asked = chosen(masked, ids.shape)
    assert not (asked & ~(where.first | where.second)).any()
    np.testing.assert_array_equal(masked.ids[~asked], ids[~asked])
    np.testing.assert_array_equal(masked.labels[masked.labels > 0], ids[asked])
    assert masked.labels.shape == (12_000, 17)


def test_every_place_is_as_likely():
    ids, where, _ = rows(20_000, 64, full=True)
    masked = drawn(ids, where, max_length=64, max_predictions=20)
    shares = chosen(masked, ids.shape)[:, (where.first | where.second)[0]].mean(axis=0)
    share = 10 / 61
    assert np.abs(shares - share).max() < 4 * np.sqrt(share * (1 - share) / 20_000)


@pytest.mark.parametrize("options", [{}, {"whole_words": True}], ids=["pieces", "words"])
def test_what_stands_in_their_place(options):
    ids, where, _ = rows(12_000, 128, pieces=0.2)
    masked = drawn(ids, where, max_length=128, max_predictions=17, **options)
    asked = chosen(masked, ids.shape)
    before, after = ids[asked], masked.ids[asked]
    count = len(before)
    assert count > 100_000
    for got, share in (
        ((after == MASK).mean(), 0.8 + 0.1 / VOCAB),
        ((after == before).mean(), 0.1 + 0.1 / VOCAB),
        (((after != MASK) & (after != before)).mean(), 0.1 * (1 - 2 / VOCAB)),
    ):
        assert abs(got - share) < 3 * np.sqrt(share * (1 - share) / count)
    other = after[(after != MASK) & (after != before)]
    counts = np.delete(np.bincount(other, minlength=VOCAB), MASK)
    each = len(other) / (VOCAB - 1)
    assert np.abs(counts - each).max() < 4.5 * np.sqrt(each)


def test_a_row_s_masks_depend_on_its_key_alone(many):
    ids, where, _, masked = many
    part = type(where)(where.first[40:47], where.second[40:47])
    again = drawn(ids[40:47], part, first_key=40, max_length=128, max_predictions=17)
    for one, whole in zip(again, masked, strict=True):
        np.testing.assert_array_equal(one, whole[40:47])
    other = drawn(ids[40:47], part, first_key=40, seed=1, max_length=128, max_predictions=17)
    assert (other.positions != again.positions).any(axis=1).all()


def words(ids, where):
    """Return each row's words as lists of cells, told apart as Model Garden's script does."""
    script = pytest.importorskip("official.nlp.data.create_pretraining_data")
    names = {CLS: "[CLS]", SEP: "[SEP]"}
    for row, first, second in zip(ids, where.first, where.second, strict=True):
        end = first.sum() + second.sum() + 3
        tokens = [names.get(t, f"##{t}" if GLUED[t] else str(t)) for t in row[:end].tolist()]
        yield script._tokens_to_grams(tokens)


def test_whole_words():
    ids, where, lengths = rows(900, 60, pieces=0.4)
    masked = drawn(ids, where, max_length=60, max_predictions=8, whole_words=True)
    asked = chosen(masked, ids.shape)
    for row, length, grams in zip(asked, lengths.tolist(), words(ids, where), strict=True):
        most = wanted(length, 0.15, 8)
        taken = [row[begin:end].sum() for begin, end in grams]
        sizes = [end - begin for begin, end in grams]
        assert all(count in (0, size) for count, size in zip(taken, sizes, strict=True))
        assert sum(taken) == row.sum() <= most
        left = [size for size, count in zip(sizes, taken, strict=True) if not count]
        assert not left or min(left) > most - sum(taken)  # no word that would still fit is passed over


def test_ngrams_are_as_often_as_model_garden_s():
    """The same rows in both, many times: how many n-grams of each size, and how many tokens in all."""
    script = pytest.importorskip("official.nlp.data.create_pretraining_data")
    ids, where, _ = rows(1, 50, pieces=0.3, seed=5)
    (grams,) = words(ids, where)
    count = 6_000
    many_ids, many_where = np.repeat(ids, count, axis=0), type(where)(*(np.repeat(x, count, axis=0) for x in where))
    settings = {"max_length": 50, "max_predictions": 9, "mask_share": 0.3, "whole_words": True, "max_ngram": 3}
    asked = chosen(drawn(many_ids, many_where, **settings), many_ids.shape)
    random.seed(3)  # their sizes come from the module's own stream
    rng = random.Random(4)
    theirs = np.zeros(asked.shape, bool)
    most = wanted(int((where.first | where.second).sum()) + 3, 0.3, 9)
    for row in theirs:
        for begin, end in script._masking_ngrams(grams, 3, most, rng):
            row[begin:end] = True
    for one, other in ((asked, theirs), (asked[:, 1:] & asked[:, :-1], theirs[:, 1:] & theirs[:, :-1])):
        share, want = one.mean(axis=0), other.mean(axis=0)
        bound = 4.5 * np.sqrt((share * (1 - share) + want * (1 - want)) / count) + 1e-9
        assert (np.abs(share - want) <= bound).all()
    totals, want = (collections.Counter(x.sum(axis=1).tolist()) for x in (asked, theirs))
    assert max(totals) <= most
    for total in set(totals) | set(want):
        one, other = totals[total] / count, want[total] / count
        assert abs(one - other) < 4.5 * np.sqrt((one * (1 - one) + other * (1 - other)) / count) + 1e-9


def test_an_ngram_is_replaced_as_one_and_stays_in_a_segment():
    ids, where, _ = rows(3_000, 50, pieces=0.2)
    settings = {"max_length": 50, "max_predictions": 9, "mask_share": 0.3, "whole_words": True, "max_ngram": 3}
    masked = drawn(ids, where, **settings)
    asked = chosen(masked, ids.shape)
    assert not asked[~(where.first | where.second)].any()
    # With one n-gram of two words or more, its cells share a fate: either all are [MASK], or none (a token is drawn
    # to be [MASK] once in 211).
    after = masked.ids == MASK
    pairs = asked[:, 1:] & asked[:, :-1]
    glued = GLUED[ids][:, 1:] & pairs  # a piece and the one before it are of one word, so of one n-gram
    same = (after[:, 1:] == after[:, :-1])[glued]
    assert len(same) > 1500
    assert same.mean() > 0.99


def test_a_row_of_two_tokens():
    ids, where, _ = rows(7, 5, full=True)
    for options in ({}, {"whole_words": True}, {"whole_words": True, "max_ngram": 2}):
        masked = drawn(ids, where, max_length=5, max_predictions=4, mask_share=0.9, **options)
        assert masked.counts.tolist() == [2] * 7  # all there are, though 0.9 of five tokens is more
        assert masked.positions.tolist() == [[1, 3, 0, 0]] * 7
