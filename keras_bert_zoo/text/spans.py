"""From logits of first and last tokens to the best answers, in the graph.

B examples, R rows of windows, T tokens of a row, K candidates for either end in a row, P spans, N answers told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import tensorflow as tf

from keras_bert_zoo.text.wordpiece import join_bytes

_BASE = 0x1E3779B97F4A7C15  # any large odd number: hashes are sums of bytes times its powers, modulo 2^64
_LOW = -1e9  # of padding: no other logit is as low
_OWNER, _LENGTH = 0x2545F4914F6CDD1D, 0x369DEA0F31A53F85  # large odd numbers too


class Spans(NamedTuple):
    """Candidates, all [P]: their example, characters from `start` to before `end` (-1: no answer), and logits."""

    owner: tf.Tensor
    start: tf.Tensor
    end: tf.Tensor
    start_logit: tf.Tensor
    end_logit: tf.Tensor

    def pick(self, places: tf.Tensor) -> Spans:
        """Return the candidates at these places, in this order."""
        return Spans(*(tf.gather(values, places) for values in self))

    @property
    def total(self) -> tf.Tensor:
        """Both logits together, in float64: the original adds Python's numbers."""
        return tf.cast(self.start_logit, tf.float64) + tf.cast(self.end_logit, tf.float64)


def best_spans(
    logits: tf.Tensor,
    rows: Mapping[str, tf.Tensor],
    *,
    n_best: int,
    max_answer_length: int,
    no_answer: bool,
    null_threshold: float,
) -> dict[str, tf.Tensor]:
    """Turn logits [R,T,2] and what `question_packer` remembered into the answers that `QuestionAnswering` tells of.

    Source: google-research/bert run_squad.py, write_predictions.  As there, the `n_best` highest starts and ends of a
    row are paired, a start counts in the window alone where it has most context, an answer has at most
    `max_answer_length` tokens, and of equal texts the best stays.
    """
    context = rows["context"]
    real = tf.cast(rows["input_mask"], tf.bool)  # [R,T]
    start, end = (tf.where(real, tf.cast(logits[..., i], tf.float32), _LOW) for i in (0, 1))  # [R,T]
    spans = _spans(start, end, rows, n_best, max_answer_length)
    null = _null(start, end, rows)  # [B] each
    if no_answer:  # after the spans, so that it loses a tie
        asked = tf.where(rows["answerable"])[:, 0]
        spans = Spans(*(tf.concat(both, axis=0) for both in zip(spans, null.pick(asked), strict=True)))
    order = tf.argsort(spans.total, direction="DESCENDING", stable=True)
    spans = spans.pick(tf.gather(order, tf.argsort(tf.gather(spans.owner, order), stable=True)))
    texts = _Texts(context)
    spans = spans.pick(texts.first_of_each(spans))

    rank = tf.range(tf.size(spans.owner)) - tf.searchsorted(spans.owner, spans.owner, side="left")
    kept = tf.where(tf.logical_or(rank < n_best, spans.start < 0))[:, 0]  # "no answer" is always told
    spans, rank = spans.pick(kept), tf.minimum(tf.gather(rank, kept), n_best)
    many = tf.size(kept)
    grid = tf.fill(tf.stack([tf.size(context), n_best + int(no_answer)]), many)  # [B,N]; `many` is nothing
    grid = tf.tensor_scatter_nd_update(grid, tf.stack([spans.owner, rank], axis=1), tf.range(many))

    def laid_out(values: tf.Tensor, nothing: object) -> tf.Tensor:
        return tf.gather(tf.concat([values, tf.constant([nothing], values.dtype)], axis=0), grid)  # [B,N]

    present = grid < many
    totals = tf.where(present, laid_out(spans.total, 0.0), tf.constant(-1e30, tf.float64))
    found = {
        "answers": laid_out(texts.read(spans), ""),
        "starts": laid_out(spans.start, -1),
        "ends": laid_out(spans.end, -1),
        "scores": tf.where(present, tf.cast(tf.nn.softmax(totals), tf.float32), 0.0),
        "start_logits": laid_out(spans.start_logit, 0.0),
        "end_logits": laid_out(spans.end_logit, 0.0),
    }
    is_span = found["starts"] >= 0  # [B,N]
    best = tf.argmax(tf.cast(is_span, tf.int32), axis=1, output_type=tf.int32)  # [B], the first span
    there = tf.reduce_any(is_span, axis=1)
    difference = null.total - tf.where(there, _at(totals, best), tf.constant(0.0, tf.float64))
    difference = tf.where(rows["answerable"], difference, tf.zeros_like(difference))
    chosen = tf.logical_and(there, difference <= null_threshold) if no_answer else there
    of_null = tf.reduce_sum(tf.where(is_span, 0.0, found["scores"]), axis=1)
    return {
        "answer": tf.where(chosen, _at(found["answers"], best), ""),
        "start": tf.where(chosen, _at(found["starts"], best), -1),
        "end": tf.where(chosen, _at(found["ends"], best), -1),
        "score": tf.where(chosen, _at(found["scores"], best), of_null),
        "no_answer_score": tf.cast(difference, tf.float32),
        **found,
    }


