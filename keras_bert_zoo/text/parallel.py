"""Large batches in several parts, so that one call keeps several cores busy.

B texts, P pieces of all texts.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import tensorflow as tf

_PARTS = 4
_LARGE = 1 << 16  # bytes of text, about two milliseconds on one core: below, parts cost more than they bring

# Texts, string [B] -> ragged tensors [B,(P)] that share their rows.
Cut = Callable[[tf.Tensor], tuple[tf.RaggedTensor, ...]]


def in_parts(cut: Cut, texts: tf.Tensor) -> tuple[tf.RaggedTensor, ...]:
    """Calls `cut` on a few runs of texts that TensorFlow may execute side by side, or once on a small batch.

    `cut` is a `tf.function`, so that the graph holds its constants once however often it is called.
    """

    def flat(rows: tuple[tf.RaggedTensor, ...]) -> tuple[tf.Tensor, ...]:
        return (rows[0].row_lengths(), *(row.values for row in rows))

    def several() -> tuple[tf.Tensor, ...]:
        count = tf.size(texts)
        edges = [count * i // _PARTS for i in range(_PARTS + 1)]
        parts = [flat(cut(texts[a:b])) for a, b in pairwise(edges)]
        return tuple(tf.concat(column, axis=0) for column in zip(*parts, strict=True))

    large = tf.reduce_sum(tf.strings.length(texts)) > _LARGE
    lengths, *values = tf.cond(large, several, lambda: flat(cut(texts)))
    return tuple(tf.RaggedTensor.from_row_lengths(value, lengths, validate=False) for value in values)
