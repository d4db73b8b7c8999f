"""Running text cut into sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module

# No model takes more than 512 tokens: of a longer sentence most would never be seen.
LONGEST = 500  # characters

_BLANK_LINES = re.compile(r"\n[^\S\n]*(?:\n[^\S\n]*)+")


def split_sentences(text: str, language: str = "en") -> Iterator[str]:
    """Cut a text into sentences, none of them blank, in time that grows with the text's length alone.

    Blank lines end a sentence; a single line end is white space, since many texts are wrapped at some column.  What
    has no ends, such as a list, is cut at white space into pieces of at most `LONGEST` characters.  `language` is a
    code of ISO 639, such as "de": it tells the abbreviations.

    Source: sentencex (Wikimedia), which knows the ends of sentences, quotations and abbreviations of some 300
    languages; languages that it does not know take the rules of a related one, or of English.
    """
    segment = import_module("sentencex").segment
    for paragraph in _BLANK_LINES.split(text):
        joined = " ".join(paragraph.split())
        if joined:
            for sentence in segment(language, joined):
                if stripped := sentence.strip():
                    yield from _pieces(stripped)


def _pieces(sentence: str) -> Iterator[str]:
    start = 0
    while len(sentence) - start > LONGEST:
        end = sentence.rfind(" ", start + 1, start + LONGEST + 1)
        end = end if end > start else start + LONGEST
        yield sentence[start:end]
        start = end + (sentence[end] == " ")
    yield sentence[start:]
