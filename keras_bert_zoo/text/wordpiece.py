"""WordPiece in the graph: words to pieces, and the limit on a word's length.

B texts, W words, P pieces, N bytes of all texts joined.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text
from tensorflow_text.core.pybinds import pywrap_fast_wordpiece_tokenizer_model_builder as model_builder

_SUFFIX = "##"
_NO_LIMIT = 2**31 - 1  # the op counts bytes, BERT counts characters: `_drop_long_words` does it


class Pieces(NamedTuple):
    """`ids` int32 [P]; `starts` and `ends` int64 [P], in bytes of the normalised text; `row_splits` int64 [B+1]."""

    ids: tf.Tensor
    starts: tf.Tensor
    ends: tf.Tensor
    row_splits: tf.Tensor


class ByteMap(NamedTuple):
    """Texts joined by one byte each.

    `row_starts` int64 [B], where each text begins; `characters` int64 [N+1], how many characters begin before a byte.
    """

    row_starts: tf.Tensor
    characters: tf.Tensor


def join_bytes(texts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """All texts as one run of bytes, a space between.

    string [B] -> uint8 [N]; int64 [B], where each text begins.
    """
    data = tf.io.decode_raw(tf.strings.reduce_join(texts, separator=" "), tf.uint8)
    lengths = tf.cast(tf.strings.length(texts), tf.int64)
    return data, tf.cumsum(lengths + 1, exclusive=True)


def map_bytes(texts: tf.Tensor) -> ByteMap:
    """Counts characters by byte position, for texts that are valid UTF-8."""
    data, row_starts = join_bytes(texts)
    begins = tf.cast(tf.bitwise.bitwise_and(data, 0xC0) != 0x80, tf.int64)  # not a continuation byte
    return ByteMap(row_starts, tf.concat([[0], tf.cumsum(begins)], axis=0))


def row_ids(row_splits: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """The row that each place of the flat values belongs to.

    row_splits int64 [B+1], places int64 [P] -> int64 [P].  TensorFlow's own `value_rowids` builds a table of rows
    times the longest row, which for a megabyte beside many short texts is more memory than there is.
    """
    return tf.searchsorted(row_splits, places, side="right", out_type=tf.int64) - 1


class WordPiece:
    """Cuts normalised texts into the longest pieces of a vocabulary, from the left.

    `op_splits`: the op cuts words at punctuation and ideographs by itself, otherwise only at spaces.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        aliases: Mapping[str, str],
        *,
        unknown: str,
        word_limit: int,
        op_splits: bool,
    ) -> None:
        alias = {ord(character): name for character, name in aliases.items()}
        spelled = [token.translate(alias) for token in tokens] if alias else list(tokens)
        # The builder refuses a vocabulary of special tokens alone; one more that no text can give pleases it.
        model = model_builder.build_fast_wordpiece_model(
            [*spelled, "\x12"], _NO_LIMIT, _SUFFIX, unknown, not op_splits, False
        )
        self._model = np.frombuffer(model, np.uint8)
        # A word begins at each of these: no word begins with '##', since '#' is punctuation.
        self._begins_word = np.array([not t.startswith(_SUFFIX) or t == unknown for t in tokens])
        self._unknown_id = tokens.index(unknown)
        self._word_limit = word_limit
        self._op_splits = op_splits

    def pieces(self, texts: tf.Tensor) -> Pieces:
        """Cuts normalised texts.

        string [B] -> Pieces.
        """
        op = tf_text.FastWordpieceTokenizer(model_buffer=tf.constant(self._model), token_out_type=tf.int32)
        if self._op_splits:
            ids, starts, ends = op.tokenize_with_offsets(texts)
            found = Pieces(ids.values, starts.values, ends.values, ids.row_splits)
        else:
            words = tf.strings.split(texts)  # [B,(W)]
            ids, starts, ends = op.tokenize_with_offsets(words.values)  # [W,(P)]
            pieces = tf.range(tf.size(ids.values, tf.int64))
            word_starts = tf.gather(_word_starts(texts), row_ids(ids.row_splits, pieces))
            found = Pieces(
                ids.values,
                starts.values + word_starts,
                ends.values + word_starts,
                tf.gather(ids.row_splits, words.row_splits),
            )
        return self._drop_long_words(texts, found)

    def _drop_long_words(self, texts: tf.Tensor, pieces: Pieces) -> Pieces:
        """Puts one unknown piece in the place of each word of more characters than the limit."""
        begins = tf.gather(tf.constant(self._begins_word), pieces.ids)  # [P]
        first = tf.where(begins)[:, 0]  # [W]
        last = tf.concat([first, tf.shape(pieces.ids, tf.int64)], axis=0)[1:] - 1  # [W]
        starts, ends = tf.gather(pieces.starts, first), tf.gather(pieces.ends, last)  # [W]

        def collapse() -> Pieces:
            rows = row_ids(pieces.row_splits, first)  # [W]
            places = map_bytes(texts)
            row_starts = tf.gather(places.row_starts, rows)
            count = tf.gather(places.characters, row_starts + ends) - tf.gather(places.characters, row_starts + starts)
            long_word = count > self._word_limit  # [W]
            word = tf.cumsum(tf.cast(begins, tf.int32)) - 1  # [P]
            long_piece = tf.gather(long_word, word)
            keep = tf.logical_or(begins, tf.logical_not(long_piece))
            kept_before = tf.concat([[0], tf.cumsum(tf.cast(keep, tf.int64))], axis=0)
            return Pieces(
                tf.boolean_mask(tf.where(long_piece, self._unknown_id, pieces.ids), keep),
                tf.boolean_mask(pieces.starts, keep),
                tf.boolean_mask(tf.where(long_piece, tf.gather(ends, word), pieces.ends), keep),
                tf.gather(kept_before, pieces.row_splits),
            )

        # A character is at least one byte, so most batches are done here.
        return tf.cond(tf.reduce_any(ends - starts > self._word_limit), collapse, lambda: pieces)


def _word_starts(texts: tf.Tensor) -> tf.Tensor:
    """Where each word begins in its text, in bytes.

    string [B] of words between spaces -> int64 [W].
    """
    data, row_starts = join_bytes(texts)
    inside = data != ord(" ")
    begins = tf.logical_and(inside, tf.logical_not(tf.concat([[False], inside[:-1]], axis=0)))
    places = tf.where(begins)[:, 0]
    return places - tf.gather(row_starts, row_ids(row_starts, places))
