"""Words of texts, found among their pieces, and parts of texts, in the graph.

B texts, P pieces of all texts, W words or parts, C characters of all texts, N bytes of them.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from keras_bert_zoo.text.windows import Windows
from keras_bert_zoo.text.wordpiece import join_bytes, row_ids

_SPACES = (" ", "\t", "\n", "\r")  # of ASCII's, what BERT takes for white space; it drops the other control characters
_MARKS = 16  # combining marks that may follow one word; nobody writes more


class Characters(NamedTuple):
    """The characters of texts, which are joined by one byte each.

    `data` uint8 [N]; `places` int64 [C+1], where each character begins in it, and its end; `starts` int64 [B], the
    number of each text's first character.
    """

    data: tf.Tensor
    places: tf.Tensor
    starts: tf.Tensor


def characters(texts: tf.Tensor) -> Characters:
    """Find the characters of valid UTF-8: string [B]."""
    data, _ = join_bytes(texts)
    places = tf.where(tf.bitwise.bitwise_and(data, 0xC0) != 0x80)[:, 0]  # not a continuation byte
    counts = tf.cast(tf.strings.length(texts, unit="UTF8_CHAR"), tf.int64)
    end = tf.size(data, tf.int64)[None]
    return Characters(data, tf.concat([places, end], axis=0), tf.cumsum(counts + 1, exclusive=True))


def cut(found: Characters, rows: tf.Tensor, starts: tf.Tensor, ends: tf.Tensor) -> tf.Tensor:
    """Return parts of texts: int64 row, int32 first character and end, each [W] -> string [W].

    `tf.strings.substr` would copy and count through a whole text for each of its parts.
    """
    base = tf.gather(found.starts, rows)
    begin = tf.gather(found.places, base + tf.cast(starts, tf.int64))  # [W]
    sizes = tf.gather(found.places, base + tf.cast(ends, tf.int64)) - begin  # [W]
    splits = tf.concat([[0], tf.cumsum(sizes)], axis=0)  # [W+1]
    place = tf.range(splits[-1])
    part = row_ids(splits, place)
    data = tf.gather(found.data, place - tf.gather(splits, part) + tf.gather(begin, part))
    bytes_ = tf.gather(tf.constant([bytes([i]) for i in range(256)]), tf.cast(data, tf.int32))
    return tf.strings.unsorted_segment_join(bytes_, part, tf.size(starts))


def with_marks(found: Characters, rows: tf.Tensor, ends: tf.Tensor) -> tf.Tensor:
    """Move ends behind the combining marks that follow them, which uncased models drop: int32 [W] -> int32 [W].

    Without it the last letter of a decomposed "café" would lose its accent.
    """
    base = tf.gather(found.starts, rows)
    last = tf.concat([found.starts[1:], tf.shape(found.places, tf.int64)], axis=0) - 1  # [B], after the last character
    left = tf.gather(last, rows) - base - tf.cast(ends, tf.int64)  # [W]
    stop = ends + tf.cast(tf.minimum(left, _MARKS), tf.int32)
    marks = tf.strings.regex_replace(cut(found, rows, ends, stop), r"^(\pM*)(?s:.*)$", r"\1", replace_global=False)
    return ends + tf.strings.length(marks, unit="UTF8_CHAR")


def word_begins(
    ids: tf.RaggedTensor, starts: tf.RaggedTensor, found: Characters, begins: tf.Tensor, *, at_spaces: bool
) -> tf.Tensor:
    """Tell which pieces begin a word: bool [P].

    A piece begins one where the table `begins`, bool by id, says so; with `at_spaces` only where white space parts it
    from the piece before.  A text's first piece always does.
    """
    rows = piece_rows(ids)  # [P]
    new_text = rows != tf.concat([[tf.constant(-1, tf.int64)], rows[:-1]], axis=0)
    if not at_spaces:
        return tf.logical_or(new_text, tf.gather(begins, ids.values))
    first = tf.gather(found.data, found.places[:-1])  # [C]
    spaces = tf.reduce_any([first == ord(space) for space in _SPACES], axis=0)
    before = tf.cumsum(tf.cast(spaces, tf.int32))  # [C]
    number = tf.gather(before, tf.gather(found.starts, rows) + tf.cast(starts.values, tf.int64))  # [P]
    return tf.logical_or(new_text, number != tf.concat([[-1], number[:-1]], axis=0))


def piece_rows(ids: tf.RaggedTensor) -> tf.Tensor:
    """Return the text of each piece: int64 [P]."""
    return row_ids(tf.cast(ids.row_splits, tf.int64), tf.range(tf.size(ids.values, tf.int64)))


def first_pieces(
    starts: tf.RaggedTensor, word_starts: tf.RaggedTensor, word_ends: tf.RaggedTensor, values: tf.RaggedTensor
) -> tf.RaggedTensor:
    """Give each word's value to its first piece and -1 to all other pieces: int32 [B,(W)] -> int32 [B,(P)].

    A piece belongs to the word in which its first character lies.
    """
    rows = piece_rows(starts)
    word = tf.searchsorted(_keys(piece_rows(word_starts), word_starts.values), _keys(rows, starts.values), side="right")
    word -= 1  # [P], the last word that begins at the piece or before it, in whichever text
    ends = tf.concat([_keys(piece_rows(word_ends), word_ends.values), [0]], axis=0)  # [W+1]; 0 is the end of none
    padded = tf.where(word < 0, tf.size(ends) - 1, word)
    inside = _keys(rows, starts.values) < tf.gather(ends, padded)
    word = tf.where(inside, word, -1)
    first = tf.logical_and(inside, word != tf.concat([[-1], word[:-1]], axis=0))
    wanted = tf.gather(tf.concat([values.values, [-1]], axis=0), padded)
    return starts.with_values(tf.where(first, wanted, -1))


def best_cells(windows: Windows, pieces: tf.RaggedTensor, width: tf.Tensor) -> tf.Tensor:
    """Return where each piece has most context: its cell in the packed rows [R,width] in one line, int32 [P].

    Source: google-research/bert run_squad.py, _check_is_max_context; of equals the first window.
    """
    splits = tf.concat([[0], tf.cumsum(windows.size)], axis=0)  # [R+1]
    place = tf.range(splits[-1])  # all that windows see, in one line
    window = tf.cast(row_ids(tf.cast(splits, tf.int64), tf.cast(place, tf.int64)), tf.int32)
    within = place - tf.gather(splits, window)
    size = tf.gather(windows.size, window)
    context = 100 * tf.minimum(within, size - 1 - within) + size  # the original's, a hundred times
    base = tf.gather(tf.cast(pieces.row_starts(), tf.int32), windows.owner) + windows.start  # [R]
    piece = tf.gather(base, window) + within
    count = tf.size(pieces.values)
    most = tf.gather(tf.math.unsorted_segment_max(context, piece, count), piece)
    cell = tf.where(context == most, window * width + 1 + within, tf.int32.max)
    return tf.math.unsorted_segment_min(cell, piece, count)


def _keys(rows: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Put a text's number and a character's into one number that grows from text to text."""
    return rows * 2**32 + tf.cast(places, tf.int64)
