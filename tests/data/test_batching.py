"""Batches of like length: every row once, little padding, the same for the same seed."""

import numpy as np
import pytest
import tensorflow as tf
import tiny

import keras_bert_zoo as kbz
from keras_bert_zoo.data import batching
from keras_bert_zoo.errors import ConfigError, DataError

ROWS, BATCH = 53, 6
HEAD = kbz.heads.Regression()
TOKENIZER = tiny.tokenizer()


def _table():
    """Row i has the label i, and a text of its own length between 1 and 17 words."""
    lengths = np.random.default_rng(1).integers(1, 18, ROWS)
    return kbz.data.Table.from_lists(["film " * int(n) for n in lengths], list(range(ROWS)))


def _passes(dataset, count=1):
    return [
        [(features, targets.numpy()[:, 0].astype(int).tolist()) for features, targets in dataset] for _ in range(count)
    ]


def _rows(one_pass):
    return [row for _, rows in one_pass for row in rows]


def _padding(one_pass):
    return np.mean([1 - features["input_mask"].numpy().mean() for features, _ in one_pass])


def test_without_shuffle_the_order_is_the_file_s():
    dataset = _table().batches(HEAD, TOKENIZER, BATCH)
    (one,) = _passes(dataset)
    assert [len(rows) for _, rows in one] == [6] * 8 + [5]
    assert _rows(one) == list(range(ROWS))
    assert int(dataset.cardinality()) == 9


def test_each_pass_has_every_row_once_in_a_new_order_and_little_padding():
    table = _table()
    first, second = _passes(table.batches(HEAD, TOKENIZER, BATCH, shuffle=True, seed=4), 2)
    assert sorted(_rows(first)) == sorted(_rows(second)) == list(range(ROWS))
    assert _rows(first) != _rows(second)
    (plain,) = _passes(table.batches(HEAD, TOKENIZER, BATCH, shuffle=True, seed=4, by_length=False))
    assert sorted(_rows(plain)) == list(range(ROWS))
    assert _padding(first) < 0.12 < 0.3 < _padding(plain)
    widths = [features["input_mask"].shape[1] for features, _ in first]
    assert widths != sorted(widths)  # the batches themselves come in a random order


def test_a_batch_is_as_wide_as_its_longest_row():
    for features, rows in _passes(_table().batches(HEAD, TOKENIZER, BATCH, shuffle=True))[0]:
        longest = max(_table().texts[row].count("film") for row in rows) + 2
        assert features["input_mask"].shape == (len(rows), longest)
        assert features["input_mask"].numpy().sum(1).max() == longest


def test_the_same_seed_gives_the_same_batches():
    def numbers(seed):
        passes = _passes(_table().batches(HEAD, TOKENIZER, BATCH, shuffle=True, seed=seed), 2)
        return [rows for one in passes for _, rows in one]

    assert numbers(7) == numbers(7)
    assert numbers(7) != numbers(8)


def test_by_length_alone_goes_from_short_to_long():
    (one,) = _passes(_table().batches(HEAD, TOKENIZER, BATCH, by_length=True))
    widths = [features["input_mask"].shape[1] for features, _ in one]
    assert widths == sorted(widths)
    assert sorted(_rows(one)) == list(range(ROWS))


def test_options():
    (one,) = _passes(_table().batches(HEAD, TOKENIZER, BATCH, length=5, drop_remainder=True))
    assert [len(rows) for _, rows in one] == [6] * 8
    assert max(features["input_mask"].shape[1] for features, _ in one) == 5


def test_texts_are_cut_where_the_tokenizer_s_files_say():
    short = kbz.Tokenizer(tiny.VOCABULARY, max_length=6)
    (one,) = _passes(_table().batches(HEAD, short, BATCH))
    assert max(features["input_mask"].shape[1] for features, _ in one) == 6


def test_a_table_without_labels_gives_features_alone():
    table = kbz.data.Table.from_lists(["a film", "so sad", "it"])
    features, targets = next(iter(table.batches(HEAD, TOKENIZER, 2).map(lambda x, y: (x, tf.constant(y is None)))))
    assert targets.numpy()
    assert features["input_word_ids"].shape == (2, 4)


def test_more_pools_than_one_keep_every_row(monkeypatch):
    monkeypatch.setattr(batching, "_POOL", 2)
    monkeypatch.setattr(batching, "_CHUNK", 10)
    (one,) = _passes(_table().batches(HEAD, TOKENIZER, 5, shuffle=True))
    assert sorted(_rows(one)) == list(range(ROWS))


def test_pairs():
    table = kbz.data.Table.from_lists(["a film", "so sad"], [1, 2], pairs=["it was", "the end is bad"])
    features, _ = next(iter(table.batches(kbz.heads.Regression(pair=True), TOKENIZER, 2)))
    assert features["input_type_ids"].numpy().sum(1).tolist() == [3, 5]


def test_errors_name_file_and_line(tmp_path):
    path = tmp_path / "train.tsv"
    path.write_text("text\tlabel\na film\tgood\nso sad\tangry\n")
    head = kbz.heads.Classification(["good", "bad"])
    with pytest.raises(DataError, match=r"train\.tsv, line 3: label 'angry' .* \(good, bad\)"):
        kbz.data.read_table(path).batches(head, TOKENIZER, 2)
    with pytest.raises(DataError, match="reads pairs of texts"):
        kbz.data.read_table(path).batches(kbz.heads.Classification(["good", "angry"], pair=True), TOKENIZER, 2)
    with pytest.raises(DataError, match="the table has no rows"):
        kbz.data.Table.from_lists([], []).batches(head, TOKENIZER, 2)
    with pytest.raises(ConfigError, match="batch_size is 0"):
        kbz.data.read_table(path).batches(head, TOKENIZER, 0)
