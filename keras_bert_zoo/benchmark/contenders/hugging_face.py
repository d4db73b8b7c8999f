"""Hugging Face tokenizers (Rust), its two batch calls: the fast one leaves out offsets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from keras_bert_zoo.benchmark.contenders.peers import Tokenizing
from keras_bert_zoo.benchmark.plan import Setup
from keras_bert_zoo.benchmark.ways import Way, tokenizer_turns


def tokenizer(setup: Setup) -> list[Way]:
    """Strings to ids without special tokens, cutting or padding."""
    made = Tokenizing(setup).tokenizer
    made.no_truncation()
    made.no_padding()
    return [_way(setup, name, getattr(made, name)) for name in ("encode_batch_fast", "encode_batch")]


def _way(setup: Setup, name: str, encode: Callable[..., Any]) -> Way:
    def answer(texts: Sequence[str]) -> list[list[int]]:
        return [one.ids for one in encode(list(texts), add_special_tokens=False)]

    turns = tokenizer_turns(setup, lambda texts: encode(texts, add_special_tokens=False))
    return Way(name, "ids", f"{name}, its own threads", turns, answer)
