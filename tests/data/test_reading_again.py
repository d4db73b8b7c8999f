"""The parts of a run's data, read again by what the run noted."""

from types import SimpleNamespace

import pytest

from keras_bert_zoo.data import reading
from keras_bert_zoo.data.reading import read_part
from keras_bert_zoo.errors import DataError


def test_files_with_columns_of_other_names(tmp_path):
    (tmp_path / "a.tsv").write_text("review\tother\tmood\na film\tb\tgood\n")
    (tmp_path / "b.tsv").write_text("review\tother\tmood\ndull\tc\tbad\nso dull\td\tworse\n")
    how = {
        **{"train": str(tmp_path / "a.tsv"), "validation": str(tmp_path / "b.tsv"), "test": None},
        **{"text": "review", "label": "mood", "text_pair": "other", "kind": "table", "glue": None},
    }
    table = read_part("validation", how)
    assert (table.texts, table.pairs, table.labels) == (["dull", "so dull"], ["c", "d"], ["bad", "worse"])
    assert read_part("train", how).labels == ["good"]
    with pytest.raises(DataError, match="The run had no test data of its own"):
        read_part("test", how)


def test_files_of_glue_and_plain_text(tmp_path):
    (tmp_path / "dev.tsv").write_text("sentence\tlabel\na film\t1\n")
    how = {"train": "gone.tsv", "validation": str(tmp_path / "dev.tsv"), "text": "text", "glue": "sst2"}
    assert read_part("validation", how).labels == ["1"]
    (tmp_path / "n.txt").write_text("a film\n\nso dull\n")
    lines = read_part("test", {"train": "gone.txt", "test": str(tmp_path / "n.txt"), "kind": "lines"})
    assert lines.texts == ["a film", "so dull"]


def test_data_sets_by_name(monkeypatch):
    monkeypatch.setattr(reading, "load_dataset", lambda name: SimpleNamespace(test=f"{name}'s test"))
    assert read_part("test", {"train": "movie_snippets", "test": None}) == "movie_snippets's test"
