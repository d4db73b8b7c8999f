"""Texts with labels, in memory, each row knowing the line that it came from."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import os
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from keras_bert_zoo.data import formats
from keras_bert_zoo.errors import DataError

IN_MEMORY = "the lists handed in"


class Row(NamedTuple):
    """One row of a table; `pair` and `label` are None in a table without them."""

    text: str
    pair: Any
    label: Any
    line: Any


@dataclasses.dataclass(frozen=True)
class Table:
    """Texts, with second texts and labels or None.

    A second text may be a list of them, such as the choices of a question.  Labels are strings as read from tsv and
    csv; from jsonl also numbers, or lists of both; other readers make what their head takes.  `lines` are the 1-based
    lines of `source`, or what a row has instead, such as an id, and `unit` is its word, so that a later error can say
    `table.place(i)`.

    Raises: `DataError` when the columns differ in length or a text is no string of Unicode characters.
    """

    texts: list[str]
    pairs: list[Any] | None
    labels: list[Any] | None
    source: str
    lines: list[Any]
    unit: str = "line"

    def __post_init__(self) -> None:
        columns = {"texts": self.texts, "pairs": self.pairs, "labels": self.labels, "lines": self.lines}
        for name, column in columns.items():
            if isinstance(column, str):  # a string is a sequence of strings too
                raise DataError(f"{name} must be a list with one entry a row, got the single string {column[:60]!r}.")
            if column is not None and len(column) != len(self.texts):
                raise DataError(f"{self.source}: {len(self.texts)} texts but {len(column)} {name}.")
        for name, texts in (("text", self.texts), ("text pair", self.pairs or [])):
            for i, cell in enumerate(texts):
                if trouble := next(filter(None, map(_trouble, cell if isinstance(cell, list) else [cell])), None):
                    raise DataError(f"{self.place(i)}: the {name} {trouble}.")

    @classmethod
    def from_lists(
        cls, texts: Sequence[str], labels: Sequence[Any] | None = None, pairs: Sequence[Any] | None = None
    ) -> Table:
        """Make a table from columns in memory.

        Raises: `DataError`, see `Table`.
        """
        lines = list(range(1, len(texts) + 1))
        return cls(_listed(texts), _listed(pairs), _listed(labels), IN_MEMORY, lines)

    def digest(self) -> str:
        """Return a short digest of all texts and labels in their order."""
        columns = json.dumps([self.texts, self.pairs, self.labels], default=repr)
        return hashlib.sha256(columns.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def __len__(self) -> int:
        return len(self.texts)

    def __iter__(self) -> Iterator[Row]:
        nothing = [None] * len(self)
        columns = (self.texts, self.pairs or nothing, self.labels or nothing, self.lines)
        return map(Row._make, zip(*columns, strict=True))

    def place(self, index: int) -> str:
        """Return where a row came from, for error messages."""
        unit = "item" if self.source == IN_MEMORY and self.unit == "line" else self.unit
        return f"{self.source}, {unit} {self.lines[index]}"

    def select(self, indices: Iterable[int]) -> Table:
        """Return the rows at these 0-based positions, in this order.

        Raises: `DataError` for a position outside the table.
        """
        wanted = list(indices)
        for i in wanted:
            if not 0 <= i < len(self):
                raise DataError(f"{self.source}: row {i} asked for, the table has rows 0 to {len(self) - 1}.")

        def take(column: list[Any]) -> list[Any]:
            return [column[i] for i in wanted]

        return dataclasses.replace(
            self,
            texts=take(self.texts),
            pairs=None if self.pairs is None else take(self.pairs),
            labels=None if self.labels is None else take(self.labels),
            lines=take(self.lines),
        )

    def where(self, keep: Sequence[bool] | Callable[[Row], bool]) -> Table:
        """Return the rows that a mask, or a function of the `Row`, says to keep.

        Raises: `DataError` for a mask of another length.
        """
        mask = [keep(row) for row in self] if callable(keep) else list(keep)
        if len(mask) != len(self):
            raise DataError(f"{self.source}: the mask has {len(mask)} entries, the table {len(self)} rows.")
        return self.select(i for i, kept in enumerate(mask) if kept)

    def shuffled(self, seed: int) -> Table:
        """Return the rows in an order that depends on the seed and the number of rows alone."""
        draw = random.Random(seed)  # only `random()` is promised to give the same numbers in every Python
        return self.select(sorted(range(len(self)), key=lambda _: draw.random()))

    def split(self, fractions: Sequence[float], seed: int) -> tuple[Table, ...]:
        """Return disjoint tables that hold these fractions of the rows, drawn by the seed.

        Raises: `DataError` when the fractions do not add up to 1 or a part would be empty.
        """
        if not fractions or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-9:
            raise DataError(f"fractions must be above 0 and add up to 1, got {list(fractions)}.")
        ends = [round(sum(fractions[: i + 1]) * len(self)) for i in range(len(fractions))]
        spans = list(zip([0, *ends], ends, strict=False))
        if any(start == end for start, end in spans):
            raise DataError(f"{self.source}: {len(self)} rows cannot be split into {list(fractions)}: a part is empty.")
        rows = self.shuffled(seed)
        return tuple(rows.select(range(start, end)) for start, end in spans)

    def map_labels(self, function: Callable[[Any], Any]) -> Table:
        """Return the table with `function(label)` as labels, such as `float`, or a dictionary's `__getitem__`.

        Raises: `DataError` naming the line when the function raises ValueError, KeyError or TypeError, and when the
        table has no labels.
        """
        if self.labels is None:
            raise DataError(f"{self.source} was read without labels.")
        labels = []
        for i, label in enumerate(self.labels):
            try:
                labels.append(function(label))
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(f"{self.place(i)}: label {label!r}: {type(error).__name__}: {error}.") from error
        return dataclasses.replace(self, labels=labels)

    def write(self, path: str | os.PathLike[str], *, format: str | None = None) -> None:
        """Write columns `text`, `text_pair` and `label` so that `read_table` gives the same strings back.

        Raises: `DataError` for an unknown format, a cell that it cannot hold, and a file that cannot be written.
        """
        path = Path(path).expanduser()
        columns = {"text": self.texts, "text_pair": self.pairs, "label": self.labels}
        present = {name: column for name, column in columns.items() if column is not None}
        rows = (dict(zip(present, cells, strict=True)) for cells in zip(*present.values(), strict=True))
        formats.write(path, format_of(path, format), list(present), rows)

    def batches(self, head: Any, tokenizer: Any, batch_size: int, **options: Any) -> Any:
        """Return this table as a `tf.data.Dataset` of batches; see `keras_bert_zoo.data.batching.batches`."""
        from keras_bert_zoo.data.batching import batches

        return batches(self, head, tokenizer, batch_size, **options)


def read_table(
    path: str | os.PathLike[str],
    *,
    text: str = "text",
    label: str | None = "label",
    text_pair: str | None = None,
    format: str | None = None,
    columns: list[str] | None = None,
) -> Table:
    """Read a table from a file: "tsv" (no quoting, like GLUE), "csv" (RFC 4180) or "jsonl" (an object a line).

    `text`, `label` and `text_pair` name columns; `label=None` reads texts alone.  `format` comes from the file's
    extension unless given, and `columns` names the columns of a tsv or csv file that has no header line.

    Raises: `DataError` naming the file, the line where there is one, and what would help.
    """
    path = Path(path).expanduser()
    parsed = formats.parse(path, format_of(path, format), columns)
    wanted = {"text": text, "text_pair": text_pair, "label": label}
    read: dict[str, list[Any]] = {role: [] for role, name in wanted.items() if name is not None}
    if parsed.header is not None:
        for role in read:
            check_column(f"{path}", role, wanted[role], parsed.header)
    lines = []
    for line, cells in parsed.rows:
        place = f"{path}, line {line}"
        for role, column in read.items():
            if parsed.header is None:
                check_column(place, role, wanted[role], list(cells))
            cell = cells[wanted[role]]  # type: ignore[index]
            if parsed.header is None and role == "label":
                check_label(cell, place, wanted[role])
            column.append(cell)
        lines.append(line)
    if not lines:
        raise DataError(f"{path} has no rows after its header; columns=[...] reads a file without a header.")
    return Table(read["text"], read.get("text_pair"), read.get("label"), str(path), lines)


def _listed(column: Any) -> Any:
    # A string stays one, for `Table` to refuse; list() would take it apart.
    return column if column is None or isinstance(column, str) else list(column)


def format_of(path: Path, format: str | None) -> str:
    """Return the format of a file, which its extension tells unless given.  Raises: `DataError` where neither does."""
    known = ", ".join(formats.FORMATS)
    if format is None:
        format = path.suffix.lower().removeprefix(".")
        if format not in formats.FORMATS:
            raise DataError(f"{path}: the extension does not tell the format; pass format= one of {known}.")
    if format not in formats.FORMATS:
        raise DataError(f"{path}: format '{format}' is unknown; one of {known}.")
    return format


def check_column(place: str, role: str, name: str | None, found: list[str]) -> None:
    """Raises: `DataError` where a column is not among those found, naming the closest."""
    if name in found:
        return
    close = difflib.get_close_matches(name or "", found, n=1)
    hint = f"Did you mean {role}='{close[0]}'?" if close else f"Name the column with {role}=."
    if role == "label":
        hint += " label=None reads a table without labels."
    raise DataError(f"{place}: no column '{name}'; found: {', '.join(found) or 'none'}. {hint}")


def _trouble(text: object) -> str | None:
    """Say what keeps a cell from being a text, if anything does."""
    if not isinstance(text, str):
        return f"must be a string, got {type(text).__name__} {text!r}"
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:  # JSON can spell half of a surrogate pair, UTF-8 cannot
            return f"has the lone surrogate {text[error.start]!a}, which is no character"
    return None


def check_label(label: object, place: str, name: str | None) -> None:
    """Raises: `DataError` unless a label is a string, a number, or a list of those."""
    for value in label if isinstance(label, list) else [label]:
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise DataError(f"{place}: '{name}' is {label!r}; want a string, a number, or a list of those.")
        if isinstance(value, str) and (trouble := _trouble(value)):
            raise DataError(f"{place}: '{name}' {trouble}.")
