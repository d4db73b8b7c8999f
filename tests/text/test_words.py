"""Words and parts of texts, against Python's own strings and a loop."""

import unicodedata

import numpy as np
import tensorflow as tf

from keras_bert_zoo.text.windows import cut_windows
from keras_bert_zoo.text.words import best_cells, characters, cut, first_pieces, with_marks, word_begins

TEXTS = ["caf\u00e9 cafe\u0301 \u5317\u4eac", "", "\U0001f600\ufe0f x", "a\u0302\u0323b", "plain text here"]


def test_parts_are_the_exact_substrings():
    parts = [(row, a, b) for row, text in enumerate(TEXTS) for a in range(len(text)) for b in range(a, len(text) + 1)]
    rows, starts, ends = (np.array(column) for column in zip(*parts, strict=True))
    graph = tf.function(lambda t, r, a, b: cut(characters(t), r, a, b))
    got = graph(tf.constant(TEXTS), rows, starts.astype("int32"), ends.astype("int32"))
    assert [part.decode() for part in got.numpy()] == [TEXTS[row][a:b] for row, a, b in parts]
    assert (
        cut(characters(tf.constant([], tf.string)), *(tf.zeros([0], t) for t in ("int64", "int32", "int32"))).shape == 0
    )


def test_ends_move_behind_combining_marks():
    places = [(row, end) for row, text in enumerate(TEXTS) for end in range(1, len(text) + 1)]
    want = []
    for row, end in places:
        while end < len(TEXTS[row]) and unicodedata.category(TEXTS[row][end])[0] == "M":
            end += 1
        want.append(end)
    rows, ends = (np.array(column) for column in zip(*places, strict=True))
    got = with_marks(characters(tf.constant(TEXTS)), rows, ends.astype("int32")).numpy().tolist()
    assert got == want
    assert got != ends.tolist()


def test_where_words_begin():
    texts = tf.constant(["un- do it", "x", "", "a\tb"])
    ids = tf.ragged.constant([[0, 1, 2, 0], [1], [], [0, 0]], tf.int32, ragged_rank=1)
    starts = tf.ragged.constant([[0, 2, 4, 7], [0], [], [0, 2]], tf.int32, ragged_rank=1)
    table = tf.constant([True, False, False])

    def begins(at_spaces):
        return word_begins(ids, starts, characters(texts), table, at_spaces=at_spaces).numpy().tolist()

    assert begins(False) == [True, False, False, True, True, True, True]  # a text's first piece always does
    assert begins(True) == [True, False, True, True, True, True, True]


def test_only_first_pieces_have_a_value():
    starts = tf.ragged.constant([[0, 2, 5, 6, 9], [0, 4], [3]], tf.int32, ragged_rank=1)
    words = [
        tf.ragged.constant(x, tf.int32, ragged_rank=1)
        for x in ([[1, 5], [], [3]], [[4, 8], [], [4]], [[7, 8], [], [9]])
    ]
    assert first_pieces(starts, *words).to_list() == [[-1, 7, 8, -1, -1], [-1, -1], [9]]
    none = tf.ragged.constant([[], [], []], tf.int32, ragged_rank=1)
    assert first_pieces(starts, none, none, none).to_list() == [[-1] * 5, [-1] * 2, [-1]]


def test_every_piece_is_read_where_it_has_most_context():
    lengths, room, stride, width = [17, 0, 4, 9, 6], 7, 3, 11
    pieces = tf.RaggedTensor.from_row_lengths(tf.range(sum(lengths)), lengths)
    windows = cut_windows(tf.constant(lengths), room, stride)
    want = []
    for text, length in enumerate(lengths):
        for piece in range(length):
            best = None
            for row, (owner, start, size) in enumerate(np.stack(windows, axis=1)):
                if owner == text and start <= piece < start + size:
                    context = min(piece - start, start + size - 1 - piece) + 0.01 * size  # run_squad.py
                    if best is None or context > best[0]:
                        best = (context, row * width + 1 + piece - start)
            want.append(best[1])
    assert best_cells(windows, pieces, tf.constant(width)).numpy().tolist() == want
