"""Corpora: files of text and of rows, packed or not, read document by document."""

import gzip
import json
import os
import tracemalloc

import pytest

from keras_bert_zoo.data import corpus as corpus_module
from keras_bert_zoo.data import corpus_files, read_corpus
from keras_bert_zoo.errors import DataError

PLAIN = "One line.\nAnother.\n\n \t\nSecond document\u2028still.\n"
PLAIN_DOCUMENTS = [["One line.", "Another."], ["Second document\u2028still."]]


def rows(*texts):
    return "".join(json.dumps({"id": i, "text": text}) + "\n" for i, text in enumerate(texts))


def write(path, content):
    data = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(data) if path.suffix.lower() == ".gz" else data)
    return path


def documents(source, **options):
    return list(read_corpus(source, **options).documents())


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.TXT.GZ", "a.md", "a"])
def test_lines_are_sentences_and_blank_lines_part_documents(tmp_path, name):
    path = write(tmp_path / name, PLAIN)
    corpus = read_corpus(path)
    assert list(corpus.documents()) == PLAIN_DOCUMENTS
    counts = corpus.counts
    assert (counts.documents, counts.sentences, counts.bytes) == (2, 3, len(PLAIN.encode()))
    assert (counts.replaced, counts.cut) == (0, 0)
    assert list(corpus.documents()) == PLAIN_DOCUMENTS  # a second pass counts anew
    assert corpus.counts == counts


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_a_row_is_a_document_and_its_lines_the_sentences(tmp_path, name):
    path = write(tmp_path / name, rows("One line.\r\nAnother.\n\nA third", " \n ", "Next row") + "\n")
    corpus = read_corpus(str(path))
    assert list(corpus.documents()) == [["One line.", "Another.", "A third"], ["Next row"]]
    assert (corpus.counts.documents, corpus.counts.sentences) == (2, 4)


def test_whole_documents_are_split_into_sentences(tmp_path):
    plain = write(tmp_path / "a.txt", "Dr. Kim left\nat 5 p.m. He\ncame back.\n\nA heading\n\n")
    packed = write(tmp_path / "b.jsonl.gz", rows("A heading\n\nIt cost $3.50. Really?"))
    assert documents([plain, packed], unit="documents") == [
        ["Dr. Kim left at 5 p.m.", "He came back."],
        ["A heading"],
        ["A heading", "It cost $3.50.", "Really?"],
    ]
    german = write(tmp_path / "c.txt", "Das gilt z. B. für Herrn Dr. Meier. Er ging.")
    assert documents(german, unit="documents", language="de") == [["Das gilt z. B. für Herrn Dr. Meier.", "Er ging."]]


def test_another_column(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"body": "wanted", "text": 3}\n')
    assert documents(path, text="body") == [["wanted"]]


def test_folders_are_searched_through_in_a_fixed_order(tmp_path):
    for name in ("b/2.txt", "b/10.txt", "a.jsonl", "b-c.txt", ".hidden/x.txt", "b/.git", "c/d/e.txt"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, rows(name) if name.endswith("l") else name)
    corpus = read_corpus(tmp_path / "in")
    found = [str(path.relative_to(tmp_path / "in")) for path in corpus.files]
    assert found == ["a.jsonl", "b/10.txt", "b/2.txt", "b-c.txt", "c/d/e.txt"]
    assert [text for [text] in corpus.documents()] == found
    several = read_corpus([tmp_path / "in/b/2.txt", tmp_path / "in", f"{tmp_path}/in/b/../b/2.txt"])
    assert several.files[:2] == (tmp_path / "in/b/2.txt", tmp_path / "in/a.jsonl")
    assert len(several.files) == 5


def test_documents_end_with_their_files(tmp_path):
    write(tmp_path / "a.txt", "no line end")
    write(tmp_path / "b.txt", "another file\n")
    assert documents(tmp_path) == [["no line end"], ["another file"]]


def test_windows_files(tmp_path):
    text = "\ufeffOne\r\nTwo\r\n\r\nThree\ufeff\r\n"
    assert documents(write(tmp_path / "a.txt", text)) == [["One", "Two"], ["Three\ufeff"]]
    row = '\ufeff{"text": "One\\r\\nTwo"}\r\n\r\n{"text": "Three"}\r\n'
    corpus = read_corpus(write(tmp_path / "a.jsonl.gz", row))
    assert list(corpus.documents()) == [["One", "Two"], ["Three"]]
    assert corpus.counts.bytes == len(row.encode())


