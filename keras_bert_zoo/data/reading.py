"""Data as a command is given it: a file, or a data set by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from keras_bert_zoo.data.datasets import DATASETS, load_dataset
from keras_bert_zoo.data.glue import read_glue
from keras_bert_zoo.data.lines import all_lines
from keras_bert_zoo.data.squad import read_squad
from keras_bert_zoo.data.tables import Table, read_table
from keras_bert_zoo.errors import DataError

# What a head's files are -> the function that reads one: (path, text=, label=, text_pair=) -> Table
READERS: dict[str, tuple[str, str]] = {
    "table": ("keras_bert_zoo.data.tables", "read_table"),
    "lines": ("keras_bert_zoo.data.lines", "read_lines"),
    "questions": ("keras_bert_zoo.data.squad", "read_squad"),
    "choices": ("keras_bert_zoo.data.choices", "read_choices"),
    "pairs": ("keras_bert_zoo.data.pairs", "read_pairs"),
    "tagged": ("keras_bert_zoo.data.conll", "read_tagged"),
}

_HOW = ("text", "label", "text_pair", "kind", "glue")  # arguments of `read_splits` that are no files


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
    glue: str | None = None,
) -> tuple[Table, Table | None, Table | None]:
    """Read the tables of a run: three files, or one name of `DATASETS` that brings its own split.

    `kind` is one of `READERS`, what a head's files are; with `glue`, a name of `GLUE`, they are that task's files.
    Raises: DataError, see `read_table` and `read_glue`; also for other files beside a data set that has its own.
    """
    if train in DATASETS:
        if validation or test:
            raise DataError(f"'{train}' brings its own validation and test rows; give no other files.")
        splits = load_dataset(train)
        return splits.train, splits.validation, splits.test

    def read(path: str) -> Table:
        if glue is not None:
            return read_glue(glue, path, labelled=True)
        return reader(kind)(path, text=text, label=label, text_pair=text_pair)

    return read(train), read(validation) if validation else None, read(test) if test else None


def read_part(part: str, how: Mapping[str, Any]) -> Table:
    """Read one part of a run's data again: "train", "validation" or "test".

    `how` holds the arguments that `read_splits` was called with.  Raises: DataError, see `read_splits`; also where
    `how` names no such part.
    """
    if how["train"] in DATASETS:
        return getattr(load_dataset(how["train"]), part)
    path = how.get(part)
    if not path:
        raise DataError(f"The run had no {part} data of its own.")
    return read_splits(path, **{name: how[name] for name in _HOW if how.get(name) is not None})[0]


def read_texts(path: str, *, text: str = "text", text_pair: str | None = None) -> dict[str, list[str]]:
    """Read the texts to answer: columns of a table, each line of a plain text file (`.txt`), a SQuAD file (`.json`).

    Raises: DataError naming the file, see `read_table` and `read_squad`.
    """
    if Path(path).suffix.lower() == ".json":
        asked = read_squad(path, answers=False)
        return {"text": asked.texts, "text_pair": asked.pairs or []}
    if Path(path).suffix.lower() != ".txt":
        table = read_table(path, text=text, label=None, text_pair=text_pair)
        return {"text": table.texts} if table.pairs is None else {"text": table.texts, "text_pair": table.pairs}
    if text_pair is not None:
        raise DataError(f"{path}: plain text has no columns for pairs. Use a tsv, csv or jsonl file.")
    return {"text": all_lines(path)}
