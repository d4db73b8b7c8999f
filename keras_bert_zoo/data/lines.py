"""Plain text, one text a line."""

from __future__ import annotations

import os
from pathlib import Path

from keras_bert_zoo.data.tables import Table, read_table
from keras_bert_zoo.errors import DataError


def read_lines(
    path: str | os.PathLike[str], *, text: str = "text", label: str | None = None, text_pair: str | None = None
) -> Table:
    """Read texts without labels: the lines of a `.txt` file that are not blank, or the column `text` of a table.

    `label` and `text_pair` are there because every reader has them: labels are not read, pairs are refused.
    Raises: DataError on a file that cannot be read or has no text; see also `read_table`.
    """
    if text_pair is not None:
        raise DataError(f"{path}: single texts are wanted, so there is no second column to read. Leave out text_pair=.")
    if Path(path).suffix.lower() != ".txt":
        return read_table(path, text=text, label=None)
    filled = [(number, line) for number, line in enumerate(all_lines(path), start=1) if line.strip()]
    return Table([line for _, line in filled], None, None, str(path), [number for number, _ in filled])


def all_lines(path: str | os.PathLike[str]) -> list[str]:
    """Return the lines of a UTF-8 file, blank ones too.  Raises: DataError where it cannot be read or is empty."""
    try:
        content = Path(path).expanduser().read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: invalid UTF-8 at byte {error.start}. Save the file as UTF-8.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None
    if not content.strip():
        raise DataError(f"{path} is empty.")
    return [line.removesuffix("\r") for line in content.removesuffix("\n").split("\n")]
