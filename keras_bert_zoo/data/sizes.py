"""Rows by how long their texts are, told by characters: no tokenizer is needed to bring like to like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def order_by_size(*columns: Sequence[Any] | None) -> list[int]:
    """Return the rows from the shortest text to the longest, by characters over all columns; ties keep their order."""
    present = [column for column in columns if column is not None]
    return sorted(range(len(present[0])), key=lambda i: row_size(*(column[i] for column in present)))


def row_size(*cells: Any) -> int:
    """Return the characters of a row's cells: texts, or lists of texts."""
    return sum(sum(map(len, cell)) if isinstance(cell, (list, tuple)) else len(cell) for cell in cells)
