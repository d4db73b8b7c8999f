"""Columns of texts as a caller hands them in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from keras_bert_zoo.errors import DataError

if TYPE_CHECKING:
    from keras_bert_zoo.heads.head import Head


def check_columns(head: Head, columns: Mapping[str, Sequence[Any]]) -> None:
    """Check the columns handed in by a caller.  Raises: DataError on wrong names, types or lengths."""
    check_texts(f"The head '{head.name}'", {name: head.ranks.get(name, 1) for name in head.columns}, columns)


def check_texts(reader: str, ranks: Mapping[str, int], columns: Mapping[str, Sequence[Any]]) -> None:
    """Check columns for what reads strings, or with rank 2 lists of them.  Raises: DataError, see `check_columns`."""
    if set(columns) != set(ranks):
        raise DataError(f"{reader} reads {', '.join(ranks)}; it was given {', '.join(columns)}.")
    for name, values in columns.items():
        lists = ranks[name] == 2
        if isinstance(values, (str, bytes)) or not all(
            _strings(value) if lists else _string(value) for value in values
        ):
            want = 'lists of strings, such as [["one", "two"]]' if lists else 'strings, such as ["a text"]'
            raise DataError(f"{name}: hand in a list of {want}, got {values!r:.80}.")
        for i, value in enumerate(values):
            for text in value if lists else [value]:
                if isinstance(text, str) and not text.isascii() and re.search("[\ud800-\udfff]", text):
                    raise DataError(
                        f"{name}, item {i}: {text!a:.80} holds half of a surrogate pair, which is no character."
                    )
    if len({len(values) for values in columns.values()}) > 1:
        sizes = ", ".join(f"{name} has {len(values)}" for name, values in columns.items())
        raise DataError(f"The columns differ in length: {sizes}.")


def _string(value: Any) -> bool:
    return isinstance(value, (str, bytes))


def _strings(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(map(_string, value))
