"""Tagged words: files of columns, JSON lines, lists in memory."""

import json

import pytest

import keras_bert_zoo as kbz
from keras_bert_zoo.data.conll import from_words, read_conll, read_tagged
from keras_bert_zoo.errors import DataError


def words(table):
    """Return (word, tag) pairs by the table's own spans."""
    return [
        [(text[start:end], tag) for start, end, tag in spans]
        for text, spans in zip(table.texts, table.labels, strict=True)
    ]


@pytest.fixture
def write(tmp_path):
    def written(content, name="t.txt"):
        (tmp_path / name).write_bytes(content.encode())
        return tmp_path / name

    return written


def test_conll_2003(write):
    path = write(
        "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\n\nCaf\u00e9  NNP B-NP\tI-LOC\r\n"
        "# $ B-NP O\n\n# $ B-NP B-MISC\n".replace("  NNP B-NP\t", " NNP B-NP ")
    )
    table = read_conll(path)
    want = [[("EU", "B-ORG"), ("rejects", "O")], [("Caf\u00e9", "I-LOC"), ("#", "O")], [("#", "B-MISC")]]
    assert words(table) == want
    assert table.texts == ["EU rejects", "Caf\u00e9 #", "#"]
    assert table.lines == [3, 7, 10]
    assert table.place(1) == f"{path}, line 7"
    assert words(read_conll(path, tag=2))[0] == [("EU", "NNP"), ("rejects", "VBZ")]
    assert words(kbz.data.read_conll(path, word=1, tag=4)) == want


def test_wikiann_loses_its_prefix_where_every_word_has_it(write):
    content = "en:R.H.\tB-ORG\nen:en:x\tI-ORG\n\nen:\U0001f600\u200d\tO\n"
    assert words(read_conll(write(content))) == [[("R.H.", "B-ORG"), ("en:x", "I-ORG")], [("\U0001f600\u200d", "O")]]
    assert words(read_conll(write(content + "x\tO\n")))[0][0] == ("en:R.H.", "B-ORG")
    assert words(read_conll(write(content.replace("en:", "zh-classical:"))))[0][0] == ("R.H.", "B-ORG")
    with pytest.raises(DataError, match="line 3: 'en:' has no word after it"):
        read_conll(write("en:a\tO\n\nen:\tO\n"))


def test_conll_u(write):
    path = write(
        "# sent_id = 1\n# text = vamos al 1 000\n1\tVamos\tir\tVERB\t_\n2-3\tal\t_\t_\t_\n2\ta\ta\tADP\t_\n"
        "3\tel\tel\tDET\t_\n"
        "3.1\tx\tx\tX\t_\n4\t1 000\t1\tNUM\t_\n\n# newdoc\n1\t#\t#\tSYM\t_\n"
    )
    table = read_conll(path, word=2, tag=4)
    assert words(table) == [
        [("Vamos", "VERB"), ("a", "ADP"), ("el", "DET"), ("1\u00a0000", "NUM")],
        [("#", "SYM")],
    ]
    assert table.lines == [3, 11]
    assert words(read_tagged(path, text="2", label="4")) == words(table)


def test_comments(write):
    content = "# id 7\tdomain=en\na _ _ O\n# _ _ B-X\n\n# id 8\n#tag _ _ O\n"
    assert words(read_conll(write(content))) == [[("a", "O"), ("#", "B-X")], [("#tag", "O")]]
    assert words(read_conll(write("# O\nb O\n"))) == [[("#", "O"), ("b", "O")]]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a O\nb\n", "t.txt, line 2: 'b' lacks a word in column 1 or a tag in the last column"),
        ("a\tO\n\nb\t\n", "t.txt, line 3: .* lacks"),
        ("\tO\n", "t.txt, line 1: .* lacks"),
        ("\n-DOCSTART- O\n", "t.txt has no words"),
        ("", "t.txt has no words"),
    ],
)
def test_columns_that_are_missing(write, content, told):
    with pytest.raises(DataError, match=told):
        read_conll(write(content))


def test_columns_are_numbers_from_one(write):
    path = write("a O\n")
    with pytest.raises(DataError, match="columns are counted from 1; got word=0, tag=None"):
        read_conll(path, word=0)
    with pytest.raises(DataError, match="line 1: 'a O' lacks a word in column 1 or a tag in column 3"):
        read_conll(path, tag=3)
    with pytest.raises(DataError, match="its columns have numbers, from 1, not names; got label='ner'"):
        read_tagged(path, label="ner")
    with pytest.raises(DataError, match="tagged words come in single texts"):
        read_tagged(path, text_pair="other")
    with pytest.raises(DataError, match=r"absent.txt does not exist"):
        read_conll(path.with_name("absent.txt"))
    path.write_bytes(b"a O\ncaf\xe9 O\n")
    with pytest.raises(DataError, match=r"t.txt, line 2: byte 0xe9 is not UTF-8"):
        read_conll(path)


def test_lists_in_memory():
    lists = from_words([["a", "caf\u00e9"], [], ["1 000\t0"]], [["O", "B-X"], [], ["O"]])
    assert lists.texts == ["a caf\u00e9", "", "1\u00a0000\u00a00"]
    assert lists.labels == [[(0, 1, "O"), (2, 6, "B-X")], [], [(0, 7, "O")]]
    strings = kbz.data.from_words(["a  caf\u00e9\t", "", "1\u00a0000\u00a00"], ["O B-X", "", ["O"]])
    assert (strings.texts, strings.labels) == (lists.texts, lists.labels)
    assert from_words([["a", "b"]]).labels is None
    assert from_words([["a", "b"]]).texts == ["a b"]


@pytest.mark.parametrize(
    ("given", "tags", "told"),
    [
        ([["a"], ["a", "b"]], [["O"], ["O", "O", "B-X"]], "item 2: 2 words but 3 tags"),
        ([["a"], ["a", "b"]], [["O"], ["O"]], "item 2: 2 words but 1 tags"),
        ([["a"]], [["O"], ["O"]], "1 sentences but 2 sequences of tags"),
        ([["a", ""]], [["O", "O"]], "item 1: number 2 of the words is ''"),
        ([["a", 3]], [["O", "O"]], "item 1: number 2 of the words is 3"),
        ([["a"]], [[3]], "item 1: number 1 of the tags is 3"),
        ([5], [["O"]], "item 1: the words must be a list of strings, or one string, got 5"),
    ],
)
def test_lists_that_do_not_fit(given, tags, told):
    with pytest.raises(DataError, match=told):
        from_words(given, tags)


def test_json_lines(write):
    rows = [{"tokens": ["a", "b c"], "tags": ["O", "B-X"]}, {"tokens": "d e", "tags": "O O"}]
    path = write("\n".join(map(json.dumps, rows)) + "\n", "t.jsonl")
    table = read_tagged(path, text="tokens", label="tags")
    assert words(table) == [[("a", "O"), ("b\u00a0c", "B-X")], [("d", "O"), ("e", "O")]]
    with pytest.raises(DataError, match=r"t.jsonl, line 1: no key 'text' for the words; found: tokens, tags"):
        read_tagged(path)
    path = write('{"text": ["a"], "label": ["O"]}\n{"text": ["a"], "label": ["O", "O"]}\n', "t.jsonl")
    with pytest.raises(DataError, match=r"t.jsonl, line 2: 1 words but 2 tags"):
        read_tagged(path)
    path = write('{"text": {}, "label": ["O"]}\n', "t.jsonl")
    with pytest.raises(DataError, match=r"t.jsonl, line 1: the words must be a list"):
        read_tagged(path)