def test_invalid_bytes_are_replaced_and_counted(tmp_path):
    plain = b"fine \xef\xbf\xbd\ncaf\xe9 \xf0\x9f\x98 \xff\xfe \xef\xbf\xbd\n\xed\xa0\x80"
    corpus = read_corpus(write(tmp_path / "a.txt", plain))
    assert list(corpus.documents()) == [["fine \ufffd", "caf\ufffd \ufffd \ufffd\ufffd \ufffd", "\ufffd\ufffd\ufffd"]]
    assert corpus.counts.replaced == 1 + 1 + 2 + 3
    corpus = read_corpus(write(tmp_path / "a.jsonl", b'{"text": "caf\xe9 \\ud83d x \\ud83d\\ude00 \\ufffd"}\n'))
    assert list(corpus.documents()) == [["caf\ufffd \ufffd x \U0001f600 \ufffd"]]
    assert corpus.counts.replaced == 2


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.txt", b"fine\n\ncaf\xe9 au lait\n", r"a\.txt, line 3: byte 0xe9 is not UTF-8.* invalid=\"replace\"\."),
        ("a.jsonl", b'{"text": "a"}\n{"text": "\xff"}\n', r"a\.jsonl, line 2: byte 0xff is not UTF-8"),
        ("a.jsonl.gz", '{"text": "\\udc00"}\n', r"a\.jsonl\.gz, line 1: the lone surrogate '\\udc00' is no character"),
    ],
)
def test_invalid_bytes_are_refused(tmp_path, name, content, told):
    path = write(tmp_path / name, content)
    documents(path)
    with pytest.raises(DataError, match=told):
        documents(path, invalid="refuse")


def test_a_line_of_ten_megabytes(tmp_path):
    words = "word and more. " * 700_000
    (document,) = documents(write(tmp_path / "a.txt.gz", f"before\n{words}\nafter\n"))
    assert [len(sentence) for sentence in document] == [6, len(words) - 1, 5]
    (document,) = documents(write(tmp_path / "b.txt", words), unit="documents")
    assert document == ["word and more."] * 700_000


def test_memory_does_not_grow_with_documents_nor_lines(tmp_path, monkeypatch):
    for name, value in (("_LONGEST_LINE", 2**12), ("_BUFFER", 2**12)):
        monkeypatch.setattr(corpus_files, name, value)
    monkeypatch.setattr(corpus_module, "LONGEST_DOCUMENT", 2**14)
    monkeypatch.setattr(corpus_module, "MOST_LINES", 100)

    def most(content):
        corpus = read_corpus(write(tmp_path / "a.txt.gz", content))
        tracemalloc.start()
        lengths = [sum(map(len, document)) for document in corpus.documents()]
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert corpus.counts.cut == len(lengths) - 1 > 30
        return peak

    assert most("é" * 2**20) < 2**19  # one line
    assert most("a b\n" * 2**14) < 2**19  # one document


def test_what_is_cut_is_not_lost(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_files, "_LONGEST_LINE", 50)
    monkeypatch.setattr(corpus_module, "LONGEST_DOCUMENT", 60)
    spaced = " ".join(f"word{i}é" for i in range(99))
    corpus = read_corpus(write(tmp_path / "a.txt", f"first\n{spaced}\nlast"))
    found = list(corpus.documents())
    assert " ".join(text for document in found for text in document) == f"first {spaced} last"
    assert corpus.counts.cut == len(found) - 1 > 9
    assert corpus.counts.replaced == 0
    unbroken = "漢é😀a" * 60
    found = list(read_corpus(write(tmp_path / "b.txt", unbroken)).documents())
    assert "".join(text for document in found for text in document) == unbroken
    found = documents(write(tmp_path / "c.jsonl", rows(unbroken, "b")))
    assert [len("".join(document)) for document in found] == [60, 60, 60, 60, 1]
    monkeypatch.setattr(corpus_module, "MOST_LINES", 2)
    assert documents(write(tmp_path / "d.txt", "a\nb\nc\nd\n\n\ne")) == [["a", "b"], ["c", "d"], ["e"]]


def test_one_document(tmp_path):
    corpus = read_corpus(write(tmp_path / "a.txt", "\n\nalone"))
    assert list(corpus.documents()) == [["alone"]]
    assert corpus.counts.documents == 1


def test_how_far_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_files, "_STEP", 100)
    for name in ("a.txt", "b.jsonl.gz"):
        write(tmp_path / name, rows(*map(str, range(40))))
    corpus = read_corpus(tmp_path)
    calls = []
    assert len(list(corpus.documents(lambda done, total: calls.append((done, total))))) == 41
    assert corpus.size == sum(path.stat().st_size for path in tmp_path.iterdir())
    places = [done for done, _ in calls]
    assert places == sorted(places)
    assert len(places) > 10
    assert calls[-1] == (corpus.size, corpus.size)
    assert {total for _, total in calls} == {corpus.size}


