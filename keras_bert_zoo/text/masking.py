"""Masks drawn for training: which pieces are asked about, and what stands in their place.

B rows, T tokens a row, M places a row.  Every number drawn is a function of (seed, number of the text, place in the
row): the same text gets the same masks in whatever batch it comes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from keras_bert_zoo.text.masks import pack_with_masks, places

if TYPE_CHECKING:
    from keras_bert_zoo.text.tokenizer import Tokenizer

_GOLDEN = 0x9E3779B97F4A7C15
_FIRST_MIX, _SECOND_MIX = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
# What a number is drawn for: each gets numbers of its own.
_ORDER, _KIND, _TOKEN = range(3)
_MASKED, _MASKED_OR_RANDOM = 0.8, 0.9  # shares: 80 % [MASK], 10 % any token, 10 % as it was


def typed_or_drawn(
    plain: Callable[..., tuple[dict[str, Any], Any]],
    tokenizer: Tokenizer,
    names: Sequence[str],
    length: int,
    *,
    share: float,
    most: int | None,
    whole_words: bool,
) -> Callable[[Mapping[str, Any], Any], tuple[dict[str, Any], Any]]:
    """Return a function from string columns [B] and seeds int64 [B,2], or None, to features and targets.

    With seeds the rows that `plain` packs get masks drawn, see `draw_masks`; `most` None is the share of `length`.
    Without, the masks typed in the columns `names` are meant, see `pack_with_masks`, and targets are None.
    """
    limit = max(1, round(share * length)) if most is None else most

    def features(columns: Mapping[str, Any], seeds: Any) -> tuple[dict[str, Any], Any]:
        if seeds is None:
            return pack_with_masks(tokenizer, [columns[name] for name in names], length), None
        packed, _ = plain(columns)
        return draw_masks(packed, tokenizer, seeds, share=share, most=limit, whole_words=whole_words)

    return features


def draw_masks(
    features: Mapping[str, tf.Tensor],
    tokenizer: Tokenizer,
    seeds: tf.Tensor,
    *,
    share: float,
    most: int,
    whole_words: bool = False,
) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
    """Mask packed rows: features with `input_word_ids` and `masked_lm_positions` int32 [B,M]; the targets.

    A `share` of each row's tokens is asked about, at least one, `most` at most; `whole_words` masks all pieces of a
    word or none.  Special tokens are never asked about.  `seeds` is int64 [B,2]: the run's, and the number of each
    row's text.  Targets are float32 [B,M,2]: the ids that stood there, and 1, or 0 for padding.
    Source: google-research/bert create_pretraining_data.py create_masked_lm_predictions.
    """
    ids = features["input_word_ids"]  # [B,T]
    real = tf.not_equal(features["input_mask"], 0)
    special = tf.logical_or(tf.equal(ids, tokenizer.cls_id), tf.equal(ids, tokenizer.sep_id))
    candidates = tf.logical_and(real, tf.logical_not(special))  # [B,T]
    tokens = tf.reduce_sum(tf.cast(real, tf.float32), axis=1)  # [B], with [CLS] and [SEP], as the original counts
    wanted = tf.clip_by_value(tf.cast(tf.round(tokens * share), tf.int32), 1, most)  # [B]

    draws = _uniform(seeds, tf.shape(ids)[1])
    if whole_words:
        piece = tf.constant([token.startswith("##") for token in tokenizer.vocabulary])
        chosen = _choose_words(candidates, tf.gather(piece, ids), draws[_ORDER], wanted)
    else:
        order = tf.argsort(tf.where(candidates, draws[_ORDER], 2.0), axis=1)
        chosen = tf.logical_and(candidates, tf.less(tf.argsort(order, axis=1), wanted[:, None]))  # by rank

    kind = draws[_KIND]
    token = tf.cast(draws[_TOKEN] * len(tokenizer.vocabulary), tf.int32)
    other = tf.where(kind < _MASKED, tokenizer.mask_id, tf.where(kind < _MASKED_OR_RANDOM, token, ids))
    listed = places(chosen)
    weights = tf.sequence_mask(listed.counts, tf.shape(listed.positions)[1], tf.float32)  # [B,M]
    asked = tf.cast(tf.gather(ids, listed.positions, batch_dims=1), tf.float32) * weights
    masked = {
        **features,
        "input_word_ids": tf.where(chosen, other, ids),
        "masked_lm_positions": listed.positions,
    }
    return masked, tf.stack([asked, weights], axis=-1)


def _choose_words(candidates: tf.Tensor, piece: tf.Tensor, draws: tf.Tensor, wanted: tf.Tensor) -> tf.Tensor:
    """Choose whole words in the order of their first pieces' draws; one that no longer fits is passed over.

    bool [B,T], bool [B,T] (glued to the piece before), float32 [B,T], int32 [B] -> bool [B,T].
    """
    glued = tf.logical_and(piece, tf.concat([tf.zeros_like(candidates[:, :1]), candidates[:, :-1]], axis=1))
    begins = tf.logical_and(candidates, tf.logical_not(glued))  # [B,T]
    time = tf.shape(candidates)[1]
    word = tf.maximum(tf.cumsum(tf.cast(begins, tf.int32), axis=1) - 1, 0)  # [B,T], number of a piece's word
    sizes = tf.reduce_sum(
        tf.one_hot(word, time, dtype=tf.int32) * tf.cast(candidates, tf.int32)[..., None], axis=1
    )  # [B,T], by number of word
    first = tf.pad(places(begins).positions, [[0, 0], [0, 1]])  # [B,W], one more than words, so that there is one
    count = tf.reduce_sum(tf.cast(begins, tf.int32), axis=1)  # [B]
    words = tf.shape(first)[1]
    real = tf.sequence_mask(count, words)
    order = tf.argsort(tf.where(real, tf.gather(draws, first, batch_dims=1), 2.0), axis=1)  # [B,W]
    sorted_sizes = tf.gather(tf.where(real, sizes[:, :words], 0), order, batch_dims=1)

    def step(sums: tuple[tf.Tensor, tf.Tensor], size: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        taken = tf.where(sums[0] + size <= wanted, size, 0)
        return sums[0] + taken, taken

    start = (tf.zeros_like(wanted), tf.zeros_like(wanted))
    _, taken = tf.scan(step, tf.transpose(sorted_sizes), initializer=start)  # [W,B]
    by_word = tf.gather(tf.transpose(taken), tf.argsort(order, axis=1), batch_dims=1) > 0  # [B,W]
    return tf.logical_and(candidates, tf.gather(by_word, tf.minimum(word, words - 1), batch_dims=1))


def _uniform(seeds: tf.Tensor, time: tf.Tensor) -> list[tf.Tensor]:
    """Draw numbers from 0 up to 1, three for each cell: float32 [B,T] each.

    Source: Steele et al. 2014, "Fast splittable pseudorandom number generators", SplitMix64.
    """
    keys = tf.cast(seeds, tf.uint64)
    key = _mix(_mix(keys[:, 0]) ^ keys[:, 1])[:, None]  # [B,1]
    cell = tf.cast(tf.range(time), tf.uint64)[None, :]  # [1,T]
    drawn = []
    for purpose in (_ORDER, _KIND, _TOKEN):
        number = cell * 3 + (purpose + 1)
        bits = tf.bitwise.right_shift(_mix(key + number * _whole(_GOLDEN)), tf.constant(40, tf.uint64))  # 24 of 64
        drawn.append(tf.cast(tf.cast(bits, tf.int32), tf.float32) / 2**24)
    return drawn


def _mix(x: tf.Tensor) -> tf.Tensor:
    x = x + _whole(_GOLDEN)
    for shift, factor in ((30, _FIRST_MIX), (27, _SECOND_MIX)):
        x = (x ^ tf.bitwise.right_shift(x, tf.constant(shift, tf.uint64))) * _whole(factor)
    return x ^ tf.bitwise.right_shift(x, tf.constant(31, tf.uint64))


def _whole(value: int) -> Any:
    return tf.constant(np.uint64(value))
