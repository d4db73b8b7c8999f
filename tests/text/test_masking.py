"""Masks drawn to learn from: how many, which, and what stands in their place."""

import numpy as np
import pytest
import tensorflow as tf
import tiny

from keras_bert_zoo.text.masking import draw_masks
from keras_bert_zoo.text.packing import pack

TOKENIZER = tiny.tokenizer()
PLAIN = [i for i, token in enumerate(tiny.VOCABULARY) if not token.startswith(("[", "##"))]
PIECES = [i for i, token in enumerate(tiny.VOCABULARY) if token.startswith("##")]
MASK, CLS, SEP = TOKENIZER.mask_id, TOKENIZER.cls_id, TOKENIZER.sep_id


def rows(count, longest, *, pieces=0.0, seed=1):
    """Pack rows of random lengths; `pieces` is the share of tokens that are glued to the one before."""
    rng = np.random.default_rng(seed)
    texts = []
    for length in rng.integers(1, longest + 1, count):
        glued = rng.random(length) < pieces
        texts.append(np.where(glued, rng.choice(PIECES, length), rng.choice(PLAIN, length)).astype("int32"))
    ids = {"cls_id": CLS, "sep_id": SEP, "pad_id": TOKENIZER.pad_id}
    return pack([tf.ragged.constant(texts, dtype=tf.int32)], **ids, max_length=longest + 2)


def seeds(count, run=7, first=0):
    return tf.stack([tf.fill([count], np.int64(run)), tf.range(first, first + count, dtype=tf.int64)], axis=1)


def drawn(features, numbers, **options):
    draw = tf.function(lambda f, s: draw_masks(f, TOKENIZER, s, **{"share": 0.15, "most": 99, **options}))
    masked, targets = draw(features, numbers)
    return {name: value.numpy() for name, value in masked.items()}, targets.numpy()


def chosen(masked, targets):
    """Return bool [B,T]: where a prediction is asked for."""
    asked = np.zeros(masked["input_word_ids"].shape, bool)
    for row, positions, weights in zip(asked, masked["masked_lm_positions"], targets[..., 1], strict=True):
        row[positions[weights > 0]] = True
    return asked


@pytest.fixture(scope="module")
def many():
    features = rows(3000, 60)
    return features, *drawn(features, seeds(3000))


def test_how_many_are_asked_about(many):
    features, masked, targets = many
    lengths = features["input_mask"].numpy().sum(1)  # with [CLS] and [SEP], as the original counts
    want = [min(max(1, round(length * 0.15)), length - 2) for length in lengths.tolist()]
    assert targets[..., 1].sum(1).tolist() == want
    assert set(np.unique(targets[..., 1])) == {0, 1}
    assert masked["masked_lm_positions"].shape == (3000, max(want))
    _, few = drawn(features, seeds(3000), most=4)
    assert few[..., 1].sum(1).tolist() == [min(count, 4) for count in want]


def test_which_are_asked_about(many):
    features, masked, targets = many
    ids, asked = features["input_word_ids"].numpy(), chosen(masked, targets)
    assert not np.isin(ids[asked], [CLS, SEP]).any()
    assert features["input_mask"].numpy()[asked].all()
    assert asked.sum() == targets[..., 1].sum()  # no place twice
    for row, positions, (stood, weights) in zip(
        ids, masked["masked_lm_positions"], targets.transpose(0, 2, 1), strict=True
    ):
        real = weights > 0
        assert stood[real].tolist() == row[positions[real]].tolist()
        assert (np.diff(positions[real]) > 0).all()
        assert not positions[~real].any()
        assert not stood[~real].any()
    np.testing.assert_array_equal(masked["input_word_ids"][~asked], ids[~asked])
    # Every place of a row is as likely as any other: 20 places of the rows that have them.
    full = features["input_mask"].numpy().sum(1) >= 32
    shares = asked[full, 1:21].mean(0)
    assert np.abs(shares - asked[full, 1:21].mean()).max() < 4 * np.sqrt(0.15 * 0.85 / full.sum())


def test_what_stands_in_their_place(many):
    features, masked, targets = many
    asked = chosen(masked, targets)
    before, after = features["input_word_ids"].numpy()[asked], masked["input_word_ids"][asked]
    count = len(before)
    assert count > 12_000
    bound = 4 * np.sqrt(0.16 / count)  # four standard deviations of the widest share
    vocabulary = len(tiny.VOCABULARY)
    assert abs((after == MASK).mean() - (0.8 + 0.1 / vocabulary)) < bound
    assert abs((after == before).mean() - (0.1 + 0.1 / vocabulary)) < bound
    other = after[(after != MASK) & (after != before)]
    assert abs(len(other) / count - 0.1 * (1 - 2 / vocabulary)) < bound
    counts = np.bincount(other, minlength=vocabulary)
    assert counts[np.arange(vocabulary) != MASK].min() > 0  # any token of the vocabulary
    assert counts.max() < 3 * len(other) / vocabulary


def test_a_text_s_masks_depend_on_nothing_but_the_seed_and_its_number(many):
    features, masked, targets = many
    part = {name: value[40:47] for name, value in features.items()}
    again, more = drawn(part, seeds(7, first=40))
    np.testing.assert_array_equal(again["input_word_ids"], masked["input_word_ids"][40:47])
    width = more.shape[1]
    np.testing.assert_array_equal(more, targets[40:47, :width])
    for other in (seeds(7, run=8, first=40), seeds(7, first=41)):
        assert (drawn(part, other)[0]["input_word_ids"] != again["input_word_ids"]).any()


def test_whole_words():
    features = rows(700, 40, pieces=0.4)
    masked, targets = drawn(features, seeds(700), whole_words=True, most=9)
    ids, mask = features["input_word_ids"].numpy(), features["input_mask"].numpy()
    asked = chosen(masked, targets)
    shares = []
    for row, real, picked in zip(ids, mask, asked, strict=True):
        row, picked = row[1 : real.sum() - 1], picked[1 : real.sum() - 1]
        begins = ~np.isin(row, PIECES)
        begins[0] = True
        word = np.cumsum(begins) - 1
        sizes = np.bincount(word)
        taken = np.bincount(word, weights=picked)
        assert np.isin(taken / sizes, [0, 1]).all()  # whole or not at all
        most = min(max(1, round(real.sum() * 0.15)), 9)
        assert taken.sum() <= most
        left = sizes[taken == 0]
        assert not len(left) or left.min() > most - taken.sum()  # no word that would still fit is passed over
        shares.append(taken.sum() / most)
    assert np.mean(shares) > 0.9


def test_rows_without_a_piece_and_no_rows():
    ids = {"cls_id": CLS, "sep_id": SEP, "pad_id": 0}
    empty = pack([tf.ragged.constant([[], [9, 8]], dtype=tf.int32)], **ids, max_length=9)
    for whole in (False, True):
        masked, targets = drawn(empty, seeds(2), whole_words=whole)
        assert targets[..., 1].tolist() == [[0], [1]]
        assert masked["input_word_ids"][0].tolist() == [CLS, SEP, 0, 0]
        none = {name: value[:1] for name, value in empty.items()}
        masked, targets = drawn(none, seeds(1), whole_words=whole)
        assert targets.shape == (1, 0, 2)