def test_parts_share_the_files_in_their_order(tmp_path):
    for i, length in enumerate((900, 30, 30, 940, 0, 20)):
        write(tmp_path / f"{i}.txt", f"{i} " * (length // 2))
    corpus = read_corpus(tmp_path, text="body", unit="documents", invalid="refuse", language="de")
    parts = corpus.parts(3)
    assert [[path.name for path in part.files] for part in parts] == [
        ["0.txt"],
        ["1.txt", "2.txt"],
        [f"{i}.txt" for i in (3, 4, 5)],
    ]
    assert {(part.text, part.unit, part.invalid, part.language) for part in parts} == {
        ("body", "documents", "refuse", "de")
    }
    assert [d for part in parts for d in part.documents()] == list(corpus.documents())
    assert [part.files for part in corpus.parts(1)] == [corpus.files]
    assert [len(part.files) for part in corpus.parts(99)] == [1] * 6
    (empty,) = read_corpus(write(tmp_path / "4.txt", "\n")).parts(2)
    assert list(empty.documents()) == []
    with pytest.raises(DataError, match="divided into 0 parts"):
        corpus.parts(0)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.txt", "", r"a\.txt: there is no text in it\."),
        ("a.txt.gz", "\r\n \n\t\n", r"a\.txt\.gz: there is no text in it\."),
        ("a.jsonl", '\n{"text": " "}\n', r"a\.jsonl: there is no text in it\."),
        ("a.jsonl", '{"text": "a"}\n{"txt": "b"}\n', r"line 2: no column 'text'; found: txt\. Did you mean text='txt'"),
        ("a.jsonl", '{"text": 3}\n', r"a\.jsonl, line 1: 'text' must be a string, got int"),
        ("a.jsonl", '{"text": "a"}\n["a"]\n', r"a\.jsonl, line 2: want one JSON object a line, got list"),
        ("a.jsonl", '{"text": "a"}\n\n{"te', r"a\.jsonl, line 3: not JSON: Unterminated string"),
        ("a.jsonl", "[" * 100_000, r"a\.jsonl, line 1: not JSON: maximum recursion depth"),
        ("a.txt", "text\n".encode("utf-16"), r"a\.txt: this is UTF-16\. Save the file as UTF-8"),
        ("a.bin", b"\x89PNG\r\n\x00\x00", r"a\.bin: there are zero bytes in it, so this is no text"),
    ],
)
@pytest.mark.parametrize("unit", ["lines", "documents"])
def test_what_cannot_be_read(tmp_path, name, content, told, unit):
    write(tmp_path / name, content)
    with pytest.raises(DataError, match=told):
        documents(tmp_path / name, unit=unit)


def test_a_row_that_never_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus_files, "_LONGEST_ROW", 99)
    path = write(tmp_path / "a.jsonl", rows("short", "long" * 30))
    with pytest.raises(DataError, match=r"a\.jsonl, line 2: longer than 99 bytes"):
        documents(path)


def test_damaged_gzip(tmp_path):
    packed = gzip.compress(os.urandom(9999).hex().encode())
    for data, told in (
        (packed[:-500], r"a\.txt\.gz: the compressed file ends too early"),
        (packed[:5000] + b"xx" + packed[5002:], r"a\.txt\.gz: not whole gzip: "),
        (b"plain text", r"a\.txt\.gz: not whole gzip: Not a gzipped file"),
    ):
        (tmp_path / "a.txt.gz").write_bytes(data)
        with pytest.raises(DataError, match=told):
            documents(tmp_path / "a.txt.gz")


def test_what_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"b\.txt does not exist"):
        read_corpus([write(tmp_path / "a.txt", "a"), tmp_path / "b.txt"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: no file is there\. Want \.txt or \.jsonl files"):
        read_corpus(tmp_path / "empty")
    with pytest.raises(DataError, match="the corpus: no file is there"):
        read_corpus([])
    corpus = read_corpus([write(tmp_path / "b.txt", ""), write(tmp_path / "c.txt", " ")])
    with pytest.raises(DataError, match=r"b\.txt and 1 more: there is no text in them"):
        list(corpus.documents())
    (tmp_path / "b.txt").unlink()
    (tmp_path / "b.txt").mkdir()
    with pytest.raises(DataError, match=r"b\.txt cannot be read: Is a directory"):
        list(corpus.documents())


def test_a_folder_that_cannot_be_read(tmp_path, monkeypatch):
    def refused(folder):
        raise PermissionError(13, "Permission denied", os.fspath(folder))

    monkeypatch.setattr(os, "scandir", refused)
    with pytest.raises(DataError, match="cannot be read: Permission denied"):
        read_corpus(tmp_path)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"unit": "words"}, "unit is 'words', want one of 'lines', 'documents'"),
        ({"invalid": "ignore"}, "invalid is 'ignore', want one of 'replace', 'refuse'"),
        ({"language": "German"}, "language is 'German', want a code of ISO 639 such as 'en' or 'de'"),
    ],
)
def test_unknown_choices(tmp_path, options, told):
    with pytest.raises(DataError, match=told):
        read_corpus(tmp_path, **options)
