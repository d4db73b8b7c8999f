"""Pairs of texts, with or without a score."""

from __future__ import annotations

import os
from pathlib import Path

from keras_bert_zoo.data import formats
from keras_bert_zoo.data.tables import Table, format_of, read_table


def read_pairs(
    path: str | os.PathLike[str],
    *,
    text: str = "text",
    label: str | None = "label",
    text_pair: str | None = None,
    format: str | None = None,
) -> Table:
    """Read pairs of texts as `read_table` does; `text_pair` names the second column, "text_pair" unless given.

    Scores are read where there is a column `label`, or the one that `label` names; pairs to rank need none.
    Raises: `DataError`, see `read_table`.
    """
    if label == "label":
        parsed = formats.parse(Path(path).expanduser(), format_of(Path(path), format), None)
        found = next((cells for _, cells in parsed.rows), {}) if parsed.header is None else parsed.header
        label = label if label in found else None
    return read_table(path, text=text, label=label, text_pair=text_pair or "text_pair", format=format)
