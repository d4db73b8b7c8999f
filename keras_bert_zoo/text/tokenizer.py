"""The BERT tokenizer, exact and in the graph.

B texts, T pieces of one text (ragged).
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
import tensorflow as tf

from keras_bert_zoo.errors import DataError, VocabularyError
from keras_bert_zoo.text.normalizer import Normalizer, drop_invalid
from keras_bert_zoo.text.parallel import in_parts
from keras_bert_zoo.text.rules import Switches
from keras_bert_zoo.text.settings import Settings, read_settings, write_settings
from keras_bert_zoo.text.vocabulary import (
    SPECIAL_TOKENS,
    check_vocabulary,
    reachable_tokens,
    read_tokenizer_json,
    read_vocabulary,
    write_vocabulary,
)
from keras_bert_zoo.text.wordpiece import WordPiece, map_bytes, row_ids

# The longest word in characters; a longer one is unknown.  Original: google-research/bert tokenization.py,
# WordpieceTokenizer.  Hugging Face: tokenizers' WordPiece, max_input_chars_per_word.
_WORD_LIMITS = {"original": 200, "huggingface": 100}

_TEXTS = tf.TensorSpec([None], tf.string)

Texts: TypeAlias = "Sequence[str | bytes] | np.ndarray | tf.Tensor"


class Tokenizer:
    """Turns texts into the token ids that BERT was trained on, and back.

    `vocabulary`: the tokens, one per id.  `lower`: lower-case; `strip_accents`: take accents off, by default when
    lower-casing; `split_cjk`: make every ideograph a word.  `rules`: "original" is Google's code under Unicode 14,
    "huggingface" the `tokenizers` library; they differ for rare characters only.  `word_limit`: the longest word in
    characters, by default 200 (original) or 100 (huggingface); a longer one is unknown.  `max_length`: the longest
    row the model takes, for those who ask.  `special_tokens`: role ("pad", "unk", "cls", "sep", "mask") -> token.
    `duplicates`: "error", or "last" to let the later of two equal lines win, as the original silently does.

    Works eagerly, in `tf.function`, in `tf.data` and in a SavedModel; its tables are constants of the graph.

    Raises VocabularyError for a vocabulary or settings that cannot be used.
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        *,
        lower: bool = True,
        strip_accents: bool | None = None,
        split_cjk: bool = True,
        rules: str = "original",
        word_limit: int | None = None,
        max_length: int | None = None,
        special_tokens: Mapping[str, str] | None = None,
        duplicates: str = "error",
        where: str = "vocabulary",
    ) -> None:
        if rules not in _WORD_LIMITS:
            raise VocabularyError(f"rules is {rules!r}, want one of {', '.join(map(repr, _WORD_LIMITS))}.")
        if duplicates not in ("error", "last"):
            raise VocabularyError(f"duplicates is {duplicates!r}, want 'error' or 'last'.")
        if word_limit is not None and word_limit < 1:
            raise VocabularyError(f"word_limit is {word_limit}, want 1 or more characters.")
        unknown_roles = set(special_tokens or ()) - set(SPECIAL_TOKENS)
        if unknown_roles:
            raise VocabularyError(f"special_tokens names {sorted(unknown_roles)}, want some of {list(SPECIAL_TOKENS)}.")
        self.settings = Settings(
            lower=lower,
            strip_accents=lower if strip_accents is None else strip_accents,
            split_cjk=split_cjk,
            rules=rules,
            word_limit=_WORD_LIMITS[rules] if word_limit is None else word_limit,
            max_length=max_length,
            special_tokens={**SPECIAL_TOKENS, **(special_tokens or {})},
        )
        self.vocabulary = tuple(vocabulary)
        self._ids = check_vocabulary(self.vocabulary, self.settings.special_tokens, duplicates=duplicates, where=where)
        self._normalizer = Normalizer(Switches(rules, lower, self.settings.strip_accents, split_cjk))
        self._check_aliases(where)
        self._wordpiece = WordPiece(
            reachable_tokens(self.vocabulary, self._ids),
            self._normalizer.aliases,
            unknown=self.settings.special_tokens["unk"],
            word_limit=self.settings.word_limit,
            op_splits=split_cjk,
        )
        # Traced once each; inside another graph they become calls of one function that holds the constants.  Nothing
        # in them is for AutoGraph, which would take a second to find that out.
        traced = functools.partial(tf.function, input_signature=[_TEXTS], autograph=False)
        cut, cut_with_offsets = traced(self._cut), traced(self._cut_with_offsets)
        prepare = self._normalizer.lower_final_sigma
        self._tokenize = traced(lambda texts: in_parts(cut, prepare(texts))[0])
        self._tokenize_with_offsets = traced(lambda texts: in_parts(cut_with_offsets, prepare(drop_invalid(texts))))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], **switches: Any) -> Self:
        """Reads a vocab.txt; `switches` are the keyword arguments of the class.

        Raises VocabularyError if the file cannot be used.
        """
        return cls(read_vocabulary(path), where=str(path), **switches)

    @classmethod
    def from_folder(cls, folder: str | os.PathLike[str], **switches: Any) -> Self:
        """Reads vocab.txt and tokenizer_config.json from a folder; `switches` go before what the file says.

        Without vocab.txt the tokens are read from tokenizer.json.

        Raises VocabularyError if a file is missing or cannot be used.  A folder without tokenizer_config.json, or
        with one that does not say so, needs `lower`.
        """
        folder = Path(folder)
        path = folder / "vocab.txt"
        if not path.exists() and (folder / "tokenizer.json").exists():
            path = folder / "tokenizer.json"
            vocabulary = read_tokenizer_json(path)
        else:
            vocabulary = read_vocabulary(path)
        found: dict[str, Any] = {}
        if "lower" not in switches or (folder / "tokenizer_config.json").exists():
            found = read_settings(folder)
        options = found | switches
        if "lower" not in options:
            raise VocabularyError(
                f"{folder / 'tokenizer_config.json'}: no do_lower_case, so nothing says whether the text is to be "
                "lower-cased. Pass lower=True for an uncased model or lower=False for a cased one."
            )
        return cls(vocabulary, where=str(path), **options)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes vocab.txt and tokenizer_config.json as Hugging Face's BertTokenizer does; each appears whole.

        Raises VocabularyError if a token cannot be written on a line.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.save_vocabulary(folder / "vocab.txt")
        ours: dict[str, Any] = {}
        if self.rules != "original":
            ours["rules"] = self.rules
        if self.settings.word_limit != _WORD_LIMITS[self.rules]:
            ours["word_limit"] = self.settings.word_limit
        write_settings(self.settings, self._ids, folder, ours=ours)

    def save_vocabulary(self, path: str | os.PathLike[str]) -> None:
        """Writes the tokens alone, one a line.  Raises VocabularyError if a token cannot be written on a line."""
        write_vocabulary(self.vocabulary, path)

    @property
    def vocab_size(self) -> int:
        """How many ids there are."""
        return len(self.vocabulary)

    @property
    def pad_id(self) -> int:
        """The id that fills up a row."""
        return self.token_id(self.settings.special_tokens["pad"])

    @property
    def unk_id(self) -> int:
        """The id of a word that the vocabulary cannot spell."""
        return self.token_id(self.settings.special_tokens["unk"])

    @property
    def cls_id(self) -> int:
        """The id that begins a row."""
        return self.token_id(self.settings.special_tokens["cls"])

    @property
    def sep_id(self) -> int:
        """The id that ends a segment."""
        return self.token_id(self.settings.special_tokens["sep"])

    @property
    def mask_id(self) -> int:
        """The id of a hidden token."""
        return self.token_id(self.settings.special_tokens["mask"])

    @property
    def lower(self) -> bool:
        """Whether texts are lower-cased."""
        return self.settings.lower

    @property
    def strip_accents(self) -> bool:
        """Whether accents are taken off."""
        return self.settings.strip_accents

    @property
    def split_cjk(self) -> bool:
        """Whether every ideograph is a word."""
        return self.settings.split_cjk

    @property
    def rules(self) -> str:
        """Whose rules: "original" or "huggingface"."""
        return self.settings.rules

    @property
    def max_length(self) -> int | None:
        """The longest row the model takes, if known."""
        return self.settings.max_length

    def token_id(self, token: str) -> int:
        """The id of a token of the vocabulary.

        Raises VocabularyError if there is no such token.
        """
        if token not in self._ids:
            raise VocabularyError(f"'{token}' is not among the {self.vocab_size:,} tokens of the vocabulary.")
        return self._ids[token]

    def tokenize(self, texts: Texts) -> tf.RaggedTensor:
        """Cuts texts into pieces, without special tokens.  Bytes that are not UTF-8 are skipped.

        texts: string [B], a tensor or a list -> ids int32 [B,(T)].
        Raises DataError for anything else.
        """
        return self._tokenize(_as_tensor(texts))

    __call__ = tokenize

    def tokenize_with_offsets(self, texts: Texts) -> tuple[tf.RaggedTensor, tf.RaggedTensor, tf.RaggedTensor]:
        """Cuts texts into pieces and tells which characters of the text each piece stands for.

        texts: string [B] -> ids, starts, ends, each int32 [B,(T)].  Offsets count Unicode characters of the original
        text, or of its `decode("utf-8", "ignore")` if it is not valid UTF-8.
        Raises DataError if texts are not strings in one dimension.
        """
        return self._tokenize_with_offsets(_as_tensor(texts))

    def detokenize(self, ids: tf.RaggedTensor | tf.Tensor) -> tf.Tensor:
        """Joins pieces: '##' is glued on, anything else follows a space; pad, cls and sep are left out.

        ids: int [B,(T)] or [B,T] -> string [B].
        """
        if not isinstance(ids, tf.RaggedTensor):
            ids = tf.RaggedTensor.from_tensor(tf.convert_to_tensor(ids))
        glued = [t[2:] if t.startswith("##") and t != "##" else f" {t}" for t in self.vocabulary]
        for id_ in (self.pad_id, self.cls_id, self.sep_id):
            glued[id_] = ""
        pieces = tf.gather(tf.constant(glued), ids.values)
        rows = row_ids(tf.cast(ids.row_splits, tf.int64), tf.range(tf.size(ids.values, tf.int64)))
        joined = tf.strings.unsorted_segment_join(pieces, rows, ids.nrows())
        return tf.strings.regex_replace(joined, "^ ", "")

    def tokens(self, text: str) -> list[str]:
        """The pieces of one text, as people read them."""
        return [self.vocabulary[id_] for id_ in self.tokenize([text]).values.numpy()]

    def _cut(self, texts: tf.Tensor) -> tuple[tf.RaggedTensor]:
        pieces = self._wordpiece.pieces(self._normalizer.normalize(texts))
        return (tf.RaggedTensor.from_row_splits(pieces.ids, pieces.row_splits, validate=False),)

    def _cut_with_offsets(self, texts: tf.Tensor) -> tuple[tf.RaggedTensor, tf.RaggedTensor, tf.RaggedTensor]:
        normal, origin = self._normalizer.normalize_with_offsets(texts)
        pieces = self._wordpiece.pieces(normal)
        ids = tf.RaggedTensor.from_row_splits(pieces.ids, pieces.row_splits, validate=False)
        rows = row_ids(pieces.row_splits, tf.range(tf.size(pieces.ids, tf.int64)))
        places = map_bytes(texts)
        base = tf.gather(origin.row_starts(), rows)
        row_start = tf.gather(places.row_starts, rows)
        before = tf.gather(places.characters, row_start)  # characters of the texts joined before this one
        first = tf.gather(origin.values, base + pieces.starts)
        # The last byte's own character ends the piece; the byte after it may have come from much further on.
        last = tf.gather(origin.values, base + pieces.ends - 1)
        starts = tf.gather(places.characters, row_start + first) - before
        ends = tf.gather(places.characters, row_start + last + 1) - before
        return ids, ids.with_values(tf.cast(starts, tf.int32)), ids.with_values(tf.cast(ends, tf.int32))

    def _check_aliases(self, where: str) -> None:
        taken = set(self._normalizer.aliases.values())
        for id_, token in enumerate(self.vocabulary):
            clash = taken.intersection(token)
            if clash:
                codes = ", ".join(f"U+{ord(c):X}" for c in sorted(clash))
                raise VocabularyError(
                    f"{where}: line {id_ + 1} (id {id_}) is {token!r}; {codes} is private use that this tokenizer "
                    "needs. Replace the line by '[unused]' and its number."
                )


def _as_tensor(texts: Texts) -> tf.Tensor:
    if isinstance(texts, list | tuple):
        encoded = []
        for i, text in enumerate(texts):
            if not isinstance(text, str | bytes):
                raise DataError(f"texts[{i}] is a {type(text).__name__}, want a string: {text!r:.60}")
            encoded.append(text.encode("utf-8", "ignore") if isinstance(text, str) else text)
        return tf.constant(encoded, tf.string, shape=[len(encoded)])
    if isinstance(texts, str | bytes):
        raise DataError("texts is one string, want a list of them: put it in [ ].")
    tensor = tf.convert_to_tensor(texts)
    if tensor.dtype != tf.string or tensor.shape.rank not in (1, None):
        raise DataError(f"texts is {tensor.dtype.name} {tensor.shape}, want strings in one dimension, [batch].")
    return tensor
