"""The two independent tokenizers that ours is held against, and ours, made once per choice."""

import importlib.util
from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
import text_strings
import tokenizers
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from keras_bert_zoo.text.tokenizer import Tokenizer

HAS_GARDEN = importlib.util.find_spec("official") is not None
needs_garden = pytest.mark.skipif(
    not HAS_GARDEN, reason="the original's code comes with tf-models-official (the [garden] extra)"
)


def tokens_of(vocabulary: str) -> tuple[str, ...]:
    """The tokens of the "realistic" or the "adversarial" vocabulary."""
    return getattr(text_strings, f"{vocabulary}_vocabulary")()


@cache
def ours(vocabulary: str, **switches: Any) -> Tokenizer:
    """Our tokenizer with one of the two vocabularies."""
    return Tokenizer(tokens_of(vocabulary), **switches)


class Original:
    """Google's BasicTokenizer and WordpieceTokenizer, with the original's word limit."""

    def __init__(self, vocabulary: Sequence[str], *, lower: bool = True, word_limit: int = 200) -> None:
        from official.nlp.tools.tokenization import BasicTokenizer, WordpieceTokenizer

        self._ids = {token: id_ for id_, token in enumerate(vocabulary)}
        self._words = BasicTokenizer(do_lower_case=lower)
        self._pieces = WordpieceTokenizer(self._ids, max_input_chars_per_word=word_limit)

    def __call__(self, text: str) -> list[int]:
        return [self._ids[piece] for word in self._words.tokenize(text) for piece in self._pieces.tokenize(word)]


class HuggingFace:
    """The Rust library's BERT parts, put together as its BertWordPieceTokenizer does."""

    def __init__(
        self,
        vocabulary: Sequence[str],
        *,
        lower: bool = True,
        strip_accents: bool | None = None,
        split_cjk: bool = True,
        word_limit: int = 100,
    ) -> None:
        ids = {token: id_ for id_, token in enumerate(vocabulary)}
        self.tokenizer = tokenizers.Tokenizer(
            WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=word_limit, continuing_subword_prefix="##")
        )
        self.tokenizer.normalizer = BertNormalizer(
            clean_text=True, handle_chinese_chars=split_cjk, strip_accents=strip_accents, lowercase=lower
        )
        self.tokenizer.pre_tokenizer = BertPreTokenizer()

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        return [e.ids for e in self.tokenizer.encode_batch(list(texts), add_special_tokens=False)]

    def offsets(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        return [e.offsets for e in self.tokenizer.encode_batch(list(texts), add_special_tokens=False)]
