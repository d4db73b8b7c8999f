"""SQuAD files: what is read, what is written, and every way a file can be wrong."""

import copy
import json

import pytest

import keras_bert_zoo as kbz
from keras_bert_zoo.data.squad import Answer, Question, question_table, read_squad, write_squad
from keras_bert_zoo.data.tables import Table
from keras_bert_zoo.errors import DataError

CONTEXT = "Café Müller  opened\nin 北京 🎬 in 1921."
DOCUMENT = {
    "version": "v2.0",
    "data": [
        {
            "title": "Cafés",
            "paragraphs": [
                {
                    "context": CONTEXT,
                    "qas": [
                        {
                            "id": "a1",
                            "question": "Where?",
                            "answers": [{"text": "北京", "answer_start": 23}, {"text": "in 北京", "answer_start": 20}],
                            "is_impossible": False,
                        },
                        {
                            "id": "a2",
                            "question": "Who?",
                            "answers": [],
                            "plausible_answers": [{"text": "Müller", "answer_start": 5}],
                            "is_impossible": True,
                        },
                    ],
                }
            ],
        },
        {
            "title": "Other",
            "paragraphs": [
                {
                    "context": "It was 1922.",
                    "qas": [{"id": "b", "question": "", "answers": [{"text": "1922", "answer_start": 7}]}],  # 1.1
                }
            ],
        },
    ],
}
LABELS = [
    Question("a1", (Answer("北京", 23), Answer("in 北京", 20))),
    Question("a2", ()),
    Question("b", (Answer("1922", 7),)),
]


def write(path, document):
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return path


@pytest.fixture
def file(tmp_path):
    return write(tmp_path / "squad.json", DOCUMENT)


def test_a_file_is_a_table(file):
    table = read_squad(file, text="text", label="label", text_pair=None)  # as readers are called
    assert table.texts == ["Where?", "Who?", ""]
    assert table.pairs == [CONTEXT, CONTEXT, "It was 1922."]
    assert table.labels == LABELS
    assert [label.is_impossible for label in table.labels] == [False, True, False]
    assert table.place(1) == f"{file}, question a2"
    assert table.select([2]).place(0) == f"{file}, question b"
    assert all(
        context[start : start + len(text)] == text
        for context, label in zip(table.pairs, table.labels, strict=True)
        for text, start in label.answers
    )


def test_what_is_written_is_read_again(file, tmp_path):
    table = read_squad(file)
    write_squad(table, tmp_path / "again.json")
    again = read_squad(tmp_path / "again.json")
    assert (again.texts, again.pairs, again.labels) == (table.texts, table.pairs, table.labels)
    paragraphs = json.loads((tmp_path / "again.json").read_text(encoding="utf-8"))["data"][0]["paragraphs"]
    assert [len(paragraph["qas"]) for paragraph in paragraphs] == [2, 1]
    write(tmp_path / "bom.json", "\ufeff" + json.dumps(DOCUMENT))
    assert read_squad(tmp_path / "bom.json").labels == LABELS


def test_lists_in_memory():
    table = question_table(["Where?", "Who?"], [CONTEXT] * 2, [[("北京", 23)], []])
    assert table.labels == [Question("1", (Answer("北京", 23),)), Question("2", ())]
    assert table.place(1) == "the lists handed in, question 2"
    assert question_table(["Where?"], [CONTEXT], [[]], ids=["x"]).labels == [Question("x", ())]
    assert kbz.data.question_table is question_table


def test_without_answers(file, tmp_path):
    bare = copy.deepcopy(DOCUMENT)
    for article in bare["data"]:
        for asked in article["paragraphs"][0]["qas"]:
            del asked["answers"]
    path = write(tmp_path / "test.json", bare)
    assert read_squad(path, answers=False).labels is None
    assert kbz.data.read_texts(str(path)) == {
        "text": ["Where?", "Who?", ""],
        "text_pair": [CONTEXT, CONTEXT, "It was 1922."],
    }
    with pytest.raises(DataError, match=r"question 'a1': 'answers' is missing or no list"):
        read_squad(path)


def changed(change):
    document = copy.deepcopy(DOCUMENT)
    first = document["data"][0]["paragraphs"][0]
    change(document, first, first["qas"][0])
    return document


def set_item(holder, key, value):
    holder[key] = value


