"""The texts that are asked: a user's file, or the data set everyone can fetch."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from keras_bert_zoo.data.datasets import load_dataset
from keras_bert_zoo.errors import DataError

T = TypeVar("T")

DATASET = "movie_snippets"
LONG = (4, 8)  # sentences of a long text, at least and at most


def read_lines(path: str | Path) -> list[str]:
    """Read one text a line; what follows a tab is left out, and so are empty lines.

    Raises: DataError where the file cannot be read, is no UTF-8 or has no text.
    """
    texts = [line.split("\t")[0] for line in _lines(path)]
    texts = [text for text in texts if text.strip()]
    if not texts:
        raise DataError(f"{path}: no line holds a text.")
    return texts


def read_labelled(path: str | Path) -> tuple[list[str], list[int]]:
    """Read lines of a text, a tab and 0 or 1.

    Raises: DataError where the file cannot be read, is no UTF-8, is empty or a line is otherwise.
    """
    texts, labels = [], []
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        text, tab, label = line.rpartition("\t")
        if not tab or label not in ("0", "1"):
            raise DataError(f"{path}, line {number}: expected a text, a tab and 0 or 1, got {line[:60]!r}.")
        texts.append(text)
        labels.append(int(label))
    if not texts:
        raise DataError(f"{path} is empty.")
    return texts, labels


def dataset_texts() -> tuple[list[str], tuple[list[str], list[int]]]:
    """Return the test texts of our data set, and its train texts with labels 0 or 1."""
    splits = load_dataset(DATASET)
    return splits.test.texts, (splits.train.texts, [int(rating > 0) for rating in splits.train.labels or []])


def repeated(values: Sequence[T], count: int) -> list[T]:
    """Return the first `count` values, from the start again where there are fewer."""
    return [values[i % len(values)] for i in range(count)]


def short_and_long(texts: Sequence[str], count: int, seed: int) -> list[str]:
    """Return `count` texts in a drawn order: one half single texts, the other several joined to a paragraph."""
    draw = random.Random(seed)
    sizes = [1 if i % 2 else draw.randint(*LONG) for i in range(count)]
    draw.shuffle(sizes)
    found = iter(repeated(texts, sum(sizes)))
    return [" ".join(next(found) for _ in range(size)) for size in sizes]


def _lines(path: str | Path) -> list[str]:
    try:
        content = Path(path).expanduser().read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: invalid UTF-8 at byte {error.start}. Save the file as UTF-8.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None
    return [line.removesuffix("\r") for line in content.split("\n")]
