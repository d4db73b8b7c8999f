"""Windows against a loop written as the original's."""

import numpy as np
import pytest
import tensorflow as tf

from keras_bert_zoo.text.windows import cut_windows, look_through, window_counts


def original(lengths, rooms, stride):
    found = []
    for owner, (length, room) in enumerate(zip(lengths, rooms, strict=True)):
        start = 0
        while True:
            size = min(length - start, room)
            found.append((owner, start, size))
            if start + size == length:
                break
            start += min(size, stride)
    return found


@pytest.mark.parametrize("stride", [1, 3, 5, 9])  # of 9, rooms of 5 to 8 use less
@pytest.mark.parametrize("in_graph", [False, True], ids=["eager", "graph"])
def test_windows_are_the_originals(stride, in_graph):
    random = np.random.default_rng(stride)
    lengths, rooms = random.integers(0, 40, 23).astype("int32"), random.integers(5, 17, 23).astype("int32")
    call = tf.function(cut_windows) if in_graph else cut_windows
    windows = call(tf.constant(lengths), tf.constant(rooms), stride)
    want = original(lengths, rooms, stride)
    assert [tuple(row) for row in np.stack(windows, axis=1)] == want
    assert window_counts(lengths, rooms, stride).numpy().tolist() == np.bincount([o for o, *_ in want]).tolist()


def test_what_windows_see():
    texts = [list(range(10, 22)), [], [7], list(range(50, 58))]
    windows = cut_windows(tf.constant([len(text) for text in texts]), 5, 3)
    seen = look_through(tf.ragged.constant(texts, tf.int32), windows)
    assert seen.to_list() == [texts[o][s : s + n] for o, s, n in original(map(len, texts), [5] * 4, 3)]
    assert len(seen.to_list()) == 8


def test_no_texts():
    windows = cut_windows(tf.zeros([0], tf.int32), 5, 3)
    assert [len(part) for part in windows] == [0, 0, 0]
    assert look_through(tf.ragged.constant([], tf.int32, ragged_rank=1), windows).to_list() == []
