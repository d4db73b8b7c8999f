"""Masks that stand in raw text: found, given to the model, and filled.

B texts, T pieces of one text, P parts between masks, M masks a row, K answers a mask, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import tensorflow as tf

from keras_bert_zoo.text.packing import pack
from keras_bert_zoo.text.wordpiece import row_ids

if TYPE_CHECKING:
    from keras_bert_zoo.text.tokenizer import Tokenizer

_SPACE_AT_END = r"[\s\pZ]+$"


class Places(NamedTuple):
    """Marked cells of a grid, row by row from the left: int32 [B,M], 0 where a row has fewer; how many, int32 [B]."""

    positions: tf.Tensor
    counts: tf.Tensor


def places(marked: tf.Tensor) -> Places:
    """List the marked cells of bool [B,T]; M is the most that a row has."""
    counts = tf.reduce_sum(tf.cast(marked, tf.int32), axis=1)  # [B]
    width = tf.reduce_max(tf.concat([counts, [0]], axis=0))
    order = tf.argsort(tf.cast(tf.logical_not(marked), tf.int32), stable=True)[:, :width]  # [B,M]
    return Places(tf.where(tf.sequence_mask(counts, width), order, 0), counts)


def tokenize_with_masks(tokenizer: Tokenizer, texts: tf.Tensor) -> tuple[tf.RaggedTensor, tf.RaggedTensor]:
    """Cut texts into pieces, where the tokenizer's mask token stands for itself, whatever it is glued to.

    string [B] -> ids int32 [B,(T)]; the text before, between and behind the masks, as typed: string [B,(P)].
    As Hugging Face's tokenizers do: what stands on either side of a mask is a text of its own.
    """
    mask = tokenizer.settings.special_tokens["mask"]
    parts = tf.strings.split(texts, sep=mask)  # [B,(P)], each text has one part at least
    pieces = tokenizer.tokenize(parts.values)  # [P,(t)]
    # A mask follows every part but the last of its text.
    splits = tf.cast(parts.row_splits, tf.int64)
    numbers = tf.range(tf.size(parts.values, tf.int64))  # [P]
    rows = row_ids(splits, numbers)
    before = numbers - rows  # [P], masks before each part: a part more than masks in every text so far
    ends = tf.cast(pieces.row_splits, tf.int64)[1:]  # [P]
    owner = row_ids(tf.cast(pieces.row_splits, tf.int64), tf.range(tf.size(pieces.values, tf.int64)))
    place = tf.range(tf.size(pieces.values, tf.int64)) + tf.gather(before, owner)
    total = tf.size(pieces.values, tf.int64) + tf.size(numbers, tf.int64) - parts.nrows(tf.int64)
    ids = tf.fill(tf.reshape(total, [1]), tokenizer.mask_id)
    ids = tf.tensor_scatter_nd_update(ids, place[:, None], pieces.values)
    last = splits[1:] - 1  # [B]
    lengths = tf.gather(ends, last) + tf.gather(before, last)  # [B], up to and with each text
    return tf.RaggedTensor.from_row_splits(ids, tf.concat([[0], lengths], axis=0), validate=False), parts


def pack_with_masks(tokenizer: Tokenizer, columns: Sequence[tf.Tensor], length: int) -> dict[str, Any]:
    """Pack one or two texts a row with the masks typed in them, and remember what `answer_masks` needs.

    Source: see `tokenize_with_masks` and `pack`; `masked_lm_positions` int32 [B,M] are the masks within the limit.
    """
    found = [tokenize_with_masks(tokenizer, tf.convert_to_tensor(texts)) for texts in columns]
    features: dict[str, Any] = pack(
        [ids for ids, _ in found],
        cls_id=tokenizer.cls_id,
        sep_id=tokenizer.sep_id,
        pad_id=tokenizer.pad_id,
        max_length=length,
    )
    real = tf.not_equal(features["input_mask"], 0)
    masked = tf.logical_and(tf.equal(features["input_word_ids"], tokenizer.mask_id), real)  # [B,T]
    listed = places(masked)
    second = tf.logical_and(masked, tf.equal(features["input_type_ids"], 1))
    in_second = tf.reduce_sum(tf.cast(second, tf.int32), axis=1)  # [B]
    return {
        **features,
        "masked_lm_positions": listed.positions,
        "mask_counts": [listed.counts - in_second, in_second][: len(columns)],
        "parts": [parts for _, parts in found],
        "mask_token": tf.constant(tokenizer.settings.special_tokens["mask"]),
        "vocabulary": tf.constant(tokenizer.vocabulary),
    }


def answer_masks(logits: tf.Tensor, features: Mapping[str, Any], top_k: int) -> tuple[tf.Tensor, tf.Tensor, list[Any]]:
    """Turn logits [B,M,V] into tokens string [B,M,K], their probabilities [B,M,K], and each column filled, string [B].

    Where a row has fewer masks there is "" and 0.
    """
    vocabulary = features["vocabulary"]
    named = logits[..., : vocabulary.shape[0]]  # a model may have ids that no token belongs to
    best, ids = tf.math.top_k(named, k=min(top_k, vocabulary.shape[0]))  # [B,M,K]
    scores = tf.exp(best - tf.reduce_logsumexp(logits, axis=-1, keepdims=True))
    counts = features["mask_counts"]
    real = tf.sequence_mask(tf.add_n(counts), tf.shape(logits)[1])[..., None]  # [B,M,1]
    tokens = tf.where(real, tf.gather(vocabulary, ids), "")
    filled, first = [], tf.zeros_like(counts[0])
    for parts, count in zip(features["parts"], counts, strict=True):
        filled.append(fill(parts, tokens[..., 0], first, count, features["mask_token"]))
        first += count
    return tokens, tf.where(real, scores, 0), filled


def fill(parts: tf.RaggedTensor, words: tf.Tensor, first: tf.Tensor, count: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Put words between the parts of texts: the mask number `first` of a row and those after it, `count` in all.

    parts string [B,(P)], words string [B,M], first and count int32 [B], mask string [] -> string [B].
    A word that begins with ## is glued to what stands before it; masks beyond the count stay as they were typed.
    """
    splits = tf.cast(parts.row_splits, tf.int64)
    numbers = tf.range(tf.size(parts.values, tf.int64))
    rows = row_ids(splits, numbers)  # [P]
    place = tf.cast(numbers - tf.gather(splits, rows), tf.int32)  # [P], of the mask behind each part
    last = tf.equal(numbers + 1, tf.gather(splits, rows + 1))
    answered = tf.logical_and(tf.less(place, tf.gather(count, rows)), tf.logical_not(last))
    width = tf.shape(words)[1]
    cell = tf.cast(rows, tf.int32) * width + tf.gather(first, rows) + place
    # One more word behind them all, for parts that none follows.
    flat = tf.concat([tf.reshape(words, [-1]), [""]], axis=0)
    word = tf.gather(flat, tf.where(answered, cell, tf.size(flat) - 1))  # [P]
    glued = tf.strings.regex_full_match(word, r"##\C+")
    text = tf.where(glued, tf.strings.regex_replace(parts.values, _SPACE_AT_END, ""), parts.values)
    word = tf.where(glued, tf.strings.regex_replace(word, "^##", ""), word)
    behind = tf.where(answered, word, tf.where(last, "", mask))
    return tf.strings.unsorted_segment_join(text + behind, rows, parts.nrows())
