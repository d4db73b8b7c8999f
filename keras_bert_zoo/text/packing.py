"""Segments of ids to the rows a BERT reads: [CLS] a [SEP] or [CLS] a [SEP] b [SEP].

B rows, T tokens of the longest row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf

from keras_bert_zoo.errors import ConfigError, DataError


def kept_lengths(first: tf.Tensor, second: tf.Tensor, room: int | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """How much of each segment stays when a pair shares `room` tokens and the longer one gives way first.

    int [B], int [B] -> int [B], int [B].
    Source: google-research/bert run_classifier.py, _truncate_seq_pair, which takes tokens off one by one, from the
    second segment when both are equally long; this is where that ends.
    """
    second = tf.minimum(second, tf.maximum(room // 2, room - first))
    return tf.minimum(first, room - second), second


def pack(
    segments: Sequence[tf.RaggedTensor], *, cls_id: int, sep_id: int, pad_id: int, max_length: int
) -> dict[str, tf.Tensor]:
    """Puts special tokens around one or two segments, cuts rows at `max_length` and pads to the batch's longest row.

    segments: one or two of int32 [B,(T)] -> `input_word_ids`, `input_mask`, `input_type_ids`, each int32 [B,T].
    A pair is cut at its longer segment first.
    Raises DataError unless there are one or two segments, ConfigError if `max_length` has no room for the special
    tokens.
    """
    if len(segments) not in (1, 2):
        raise DataError(f"pack got {len(segments)} segments, want one or two.")
    special = len(segments) + 1
    if max_length < special:
        raise ConfigError(
            f"max_length is {max_length}, but [CLS] and [SEP] alone take {special}. Raise it to {special} or more."
        )
    return _filled(segments, (cls_id, sep_id, pad_id), max_length, to_the_end=False)


def pack_to(
    segments: Sequence[tf.RaggedTensor], *, cls_id: int, sep_id: int, pad_id: int, length: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Packs one or two segments as `pack` does, but pads each row to `length` tokens, an int32 tensor [].

    Where `length` has no room for the special tokens, running it raises TensorFlow's InvalidArgumentError.
    Source: TF.Text, RoundRobinTrimmer, combine_segments and pad_model_inputs: dealt out in turns, a pair's tokens end
    where `kept_lengths` ends.
    """
    special = len(segments) + 1
    room = f"seq_length has no room for [CLS] and [SEP], which alone take {special}."
    with tf.control_dependencies([tf.debugging.assert_greater_equal(length, special, message=room)]):
        return _filled(segments, (cls_id, sep_id, pad_id), tf.identity(length), to_the_end=True)


def widen(features: Mapping[str, tf.Tensor], width: tf.Tensor, pad_id: int) -> dict[str, tf.Tensor]:
    """Pad rows, or several of them an example, to `width` tokens: int32 [..,T] -> [..,width].

    What is not `input_word_ids`, `input_mask` or `input_type_ids` stays as it is.
    """
    filled = {"input_word_ids": pad_id, "input_mask": 0, "input_type_ids": 0}
    return {name: pad_axis(x, -1, width, filled[name]) if name in filled else x for name, x in features.items()}


def pad_axis(x: tf.Tensor, axis: int, size: tf.Tensor, value: int | float = 0) -> tf.Tensor:
    """Put `value` behind the cells of an axis until there are `size`; the tensor's rank must be known."""
    more = [[0, 0]] * x.shape.rank
    more[axis] = [0, size - tf.shape(x)[axis]]
    return tf.pad(x, more, constant_values=value)


def _filled(
    segments: Sequence[tf.RaggedTensor], special_ids: tuple[int, int, int], limit: int | tf.Tensor, *, to_the_end: bool
) -> dict[str, tf.Tensor]:
    """Cut rows at `limit` tokens and pad to the longest row, or to the limit itself."""
    special = len(segments) + 1
    room = limit - special
    lengths = [tf.cast(segment.row_lengths(), tf.int32) for segment in segments]
    kept = (tf.minimum(lengths[0], room),) if len(segments) == 1 else kept_lengths(lengths[0], lengths[1], room)

    # All ids in one line, the special ones at its end; then one gather fills the grid.
    values = tf.concat([*(tf.cast(s.values, tf.int32) for s in segments), special_ids], axis=0)
    total = tf.size(values)
    cls_at, sep_at, pad_at = total - 3, total - 2, total - 1
    longest = tf.reduce_max(tf.concat([tf.add_n(kept) + special, [special]], axis=0))
    width = limit if to_the_end else longest
    column = tf.range(width)[None, :]  # [1,T]

    # From the row's end to its beginning, each part overwrites what stands before its own end.
    end = (tf.add_n(kept) + special)[:, None]  # [B,1]
    mask = tf.cast(column < end, tf.int32)
    types = tf.zeros_like(mask)
    at = pad_at
    stop, base = end, tf.size(values) - 3
    for number in reversed(range(len(segments))):
        starts = tf.cast(segments[number].row_starts(), tf.int32)[:, None]
        base -= tf.size(segments[number].values)
        begin = stop - 1 - kept[number][:, None]  # the segment's first column
        if number == 1:
            types = tf.cast(tf.logical_and(column >= begin, column < stop), tf.int32)
        at = tf.where(column < stop, sep_at, at)
        at = tf.where(column < stop - 1, base + starts + column - begin, at)
        stop = begin
    at = tf.where(column < stop, cls_at, at)
    return {"input_word_ids": tf.gather(values, at), "input_mask": mask, "input_type_ids": types}