def _at(values: tf.Tensor, column: tf.Tensor) -> tf.Tensor:
    """Return one value of every row: [B,N], int32 [B] -> [B]."""
    return tf.gather(values, column, batch_dims=1)


def _spans(start: tf.Tensor, end: tf.Tensor, rows: Mapping[str, tf.Tensor], n_best: int, longest: int) -> Spans:
    """Return every valid pair of a row's highest starts and ends, row after row, starts before ends."""
    many = tf.minimum(n_best, tf.shape(start)[1])
    _, start_at = tf.math.top_k(start, many)  # [R,K]
    _, end_at = tf.math.top_k(end, many)
    first, size = rows["first_token"][:, None], rows["window_size"][:, None]  # [R,1]

    def inside(column: tf.Tensor) -> tf.Tensor:
        return tf.logical_and(column >= first, column < first + size)

    good_start = tf.logical_and(inside(start_at), _has_most_context(start_at - first, rows))
    good_start = tf.logical_and(good_start, tf.gather(rows["answerable"], rows["owner"])[:, None])
    gap = end_at[:, None, :] - start_at[:, :, None]  # [R,K,K]
    short = tf.logical_and(gap >= 0, gap < longest)
    pairs = tf.where(tf.logical_and(short, tf.logical_and(good_start[:, :, None], inside(end_at)[:, None, :])))
    row = pairs[:, 0]  # [P]
    a = tf.gather_nd(start_at, pairs[:, :2])
    b = tf.gather_nd(end_at, pairs[:, ::2])
    owner = tf.gather(rows["owner"], row)
    base = tf.gather(rows["piece_splits"], owner) + tf.gather(rows["window_start"] - rows["first_token"], row)
    return Spans(
        owner,
        tf.gather(rows["piece_starts"], base + a),
        tf.gather(rows["piece_ends"], base + b),
        tf.gather_nd(start, tf.stack([row, tf.cast(a, row.dtype)], axis=1)),
        tf.gather_nd(end, tf.stack([row, tf.cast(b, row.dtype)], axis=1)),
    )


