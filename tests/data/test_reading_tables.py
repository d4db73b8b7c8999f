"""read_table and Table.write: three formats, exact cells, errors that name file and line."""

import json
import random

import pytest

from keras_bert_zoo.data import Table, read_table
from keras_bert_zoo.errors import DataError


@pytest.fixture
def file(tmp_path):
    def make(name: str, content: str | bytes):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


def test_tsv_is_plain(file):
    path = file("t.tsv", 'label\ttext\nno\t "so so" \nyes\t\u2028it, and \x85 this\x0b\n')
    table = read_table(path)
    assert table.texts == [' "so so" ', "\u2028it, and \x85 this\x0b"]
    assert table.labels == ["no", "yes"]
    assert table.pairs is None
    assert table.lines == [2, 3]
    assert table.source == str(path)


def test_csv_is_rfc_4180(file):
    path = file("t.csv", 'text,label\r\n"a ""b"", c",0\r\n"two\r\nlines",1\r\n\r\n plain ,2\r\n')
    table = read_table(path)
    assert table.texts == ['a "b", c', "two\r\nlines", " plain "]
    assert table.lines == [2, 3, 6]
    assert table.labels == ["0", "1", "2"]


def test_jsonl_keeps_the_types_of_labels(file):
    rows = [
        {"text": "a", "label": "x"},
        {"text": "b", "label": 3},
        {"text": "c\n", "label": 0.5},
        {"text": "", "label": ["x", "y"]},
    ]
    table = read_table(file("t.jsonl", "\r\n".join(map(json.dumps, rows)) + "\n\n"))
    assert table.texts == ["a", "b", "c\n", ""]
    assert table.labels == ["x", 3, 0.5, ["x", "y"]]
    assert table.lines == [1, 2, 3, 4]


def test_columns_of_other_names_and_no_labels(file):
    path = file("t.tsv", "id\tpremise\thypothesis\n7\tit rains\tit is wet\n")
    table = read_table(path, text="premise", text_pair="hypothesis", label=None)
    assert (table.texts, table.pairs, table.labels) == (["it rains"], ["it is wet"], None)


def test_a_file_without_header_and_with_another_extension(file):
    table = read_table(file("t.txt", "1\tgood\n0\tbad"), format="tsv", columns=["label", "text"])
    assert (table.texts, table.labels, table.lines) == (["good", "bad"], ["1", "0"], [1, 2])


@pytest.mark.parametrize("name", ["t.tsv", "t.csv"])
def test_windows_line_ends_and_a_byte_order_mark(file, name):
    separator = "\t" if name == "t.tsv" else ","
    content = f"text{separator}label\r\nétude{separator}a\r\n".encode("utf-8-sig")
    table = read_table(file(name, content))
    assert (table.texts, table.labels) == (["étude"], ["a"])


def test_blank_lines(file):
    assert read_table(file("a.tsv", "text\tlabel\na\tx\n\n\n")).texts == ["a"]
    assert read_table(file("b.tsv", "text\na\n\nb\n"), label=None).texts == ["a", "", "b"]  # one column: an empty text


def test_a_text_of_a_megabyte(file):
    text = "long " * 200_000
    for name, content in (
        ("t.tsv", f"text\n{text}\n"),
        ("t.csv", f"text\n{text}\n"),
        ("t.jsonl", json.dumps({"text": text})),
    ):
        assert read_table(file(name, content), label=None).texts == [text]


@pytest.mark.parametrize("name", ["t.tsv", "t.csv", "t.jsonl"])
def test_what_is_written_reads_back(tmp_path, name):
    draw = random.Random(5)
    alphabet = "ab ,;\"'\\ü語😀\u2028\x85\x00" + ("" if name == "t.tsv" else "\t\n\r")
    texts = ["".join(draw.choices(alphabet, k=draw.randrange(9))) for _ in range(300)]
    pairs = ["".join(draw.choices(alphabet, k=draw.randrange(9))) for _ in range(300)]
    labels = [draw.choice(["x", "y z"]) for _ in range(300)]
    Table.from_lists(texts, labels, pairs).write(tmp_path / name)
    read = read_table(tmp_path / name, text_pair="text_pair")
    assert (read.texts, read.pairs, read.labels) == (texts, pairs, labels)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_numbers_and_lists_are_written(tmp_path):
    Table.from_lists(["a", "b"], [0.1, 2.26666666667]).write(tmp_path / "t.tsv")
    assert read_table(tmp_path / "t.tsv").map_labels(float).labels == [0.1, 2.26666666667]
    Table.from_lists(["a", "b"], [["x"], []]).write(tmp_path / "t.txt", format="jsonl")
    assert read_table(tmp_path / "t.txt", format="jsonl").labels == [["x"], []]
    assert (tmp_path / "t.txt").read_text() == '{"text": "a", "label": ["x"]}\n{"text": "b", "label": []}\n'


