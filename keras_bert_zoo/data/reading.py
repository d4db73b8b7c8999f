"""Data as a command is given it: a file, or a data set by name."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from keras_bert_zoo.data.datasets import DATASETS, load_dataset
from keras_bert_zoo.data.tables import Table, read_table
from keras_bert_zoo.errors import DataError

# What a head's files are -> the function that reads one: (path, text=, label=, text_pair=) -> Table
READERS: dict[str, tuple[str, str]] = {
    "table": ("keras_bert_zoo.data.tables", "read_table"),
    "tagged": ("keras_bert_zoo.data.conll", "read_tagged"),
}


def reader(name: str) -> Callable[..., Table]:
    """Return the function that reads files of one of `READERS`; `heads.HEADS` tells which a head wants."""
    module, function = READERS[name]
    return getattr(import_module(module), function)


def read_splits(
    train: str,
    validation: str | None = None,
    test: str | None = None,
    *,
    text: str = "text",
    label: str = "label",
    text_pair: str | None = None,
    kind: str = "table",
) -> tuple[Table, Table | None, Table | None]:
    """Read the tables of a run: three files, or one name of `DATASETS` that brings its own split.

    `kind` is one of `READERS`, what a head's files are.
    Raises: DataError, see `read_table`; also for other files beside a data set that has its own.
    """
    if train in DATASETS:
        if validation or test:
            raise DataError(f"'{train}' brings its own validation and test rows; give no other files.")
        splits = load_dataset(train)
        return splits.train, splits.validation, splits.test

    def read(path: str) -> Table:
        return reader(kind)(path, text=text, label=label, text_pair=text_pair)

    return read(train), read(validation) if validation else None, read(test) if test else None


def read_texts(path: str, *, text: str = "text", text_pair: str | None = None) -> dict[str, list[str]]:
    """Read the texts to answer: columns of a table, or each line of a plain text file (`.txt`).

    Raises: DataError naming the file, see `read_table`.
    """
    if Path(path).suffix.lower() != ".txt":
        table = read_table(path, text=text, label=None, text_pair=text_pair)
        return {"text": table.texts} if table.pairs is None else {"text": table.texts, "text_pair": table.pairs}
    if text_pair is not None:
        raise DataError(f"{path}: plain text has no columns for pairs. Use a tsv, csv or jsonl file.")
    try:
        content = Path(path).expanduser().read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: invalid UTF-8 at byte {error.start}. Save the file as UTF-8.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None
    if not content.strip():
        raise DataError(f"{path} is empty.")
    return {"text": [line.removesuffix("\r") for line in content.removesuffix("\n").split("\n")]}