BROKEN = {
    "a start elsewhere": (
        lambda d, p, q: set_item(q["answers"][1], "answer_start", 21),
        r"question 'a1': answer_start 21 does not match: the context has 'n 北京 ' there, the answer is 'in 北京'\. "
        r"It stands at 20\.",
    ),
    "an answer of another text": (
        lambda d, p, q: set_item(q["answers"][0], "text", "Rom"),
        r"question 'a1': answer_start 23 .* It is nowhere in the context",
    ),
    "a start below 0": (
        lambda d, p, q: set_item(q["answers"][0], "answer_start", -1),
        r"question 'a1': answer_start -1 does not match: the context has '' there",
    ),
    "a start as text": (
        lambda d, p, q: set_item(q["answers"][0], "answer_start", "23"),
        r"question 'a1': 'answer_start' is '23', it must be a number",
    ),
    "no start": (lambda d, p, q: q["answers"][0].pop("answer_start"), r"question 'a1': 'answer_start' is None"),
    "a blank answer": (
        lambda d, p, q: set_item(q["answers"], 0, {"text": "  ", "answer_start": 11}),
        r"question 'a1': the answer is '  ', it must be a filled string",
    ),
    "no text": (lambda d, p, q: q["answers"][0].pop("text"), r"question 'a1': 'text' is missing or no filled string"),
    "an answer that is none": (
        lambda d, p, q: set_item(q["answers"], 0, "北京"),
        r"question 'a1': 'text' is missing or no filled string",
    ),
    "no id": (lambda d, p, q: q.pop("id"), r"data\[0\]\.paragraphs\[0\]\.qas\[0\]: 'id' is missing"),
    "an id twice": (
        lambda d, p, q: set_item(d["data"][1]["paragraphs"][0]["qas"][0], "id", "a1"),
        r"question 'a1': the id stands there twice",
    ),
    "no question": (lambda d, p, q: q.pop("question"), r"question 'a1': 'question' is missing"),
    "an empty context": (
        lambda d, p, q: set_item(p, "context", " \n"),
        r"question 'a1': the context is empty \(' \\n'\)",
    ),
    "no context": (lambda d, p, q: p.pop("context"), r"data\[0\]\.paragraphs\[0\]: 'context' is missing"),
    "no questions": (lambda d, p, q: p.pop("qas"), r"data\[0\]\.paragraphs\[0\]: 'qas' is missing or no list"),
    "no paragraphs": (
        lambda d, p, q: d["data"][1].pop("paragraphs"),
        r"data\[1\]: 'paragraphs' is missing or no list",
    ),
    "no data": (lambda d, p, q: d.pop("data"), r"squad\.json: 'data' is missing or no list. A SQuAD file has"),
    "data without questions": (lambda d, p, q: d["data"].clear(), r"squad\.json has no questions"),
    "impossible but answered": (
        lambda d, p, q: set_item(q, "is_impossible", True),
        r"question 'a1': is_impossible is true, but there are answers",
    ),
    "possible but not answered": (
        lambda d, p, q: q["answers"].clear(),
        r"question 'a1': there is no answer\. .*\"is_impossible\": true",
    ),
    "neither true nor false": (
        lambda d, p, q: set_item(q, "is_impossible", "no"),
        r"question 'a1': 'is_impossible' is 'no', it must be true or false",
    ),
    "half a surrogate pair": (
        lambda d, p, q: set_item(q, "question", "who \ud800"),
        r"question a1: the text has the lone surrogate",
    ),
}


@pytest.mark.parametrize("name", list(BROKEN))
def test_what_is_wrong_is_named_with_its_question(name, tmp_path):
    change, told = BROKEN[name]
    path = write(tmp_path / "squad.json", changed(change))
    with pytest.raises(DataError, match=told) as error:
        read_squad(path)
    assert str(path) in str(error.value)


def test_files_that_are_none(tmp_path):
    with pytest.raises(DataError, match=r"squad\.json, line 2: broken JSON \(Expecting"):
        read_squad(write(tmp_path / "squad.json", '{"data":\n]}'))
    (tmp_path / "latin.json").write_bytes(b'{"data": "caf\xe9"}')
    with pytest.raises(DataError, match=r"latin\.json: invalid UTF-8 at byte 13"):
        read_squad(tmp_path / "latin.json")
    with pytest.raises(DataError, match=r"no\.json: cannot be read"):
        read_squad(tmp_path / "no.json")
    with pytest.raises(DataError, match="'data' is missing"):
        read_squad(write(tmp_path / "list.json", "[1, 2]"))


def test_lists_that_do_not_fit(file, tmp_path):
    with pytest.raises(DataError, match="2 questions but 1 contexts"):
        question_table(["a", "b"], ["c"], [[], []])
    with pytest.raises(DataError, match=r"question '2': the context is empty"):
        question_table(["a", "b"], ["c", ""], [[], []])
    with pytest.raises(DataError, match=r"question '1': answer_start 1 does not match"):
        question_table(["a"], ["good"], [[("goo", 1)]])
    with pytest.raises(DataError, match="question 'x': the id stands there twice"):
        question_table(["a", "b"], ["c", "d"], [[], []], ids=["x", "x"])
    with pytest.raises(DataError, match="a SQuAD file needs a context"):
        write_squad(Table.from_lists(["a"], [Question("x", ())]), tmp_path / "x.json")
    with pytest.raises(
        DataError, match="item 1: question answering learns from answers that know their place, got 'y'"
    ):
        write_squad(Table.from_lists(["a"], ["y"], ["c"]), tmp_path / "x.json")
    with pytest.raises(DataError, match="cannot be written"):
        write_squad(read_squad(file), file / "below" / "a.json")
