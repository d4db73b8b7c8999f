"""Tags of words and the entities they spell.

A tag is "O", outside of every entity, or has a prefix and a type: `B-PER` begins, `I-PER` goes on, `E-PER` (or `L-`)
ends an entity, `S-PER` (or `U-`) is one by itself.  BIO (IOB2), IOB1, BIOES and BILOU are all read by the rules of
CoNLL's own script: an entity goes on until a tag begins another, has another type, or is "O".  So an `I-` without its
`B-` begins an entity.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from keras_bert_zoo.errors import ConfigError, DataError

OUTSIDE = "O"
SCHEMES = ("auto", "bio", "io", "words")
Span = tuple[int, int, str]  # a word's first character, its end, its tag

_PREFIXED = re.compile(r"([BIESLU])(?:-(.*))?", re.DOTALL)
_SAME = {"L": "E", "U": "S"}


class Tag(NamedTuple):
    """A tag taken apart: `prefix` one of B, I, E, S, O."""

    prefix: str
    type: str


def read_tags(tags: Iterable[str], scheme: str = "auto") -> list[Tag]:
    """Take tags apart.

    `scheme`: "bio" for tags with prefixes; "io" for bare types, of which neighbours of one type are one entity;
    "words" for tags of which every word has its own, such as parts of speech.  "auto" is "bio" where all tags but "O"
    have prefixes, else "io" where there is an "O", else "words".
    Raises: ConfigError on another scheme, and on "bio" for tags without prefixes.
    """
    tags = list(tags)
    if scheme not in SCHEMES:
        raise ConfigError(f"scheme is {scheme!r}, it must be one of {', '.join(SCHEMES)}.")
    bare = [tag for tag in tags if tag != OUTSIDE and not _PREFIXED.fullmatch(tag)]
    if scheme == "bio" and bare:
        raise ConfigError(f"scheme is 'bio', but the tag '{bare[0]}' has none of its prefixes, such as B-{bare[0]}.")
    if scheme == "auto":
        prefixed = not bare and set(tags) - {OUTSIDE}
        scheme = "bio" if prefixed else "io" if OUTSIDE in tags else "words"
    if scheme == "words":
        return [Tag("S", tag) for tag in tags]
    return [_outside_or(tag, scheme) for tag in tags]


def _outside_or(tag: str, scheme: str) -> Tag:
    if tag == OUTSIDE:
        return Tag("O", "")
    if scheme == "io":
        return Tag("I", tag)
    prefix, type_ = _PREFIXED.fullmatch(tag).groups()  # type: ignore[union-attr]
    return Tag(_SAME.get(prefix, prefix), type_ or "_")  # a prefix alone: seqeval's name for its type


def tags_in(sequences: Iterable[Sequence[Span]]) -> list[str]:
    """Return the tags found: "O" first, the others sorted by type.  Each type gets every prefix that there is."""
    found = {tag for spans in sequences for _, _, tag in spans}
    first = [OUTSIDE] if OUTSIDE in found else []
    matches = [_PREFIXED.fullmatch(tag) for tag in found - {OUTSIDE}]
    if not all(matches):
        return [*first, *sorted(found - {OUTSIDE})]
    parts = [match.groups() for match in matches if match]
    prefixes = sorted({prefix for prefix, _ in parts}, key="BIELSU".index)
    types = sorted({type_ or "" for _, type_ in parts})
    return [*first, *(f"{prefix}-{type_}" if type_ else prefix for type_ in types for prefix in prefixes)]


def check_spans(cell: Any, where: str) -> list[Span]:
    """Return a row's words as (start, end, tag).  Raises: DataError naming the row where it is anything else."""
    if not isinstance(cell, (list, tuple)):
        raise DataError(f"{where}: want tagged words, (start, end, tag) each, got {cell!r:.60}. {_MAKE}")
    before = 0
    for number, word in enumerate(cell, start=1):
        if not isinstance(word, (list, tuple)) or [type(part) for part in word] != [int, int, str]:
            raise DataError(f"{where}: word {number} is {word!r:.60}, want (start, end, tag). {_MAKE}")
        if not before <= word[0] < word[1]:
            raise DataError(
                f"{where}: word {number} is characters {word[0]} to {word[1]}, the one before ends at {before};"
                " words must have characters and stand in order."
            )
        before = word[1]
    return [tuple(word) for word in cell]


_MAKE = "kbz.data.read_conll and kbz.data.from_words make such rows."


def predicted_tags(words: Sequence[Span], entities: Iterable[Span]) -> list[str]:
    """Return the tags, B- and I-, of words of which these are the entities."""
    starts = [start for start, _, _ in words]
    tags = [OUTSIDE] * len(words)
    for start, end, type_ in entities:
        first, last = (max(bisect_right(starts, place) - 1, 0) for place in (start, end - 1))
        tags[first : last + 1] = [f"B-{type_}", *[f"I-{type_}"] * (last - first)]
    return tags


def entity_figures(true: Sequence[Sequence[Tag]], predicted: Sequence[list[str]], types: Sequence[str]) -> dict:
    """Return precision, recall and F1 of whole entities, F1 of each type, and the share of words with the right tag.

    `predicted` are tags with B- and I-, `true` is brought to the same for the last figure.
    Source: seqeval in its default mode, which is CoNLL's script; 0 where there is nothing to divide by.
    """
    from seqeval.metrics.sequence_labeling import get_entities, precision_recall_fscore_support

    spelled = [[f"{tag.prefix}-{tag.type}" if tag.prefix != "O" else OUTSIDE for tag in tags] for tags in true]
    options: dict[str, Any] = {"zero_division": 0}
    precision, recall, f1, _ = precision_recall_fscore_support(spelled, predicted, average="micro", **options)
    each = precision_recall_fscore_support(spelled, predicted, average=None, **options)[2]
    seen = sorted({entity[0] for rows in (spelled, predicted) for tags in rows for entity in get_entities(tags)})
    by_type = dict(zip(seen, map(float, each), strict=True))
    same = words = 0
    for tags, guessed in zip(spelled, predicted, strict=True):
        spans = [(first, last + 1, type_) for type_, first, last in get_entities(tags)]
        plain = predicted_tags([(i, i + 1, "") for i in range(len(tags))], spans)
        same += sum(one == other for one, other in zip(plain, guessed, strict=True))
        words += len(tags)
    return {
        "f1": float(f1),
        "precision": float(precision),
        "recall": float(recall),
        "accuracy": same / max(words, 1),
        **{f"f1_{type_}": by_type.get(type_, 0.0) for type_ in types},
    }
