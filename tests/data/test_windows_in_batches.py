"""Examples that are several rows, and columns of lists: what a batch holds of them."""

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
import tiny
from fake_heads import STRIDE, Chooser, Windowed

import keras_bert_zoo as kbz
from keras_bert_zoo.data.batching import as_strings, token_lengths

TOKENIZER = tiny.tokenizer()
EXAMPLES, BATCH, LENGTH = 31, 4, 9


def table():
    """Example i has the label i, and letters of its own, between none and 29."""
    random = np.random.default_rng(11)
    letters = np.array([*"bcdefghijklmnopqrstuvwxyz"])
    texts = [" ".join(random.choice(letters, size)) for size in random.integers(0, 30, EXAMPLES)]
    return kbz.data.Table.from_lists(texts, list(range(EXAMPLES)))


def windows(texts):
    """Cut the texts as a loop does: (example, ids of the window)."""
    room = LENGTH - 2
    for example, ids in enumerate(TOKENIZER.tokenize(texts).to_list()):
        start = 0
        while True:
            yield example, (TOKENIZER.cls_id, *ids[start : start + room], TOKENIZER.sep_id)
            if start + room >= len(ids):
                break
            start += STRIDE


def one_pass(dataset):
    """Return the rows of a pass, batch by batch: (example, ids without padding)."""
    batches = []
    for features, targets in dataset:
        assert set(features) == {"input_word_ids", "input_mask", "input_type_ids"}
        numbers = targets["number"].numpy().tolist()
        assert targets["many"].to_list() == [[n] * (n % 3) for n in numbers]
        lengths = features["input_mask"].numpy().sum(1)
        assert features["input_word_ids"].shape == (len(numbers), lengths.max())
        ids = [
            tuple(row[:size]) for row, size in zip(features["input_word_ids"].numpy().tolist(), lengths, strict=True)
        ]
        batches.append(list(zip(numbers, ids, strict=True)))
    return batches


def options(**more):
    return {"length": LENGTH, "seed": 5, **more}


def test_in_order_windows_of_an_example_stand_side_by_side():
    dataset = table().batches(Windowed(), TOKENIZER, BATCH, **options())
    want = list(windows(table().texts))
    batches = one_pass(dataset)
    assert [row for batch in batches for row in batch] == want
    assert len(want) > 2 * EXAMPLES
    assert int(dataset.cardinality()) == len(batches) == -(-len(want) // BATCH)
    assert {len(batch) for batch in batches[:-1]} == {BATCH}


def test_shuffled_every_window_comes_once_a_pass():
    dataset = table().batches(Windowed(), TOKENIZER, BATCH, **options(shuffle=True))
    first, second = one_pass(dataset), one_pass(dataset)
    want = Counter(windows(table().texts))
    for batches in (first, second):
        assert Counter(row for batch in batches for row in batch) == want
    assert first != second
    # windows of one example do not stay together
    assert any(len({example for example, _ in batch}) == BATCH for batch in first)


def test_the_same_seed_gives_the_same_order():
    def order(seed):
        return one_pass(table().batches(Windowed(), TOKENIZER, BATCH, **options(shuffle=True, seed=seed)))

    assert order(5) == order(5)
    assert order(5) != order(6)


def test_strings():
    column = as_strings(["a", "", "caf\u00e9"])
    assert (column.shape, column.dtype) == ((3,), tf.string)
    assert column.numpy().tolist() == [b"a", b"", "caf\u00e9".encode()]
    assert as_strings([]).shape == (0,)
    lists = as_strings([["a"], [], ["b", "c", "d"], ("e", b"\xff")], rank=2)
    assert lists.numpy().tolist() == [[b"a", b"", b""], [b"", b"", b""], [b"b", b"c", b"d"], [b"e", b"\xff", b""]]
    assert as_strings([], rank=2).shape == (0, 0)
    assert as_strings([[], []], rank=2).shape == (2, 0)


def test_lengths_of_lists_are_those_of_the_longest():
    columns = {"text": as_strings(["a film", "so"]), "choices": as_strings([["it was", "so very bad"], ["a"]], rank=2)}
    lengths = token_lengths(columns, TOKENIZER)
    assert {name: found.tolist() for name, found in lengths.items()} == {"text": [2, 1], "choices": [3, 1]}


@pytest.mark.parametrize("shuffle", [False, True])
def test_lists_go_with_their_text(shuffle):
    rows = [("a film", ["it was", "so bad"]), ("so sad", ["the end"]), ("it", []), ("the plot was", ["a", "b", "c"])]
    made = kbz.data.Table.from_lists([a for a, _ in rows], [[float(i)] for i in range(4)], pairs=[b for _, b in rows])

    class Keeps(Chooser):
        inputs = ("input_word_ids", "input_mask", "choices")

    found = {}
    for features, targets in made.batches(Keeps(), TOKENIZER, 3, shuffle=shuffle):
        for ids, mask, choices, target in zip(*features.values(), targets, strict=True):
            size = int(tf.reduce_sum(mask))
            kept = [choice.decode() for choice in choices.numpy() if choice]
            found[int(target[0])] = (ids.numpy()[1 : size - 1].tolist(), kept)
    assert found == {i: (TOKENIZER.tokenize([text]).to_list()[0], choices) for i, (text, choices) in enumerate(rows)}
