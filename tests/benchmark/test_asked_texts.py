"""The texts that are asked, and what may be wrong with a file of them."""

import re

import pytest

from keras_bert_zoo.benchmark.texts import read_labelled, read_lines, repeated, short_and_long
from keras_bert_zoo.errors import DataError


def test_lines_end_at_a_tab(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeffone film\t1\r\n\r\n  \ntwo films\n\tno text".encode())
    assert read_lines(tmp_path / "a.txt") == ["one film", "two films"]


def test_labelled_lines(tmp_path):
    (tmp_path / "a.tsv").write_text("good\t1\nwith\ttab\t0\n\n")
    assert read_labelled(tmp_path / "a.tsv") == (["good", "with\ttab"], [1, 0])


@pytest.mark.parametrize(
    ("read", "content", "message"),
    [
        (read_lines, b"", "a.txt: no line holds a text."),
        (read_lines, b"\t1\n \n", "a.txt: no line holds a text."),
        (read_lines, b"caf\xe9\n", "a.txt: invalid UTF-8 at byte 3. Save the file as UTF-8."),
        (read_lines, None, "a.txt: cannot be read (No such file or directory)."),
        (read_labelled, b"\n", "a.txt is empty."),
        (read_labelled, b"good\t1\nbad\t2\n", "a.txt, line 2: expected a text, a tab and 0 or 1, got 'bad\\t2'."),
        (read_labelled, b"text\tlabel\n", "a.txt, line 1: expected a text, a tab and 0 or 1, got 'text\\tlabel'."),
        (read_labelled, b"good\n", "a.txt, line 1: expected a text, a tab and 0 or 1, got 'good'."),
    ],
)
def test_a_wrong_file_is_told(tmp_path, read, content, message):
    path = tmp_path / "a.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=f"{re.escape(message)}$"):
        read(path)


def test_short_and_long_texts_are_drawn_the_same_way_each_time():
    texts = [f"text{i}" for i in range(7)]
    mixed = short_and_long(texts, 10, seed=3)
    assert mixed == short_and_long(texts, 10, seed=3) != short_and_long(texts, 10, seed=4)
    sizes = sorted(len(text.split()) for text in mixed)
    assert sizes[:5] == [1] * 5
    assert all(4 <= size <= 8 for size in sizes[5:])
    assert " ".join(mixed).split() == repeated(texts, sum(sizes))  # every sentence is used, in order
