"""Plain text, one text a line."""

import pytest

import keras_bert_zoo as kbz
from keras_bert_zoo.data import read_lines, read_splits
from keras_bert_zoo.errors import DataError


def test_lines_know_where_they_stood(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffone \r\n\n  \n\ttwo\u2028still two\nthree".encode())
    table = read_lines(path)
    assert table.texts == ["one ", "\ttwo\u2028still two", "three"]
    assert table.lines == [1, 4, 5]
    assert table.labels is table.pairs is None
    assert table.place(1) == f"{path}, line 4"


def test_the_texts_of_a_table(tmp_path):
    (tmp_path / "a.tsv").write_text("review\tlabel\na film\tgood\n")
    table = read_lines(tmp_path / "a.tsv", text="review")
    assert (table.texts, table.labels) == (["a film"], None)
    train, validation, test = read_splits(str(tmp_path / "a.tsv"), text="review", kind="lines")
    assert (train.texts, validation, test) == (["a film"], None, None)


@pytest.mark.parametrize(
    ("content", "options", "told"),
    [
        (None, {}, "a.txt: cannot be read"),
        (b" \n\n", {}, "a.txt is empty"),
        (b"fine\ncaf\xe9\n", {}, "a.txt: invalid UTF-8 at byte 8"),
        (b"fine", {"text_pair": "b"}, "a.txt: single texts are wanted"),
    ],
)
def test_what_cannot_be_read(tmp_path, content, options, told):
    if content is not None:
        (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=told):
        read_lines(tmp_path / "a.txt", **options)


def test_it_is_public():
    assert kbz.data.read_lines is read_lines
