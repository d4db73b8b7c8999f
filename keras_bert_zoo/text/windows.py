"""Texts longer than the model, in overlapping windows.  N texts, R windows, T tokens of a text (ragged)."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from keras_bert_zoo.text.wordpiece import row_ids


class Windows(NamedTuple):
    """Windows over texts, those of one text side by side: each int32 [R].

    `owner` is the text a window looks at, `start` its first token there, `size` its tokens.
    """

    owner: tf.Tensor
    start: tf.Tensor
    size: tf.Tensor


def window_counts(lengths: Any, room: Any, stride: int) -> tf.Tensor:
    """Return how many windows each text of `lengths` tokens gets, at least one: int32 [N].

    `room` is what a window holds, one number or int [N]; `stride` how far the next one begins after it, at most
    `room`, so that no token is left out.
    """
    lengths, room = tf.cast(lengths, tf.int32), tf.cast(room, tf.int32)
    return 1 + tf.maximum(0, -((room - lengths) // tf.minimum(stride, room)))  # 1 + ceil((length - room) / stride)


def cut_windows(lengths: tf.Tensor, room: Any, stride: int) -> Windows:
    """Cut texts of `lengths` [N] tokens into windows of at most `room`, each `stride` (or `room`) after the one before.

    Source: google-research/bert run_squad.py, convert_examples_to_features; an empty text has one empty window.
    """
    lengths = tf.cast(lengths, tf.int32)
    room = tf.broadcast_to(tf.cast(room, tf.int32), tf.shape(lengths))  # [N]
    counts = window_counts(lengths, room, stride)  # [N]
    splits = tf.concat([[0], tf.cumsum(counts)], axis=0)  # [N+1]
    number = tf.range(splits[-1])  # [R]
    owner = tf.cast(row_ids(tf.cast(splits, tf.int64), tf.cast(number, tf.int64)), tf.int32)
    start = (number - tf.gather(splits, owner)) * tf.minimum(stride, tf.gather(room, owner))
    return Windows(owner, start, tf.minimum(tf.gather(lengths, owner) - start, tf.gather(room, owner)))


def look_through(values: tf.RaggedTensor, windows: Windows) -> tf.RaggedTensor:
    """Return what each window sees of its text: [N,(T)] -> [R,(t)]."""
    splits = tf.concat([[0], tf.cumsum(windows.size)], axis=0)  # [R+1]
    begin = tf.gather(tf.cast(values.row_starts(), tf.int32), windows.owner) + windows.start - splits[:-1]  # [R]
    place = tf.range(splits[-1])
    seen = row_ids(tf.cast(splits, tf.int64), tf.cast(place, tf.int64))
    picked = tf.gather(values.values, place + tf.gather(begin, seen))
    return tf.RaggedTensor.from_row_splits(picked, tf.cast(splits, tf.int64), validate=False)
