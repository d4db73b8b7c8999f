"""Questions with their contexts, in rows: [CLS] question [SEP] a window of the context [SEP].

B examples, R rows, T tokens of the longest row, S pieces of all contexts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.text.normalizer import drop_invalid
from keras_bert_zoo.text.packing import pack
from keras_bert_zoo.text.windows import Windows, cut_windows, look_through

if TYPE_CHECKING:
    from keras_bert_zoo.text.tokenizer import Tokenizer

SPECIAL = 3  # [CLS] and two [SEP]


def question_limit(length: int, max_query_length: int) -> int:
    """Return how many tokens of a question a row of `length` keeps: at most half a row, and one place for the context.

    Raises: ConfigError where a row has no place for a context.
    """
    if length <= SPECIAL:
        raise ConfigError(
            f"max_length is {length}, but [CLS] and two [SEP] alone take {SPECIAL}. Raise it; 384 is the usual value."
        )
    return min(max_query_length, length // 2, length - SPECIAL - 1)


def question_packer(
    tokenizer: Tokenizer, length: int, *, max_query_length: int, doc_stride: int
) -> Callable[..., tuple[dict[str, Any], Any]]:
    """Return the `pack` of question answering: strings [B] of `question` and `context` -> features and targets.

    Features are the model's, int32 [R,T], and what `best_spans` needs.  Targets, where the characters of the answers
    are given (`start`, `end` int32 [B], the end beyond the last one, -1 without an answer), are the places of the
    answer's first and last token in its row, int32 [R,2]; a row that does not hold the whole answer points to [CLS].
    With `window` int32 [B] every example gives that one of its windows, else all.

    Source: google-research/bert run_squad.py, convert_examples_to_features.
    """
    limit = question_limit(length, max_query_length)
    ids = {"cls_id": tokenizer.cls_id, "sep_id": tokenizer.sep_id, "pad_id": tokenizer.pad_id}

    def packed(columns: Mapping[str, Any], answers: Any = None, window: Any = None) -> tuple[dict[str, Any], Any]:
        question = tokenizer.tokenize(columns["question"])  # [B,(Q)]
        context, starts, ends = tokenizer.tokenize_with_offsets(columns["context"])  # [B,(C)]
        asked = tf.minimum(tf.cast(question.row_lengths(), tf.int32), limit)  # [B]
        total = tf.cast(context.row_lengths(), tf.int32)  # [B]
        room = length - SPECIAL - asked  # [B]
        windows = cut_windows(total, room, doc_stride) if window is None else _window(total, room, doc_stride, window)
        kept = tf.gather(asked, windows.owner)  # [R]
        begin = Windows(windows.owner, tf.zeros_like(kept), kept)
        rows = pack([look_through(question, begin), look_through(context, windows)], **ids, max_length=length)
        memory = {
            "owner": windows.owner,
            "window_start": windows.start,
            "window_size": windows.size,
            "first_token": kept + 2,  # the column of the window's first token
            "room": room,
            "stride": tf.constant(doc_stride),
            "total": total,
            "answerable": tf.logical_and(asked > 0, total > 0),
            "context": drop_invalid(tf.convert_to_tensor(columns["context"])),
            "piece_starts": starts.values,
            "piece_ends": ends.values,
            "piece_splits": tf.cast(context.row_splits, tf.int32),
        }
        targets = None if answers is None else _places(memory, answers)
        return {**rows, **memory}, targets

    return packed


def _window(total: tf.Tensor, room: tf.Tensor, stride: int, number: tf.Tensor) -> Windows:
    """Return one window of each text, by its number: each int32 [B]."""
    start = tf.cast(number, tf.int32) * tf.minimum(stride, room)
    return Windows(tf.range(tf.size(total)), start, tf.minimum(total - start, room))


def _places(memory: Mapping[str, tf.Tensor], answers: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """Return the columns of the answer's first and last token in every row, int32 [R,2]; 0 where it lies elsewhere."""
    splits = memory["piece_splits"]
    owner = _owners(splits)  # [S]
    first = _count(memory["piece_ends"] <= tf.gather(answers["start"], owner), splits)  # [B], in the context
    last = _count(memory["piece_starts"] < tf.gather(answers["end"], owner), splits) - 1
    there = tf.logical_and(answers["start"] >= 0, first <= last)

    owner, begin = memory["owner"], memory["window_start"]  # [R] from here on
    first, last = tf.gather(first, owner) - begin, tf.gather(last, owner) - begin
    inside = tf.logical_and(first >= 0, last < memory["window_size"])
    held = tf.logical_and(tf.gather(there, owner), inside)
    return tf.where(held[:, None], tf.stack([first, last], axis=1) + memory["first_token"][:, None], 0)


def _owners(splits: tf.Tensor) -> tf.Tensor:
    """Return each piece's text, int32 [S]."""
    return tf.searchsorted(splits, tf.range(splits[-1]), side="right") - 1


def _count(true: tf.Tensor, splits: tf.Tensor) -> tf.Tensor:
    """Return how many pieces of each text are true: bool [S] -> int32 [B]."""
    sums = tf.concat([[0], tf.cumsum(tf.cast(true, tf.int32))], axis=0)
    return tf.gather(sums, splits[1:]) - tf.gather(sums, splits[:-1])