@pytest.mark.parametrize(
    ("name", "table", "told"),
    [
        ("t.tsv", Table.from_lists(["a\tb"]), r"tsv cannot hold the tab or line break in 'a\\tb'; use csv or jsonl"),
        ("t.tsv", Table.from_lists(["a\nb"]), "tsv cannot hold the tab or line break"),
        ("t.tsv", Table.from_lists(["a\r"]), "tsv cannot hold the tab or line break"),
        ("t.tsv", Table.from_lists(["a"], [["x"]]), r"cannot hold \['x'\]; use jsonl"),
        ("t.csv", Table.from_lists(["a"], [["x"]]), r"cannot hold \['x'\]; use jsonl"),
        ("t.csv", Table.from_lists(["a"], ["\ud800"]), "cannot be written: .*surrogates not allowed"),
        ("t.jsonl", Table.from_lists(["a"], [float("nan")]), "cannot be written: Out of range float"),
        ("t.jsonl", Table.from_lists(["a"], [object()]), "cannot be written: Object of type object"),
        ("no/t.tsv", Table.from_lists(["a"]), "cannot be written: No such file or directory"),
        ("t.xml", Table.from_lists(["a"]), r"t\.xml: the extension does not tell the format; pass format= one of"),
    ],
)
def test_what_cannot_be_written_leaves_no_file(tmp_path, name, table, told):
    with pytest.raises(DataError, match=told) as error:
        table.write(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content", "options", "told"),
    [
        ("t.tsv", "", {}, r"t\.tsv is empty\."),
        ("t.csv", "\ufeff\r\n \r\n", {}, r"t\.csv is empty\."),
        ("t.jsonl", "", {}, r"t\.jsonl is empty\."),
        ("t.tsv", "text\tlabel\n", {}, r"t\.tsv has no rows after its header; columns=\[\.\.\.\] reads a file without"),
        ("t.tsv", b"text\tlabel\na\tx\nb\xe9\ty\n", {}, r"t\.tsv, line 3: byte 0xe9 is not UTF-8\. Save the file as"),
        ("t.csv", b"\xef\xbb\xbftext\n\xff\n", {}, r"t\.csv, line 2: byte 0xff is not UTF-8"),
        (
            "t.tsv",
            "sentence\tlabels\na\tx\n",
            {},
            r"t\.tsv: no column 'text'; found: sentence, labels\. Name the column",
        ),
        ("t.tsv", "text\tlabels\na\tx\n", {}, "no column 'label'; found: text, labels. Did you mean label='labels'"),
        ("t.tsv", "text\nfine\n", {}, "no column 'label'; found: text. Name .*label=None reads a table without labels"),
        ("t.csv", "text,label\na,x\n", {"text_pair": "b"}, "no column 'b'; found: text, label.* with text_pair="),
        (
            "t.tsv",
            "text\tlabel\na\tx\nb\n",
            {},
            r"t\.tsv, line 3: 1 cells, the header has 2 \(text, label\)\. A tab or",
        ),
        (
            "t.tsv",
            "text\tlabel\na\tb\tx\n",
            {},
            r"t\.tsv, line 2: 3 cells, the header has 2 \(text, label\)\. A tab or",
        ),
        ("t.csv", "text,label\na,b,x\n", {}, r"t\.csv, line 2: 3 cells, the header has 2 \(text, label\)\.$"),
        ("t.csv", "a\n", {"columns": ["text", "label"]}, r"line 1: 1 cells, columns= names 2 \(text, label\)"),
        ("t.csv", 'text,label\na,x\n"b,y\n', {}, r"t\.csv, line 3: unexpected end of data"),
        ("t.csv", 'text,label\n"a"b,x\n', {}, r"t\.csv, line 2: ',' expected after '\"'"),
        ("t.tsv", "text\ttext\na\tx\n", {}, r"t\.tsv, line 1: column 'text' appears twice"),
        ("t.tsv", "a\tx\n", {"columns": ["text", "text"]}, r"t\.tsv: column 'text' appears twice"),
        ("t.jsonl", '{"text": "a", "label": 1}\n{"text"\n', {}, r"t\.jsonl, line 2: not JSON: Expecting ':'"),
        ("t.jsonl", "[" * 100_000, {}, r"t\.jsonl, line 1: not JSON: "),
        ("t.jsonl", '{"text": "a", "label": NaN}', {}, r"t\.jsonl, line 1: not JSON: NaN is not a JSON number"),
        ("t.jsonl", '["a"]', {}, r"t\.jsonl, line 1: want one JSON object a line, got list"),
        ("t.jsonl", '{"txt": "a", "label": 1}', {}, r"line 1: no column 'text'; found: txt, label.*mean text='txt'"),
        ("t.jsonl", '{"text": "a"}', {"columns": ["text"]}, "names its own columns; leave out columns="),
        ("t.jsonl", '\n{"text": 7, "label": 1}', {}, r"t\.jsonl, line 2: the text must be a string, got int 7"),
        ("t.jsonl", '{"text": "\\ud800", "label": 1}', {}, r"line 1: the text has the lone surrogate '\\ud800'"),
        ("t.jsonl", '{"text": "a", "label": "\\ud800"}', {}, r"line 1: 'label' has the lone surrogate '\\ud800'"),
        ("t.jsonl", '{"text": "a", "label": null}', {}, "line 1: 'label' is None; want a string, a number, or a list"),
        ("t.jsonl", '{"text": "a", "label": [true]}', {}, r"line 1: 'label' is \[True\]; want"),
        ("t.jsonl", '{"text": "a", "label": {}}', {}, r"line 1: 'label' is \{\}; want"),
        ("t.txt", "text\n", {}, r"t\.txt: the extension does not tell the format; pass format= one of tsv, csv, jsonl"),
        ("t.tsv", "text\n", {"format": "xls"}, r"t\.tsv: format 'xls' is unknown; one of tsv, csv, jsonl"),
    ],
)
def test_a_bad_file_is_named_with_the_line(file, name, content, options, told):
    with pytest.raises(DataError, match=told) as error:
        read_table(file(name, content), **options)
    assert name in str(error.value)


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(DataError, match=r"none\.tsv does not exist"):
        read_table(tmp_path / "none.tsv")
    (tmp_path / "folder.tsv").mkdir()
    with pytest.raises(DataError, match=r"folder\.tsv cannot be read: Is a directory"):
        read_table(tmp_path / "folder.tsv")


def test_the_csv_limit_of_other_code_is_left_alone(file):
    import csv

    before = csv.field_size_limit()
    read_table(file("t.csv", "text\n" + "x" * 300_000), label=None)
    assert csv.field_size_limit() == before