def _has_most_context(place: tf.Tensor, rows: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """Whether a window is the one where its tokens have most context: places in the window [R,K] -> bool [R,K].

    The smaller of the contexts on both sides rises and then falls from window to window, so the neighbours decide.
    Source: google-research/bert run_squad.py, _check_is_max_context; of equals the first window wins.
    """
    begin, size = rows["window_start"], rows["window_size"]
    room, total = tf.gather(rows["room"], rows["owner"]), tf.gather(rows["total"], rows["owner"])
    stride = tf.minimum(rows["stride"], room)
    place = place + begin[:, None]

    def context(begin: tf.Tensor, size: tf.Tensor, there: tf.Tensor) -> tf.Tensor:
        least = tf.minimum(place - begin[:, None], (begin + size - 1)[:, None] - place)  # [R,K]
        value = tf.cast(least, tf.float64) + 0.01 * tf.cast(size, tf.float64)[:, None]
        return tf.where(tf.logical_and(there[:, None], least >= 0), value, tf.constant(-1.0, tf.float64))

    own = context(begin, size, tf.ones_like(begin, tf.bool))
    before = context(begin - stride, room, begin > 0)
    after = context(begin + stride, tf.minimum(total - begin - stride, room), begin + size < total)
    return tf.logical_and(own > before, own >= after)


def _null(start: tf.Tensor, end: tf.Tensor, rows: Mapping[str, tf.Tensor]) -> Spans:
    """Return "no answer" for each example: the window with the least sum of logits at [CLS], the first of equals."""
    owner, batch = rows["owner"], tf.size(rows["context"])
    total = tf.cast(start[:, 0], tf.float64) + tf.cast(end[:, 0], tf.float64)  # [R]
    least = tf.math.unsorted_segment_min(total, owner, batch)  # [B]
    count = tf.size(owner)
    number = tf.where(total <= tf.gather(least, owner), tf.range(count), count)
    row = tf.math.unsorted_segment_min(number, owner, batch)
    nothing = tf.fill([batch], -1)
    return Spans(tf.range(batch), nothing, nothing, tf.gather(start[:, 0], row), tf.gather(end[:, 0], row))


class _Texts:
    """Contexts, valid UTF-8, to read spans of characters from."""

    def __init__(self, context: tf.Tensor) -> None:
        self.context = context
        self.data, self.row_starts = join_bytes(context)  # [bytes], [B]
        begins = tf.bitwise.bitwise_and(self.data, 0xC0) != 0x80  # not a continuation byte
        size = tf.size(self.data, tf.int64)
        self.byte = tf.concat([tf.where(begins)[:, 0], size[None]], axis=0)  # of each character, and the end
        before = tf.cumsum(tf.cast(begins, tf.int64), exclusive=True)
        self.first = tf.gather(tf.concat([before, [0]], axis=0), self.row_starts)  # [B], each text's first character

    def _bytes(self, spans: Spans) -> tuple[tf.Tensor, tf.Tensor]:
        """Return each span's first byte and the one behind it, int64 [P]; both alike for "no answer"."""
        first = tf.gather(self.first, spans.owner)
        start, end = (tf.cast(tf.maximum(place, 0), tf.int64) for place in (spans.start, spans.end))
        return tf.gather(self.byte, first + start), tf.gather(self.byte, first + end)

    def read(self, spans: Spans) -> tf.Tensor:
        """Return the spans' texts, string [P]."""
        begin, end = self._bytes(spans)
        begin_in_text = begin - tf.gather(self.row_starts, spans.owner)
        return tf.strings.substr(tf.gather(self.context, spans.owner), begin_in_text, end - begin)

    def first_of_each(self, spans: Spans) -> tf.Tensor:
        """Return the places of spans whose text no earlier span of the same example has, int [P'].

        Texts are compared by length and a 64-bit hash: cutting out every candidate would copy its whole context.
        """
        size = tf.size(self.data)
        powers = tf.math.cumprod(tf.fill([size + 1], tf.constant(_BASE, tf.int64)))
        sums = tf.cumsum((tf.cast(self.data, tf.int64) + 1) * powers[:-1])
        sums = tf.concat([tf.zeros([1], tf.int64), sums], axis=0)
        begin, end = self._bytes(spans)
        same_place = tf.gather(powers, tf.size(self.data, tf.int64) - begin)
        value = (tf.gather(sums, end) - tf.gather(sums, begin)) * same_place
        value += tf.cast(spans.owner, tf.int64) * _OWNER + (end - begin) * _LENGTH
        distinct, number = tf.unique(value)
        count = tf.size(number)
        return tf.math.unsorted_segment_min(tf.range(count), number, tf.size(distinct))
