"""Questions with choices, such as SWAG's: a text, several ways on, the number of the right one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from keras_bert_zoo.data import formats
from keras_bert_zoo.data.tables import Table, check_column, check_label, format_of
from keras_bert_zoo.errors import DataError

# SWAG's own columns: the choices are `sent2` with each of ending0 to ending3 behind it.
# Source: Zellers et al. 2018, "SWAG", the files of its repository.
_SWAG_TEXT, _SWAG_START, _SWAG_CHOICES = "sent1", "sent2", "ending"


def read_choices(
    path: str | os.PathLike[str],
    *,
    text: str = "text",
    label: str | None = "label",
    text_pair: str | None = None,
    start: str | None = None,
    format: str | None = None,
) -> Table:
    """Read texts with choices from a csv, tsv or jsonl file; a table's `pairs` are lists of strings, its labels ints.

    `text` and `label` name columns, `label=None` reads no labels; a label is the number of the right choice, from 0.
    `text_pair` names the choices, "choices" unless given: in jsonl a list, else columns numbered from 0 (`choices0`,
    `choices1`, ...), of which a row may leave the last ones empty.  `start` names a column that stands before every
    choice.  A file without a column `text` that has SWAG's columns (`sent1`, `sent2`, `ending0`, ...) is read as
    SWAG's, unless other columns are named.

    Raises: `DataError` naming the file and the line: no choices, an empty one before another, a label outside them.
    """
    path = Path(path).expanduser()
    parsed = formats.parse(path, format_of(path, format), None)
    header = parsed.header
    names = {text, text_pair, start} - {"text", None}
    if header is not None and "text" not in header and not names and {_SWAG_TEXT, _SWAG_START} <= set(header):
        text, start, text_pair = _SWAG_TEXT, _SWAG_START, _SWAG_CHOICES
    choices = text_pair or "choices"
    numbered: list[str] = []
    if header is not None:
        while f"{choices}{len(numbered)}" in header:
            numbered.append(f"{choices}{len(numbered)}")
        check_column(str(path), "text_pair", numbered[0] if numbered else f"{choices}0", header)
        _named(str(path), header, text, start, label)
    texts, pairs, labels, lines = [], [], [], []
    for line, cells in parsed.rows:
        place = f"{path}, line {line}"
        if header is None:
            check_column(place, "text_pair", choices, list(cells))
            _named(place, list(cells), text, start, label)
        found = [cells[name] for name in numbered] if numbered else cells[choices]
        if not isinstance(found, list):
            raise DataError(f"{place}: '{choices}' is {found!r:.80}; want a list of strings.")
        while numbered and found and not found[-1]:
            found.pop()
        texts.append(cells[text])
        pairs.append([_joined(cells[start], choice, place) for choice in found] if start else found)
        if label is not None:
            check_label(cells[label], place, label)
            labels.append(cells[label])
        lines.append(line)
    if not lines:
        raise DataError(f"{path} has no rows after its header.")
    table = Table(texts, pairs, labels if label is not None else None, str(path), lines)
    check_choices(table)
    return table if label is None else table.map_labels(int)


def check_choices(table: Table) -> None:
    """Raises: DataError naming the row, on no choices, on an empty one, and on a label that is none of them."""
    for i, choices in enumerate(table.pairs or []):
        place = table.place(i)
        if not isinstance(choices, list):
            raise DataError(f"{place}: want a list of choices, got {choices!r:.80}.")
        if not choices:
            raise DataError(f"{place}: there are no choices.")
        if "" in choices:
            raise DataError(f"{place}: choice {choices.index('')} of {len(choices)} (from 0) is empty.")
        if table.labels is not None and choice_number(table.labels[i], place) >= len(choices):
            last = len(choices) - 1
            raise DataError(f"{place}: label {table.labels[i]!r} is none of the choices, numbered 0 to {last}.")


def choice_number(label: Any, place: str) -> int:
    """Return a label as the number of a choice.  Raises: DataError unless it is a whole number from 0."""
    try:
        number = int(label)
    except (TypeError, ValueError):
        number = -1
    if isinstance(label, (bool, list)) or number < 0 or (isinstance(label, float) and number != label):
        raise DataError(f"{place}: label {label!r} is not the number of a choice; want 0 for the first, 1, 2, ...")
    return number


def _named(place: str, found: list[str], text: str, start: str | None, label: str | None) -> None:
    for role, name in {"text": text, "start": start, "label": label}.items():
        if name is not None:
            check_column(place, role, name, found)


def _joined(start: Any, choice: Any, place: str) -> str:
    if not isinstance(start, str) or not isinstance(choice, str):
        raise DataError(f"{place}: the start {start!r:.60} and the choice {choice!r:.60} must be strings.")
    return f"{start} {choice}".strip() if choice else ""
