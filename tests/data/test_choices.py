"""Readers of questions with choices and of pairs."""

import pytest

from keras_bert_zoo.data import read_choices, read_pairs
from keras_bert_zoo.errors import DataError

SWAG = (
    ",video-id,fold-ind,startphrase,sent1,sent2,gold-source,ending0,ending1,ending2,ending3,label\n"
    '0,v1,1,"She sits. He","She sits, still.",He,gold,reads.,"runs, far.",eats.,sleeps.,2\n'
    "1,v1,2,A dog. It,A dog.,It,gen,barks.,sings.,writes.,flies.,0\n"
)


def _write(tmp_path, name, content):
    (tmp_path / name).write_text(content, encoding="utf-8")
    return tmp_path / name


def test_swag_as_it_comes(tmp_path):
    table = read_choices(_write(tmp_path, "train.csv", SWAG))
    assert table.texts == ["She sits, still.", "A dog."]
    assert table.pairs == [
        ["He reads.", "He runs, far.", "He eats.", "He sleeps."],
        ["It barks.", "It sings.", "It writes.", "It flies."],
    ]
    assert table.labels == [2, 0]
    assert table.lines == [2, 3]


def test_columns_by_name(tmp_path):
    path = _write(tmp_path, "t.tsv", "q\tprefix\tway0\tway1\tway2\tkey\none\tp\ta\tb\t\t1\ntwo\tq\tc\td\te\t2\n")
    plain = read_choices(path, text="q", text_pair="way", label="key")
    assert (plain.texts, plain.pairs, plain.labels) == (["one", "two"], [["a", "b"], ["c", "d", "e"]], [1, 2])
    started = read_choices(path, text="q", text_pair="way", start="prefix", label=None)
    assert started.pairs == [["p a", "p b"], ["q c", "q d", "q e"]]
    assert started.labels is None


def test_json_lines(tmp_path):
    path = _write(
        tmp_path,
        "t.jsonl",
        '{"text": "one", "choices": ["a", "b"], "label": 1}\n\n{"text": "two", "choices": ["c"], "label": "0"}\n',
    )
    table = read_choices(path)
    assert (table.texts, table.pairs, table.labels) == (["one", "two"], [["a", "b"], ["c"]], [1, 0])
    assert table.lines == [1, 3]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("t.jsonl", '{"text": "x", "choices": [], "label": 0}', "t.jsonl, line 1: there are no choices"),
        ("t.jsonl", '{"text": "x", "choices": ["a", "", "b"], "label": 0}', r"line 1: choice 1 of 3 \(from 0\)"),
        ("t.jsonl", '{"text": "x", "choices": ["a", 3], "label": 0}', "the text pair must be a string, got int 3"),
        ("t.jsonl", '{"text": "x", "choices": "ab", "label": 0}', "line 1: 'choices' is 'ab'; want a list of strings"),
        ("t.jsonl", '{"text": "x", "choices": ["a"], "label": 1}', "line 1: label 1 is none of the choices"),
        ("t.jsonl", '{"text": "x", "choices": ["a"], "label": [0]}', r"line 1: label \[0\] is not the number"),
        ("t.jsonl", '{"text": "x", "choices": ["a"], "label": null}', "line 1: 'label' is None"),
        ("t.jsonl", '{"text": "x", "label": 1}', "line 1: no column 'choices'"),
        ("t.jsonl", '{"choices": ["a"], "label": 1}', "line 1: no column 'text'"),
        ("t.csv", "text,choices0,choices1,label\nx,a,b,2\n", "line 2: label '2' is none of"),
        ("t.csv", "text,choices0,choices1,label\nx,,b,1\n", "line 2: choice 0 of 2"),
        ("t.csv", "text,choices0,choices1,label\nx,,,1\n", "line 2: there are no choices"),
        ("t.csv", "text,choices0,label\nx,a,first\n", "line 2: label 'first' is not the number of a choice"),
        ("t.csv", "text,label\nx,0\n", "no column 'choices0'; found: text, label"),
        ("t.csv", "text,choices0\nx,a\n", "no column 'label'"),
        ("t.csv", "text,choices0,label\n", "has no rows after its header"),
    ],
)  # fmt: skip
def test_files_that_are_refused(tmp_path, name, content, told):
    with pytest.raises(DataError, match=told):
        read_choices(_write(tmp_path, name, content))


def test_a_start_that_is_no_string(tmp_path):
    path = _write(tmp_path, "t.jsonl", '{"text": "x", "s": 1, "choices": ["a"], "label": 0}')
    with pytest.raises(DataError, match="line 1: the start 1 and the choice 'a' must be strings"):
        read_choices(path, start="s")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.tsv", "text\ttext_pair\tlabel\na\tb\t0.5\nc\td\t1\n"),
        ("t.jsonl", '{"text": "a", "text_pair": "b", "label": "0.5"}\n{"text": "c", "text_pair": "d", "label": "1"}\n'),
    ],
)
def test_pairs_with_scores(tmp_path, name, content):
    table = read_pairs(_write(tmp_path, name, content))
    assert (table.texts, table.pairs, table.labels) == (["a", "c"], ["b", "d"], ["0.5", "1"])


@pytest.mark.parametrize(
    ("name", "content"),
    [("t.csv", "text,other,text_pair\na,?,b\n"), ("t.jsonl", '{"text": "a", "text_pair": "b"}\n')],
)
def test_pairs_without(tmp_path, name, content):
    path = _write(tmp_path, name, content)
    table = read_pairs(path)
    assert (table.texts, table.pairs, table.labels) == (["a"], ["b"], None)
    with pytest.raises(DataError, match="no column 'score'"):
        read_pairs(path, label="score")


def test_pairs_by_other_names(tmp_path):
    path = _write(tmp_path, "sts.csv", "sentence1,sentence2,score\na,b,3.8\n")
    table = read_pairs(path, text="sentence1", text_pair="sentence2", label="score")
    assert (table.texts, table.pairs, table.labels) == (["a"], ["b"], ["3.8"])
    with pytest.raises(DataError, match="no column 'text_pair'"):
        read_pairs(path, text="sentence1")
