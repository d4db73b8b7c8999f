"""EM, F1 and the files of predictions, against the official scripts that Model Garden ships."""

import json

import numpy as np
import pytest

from keras_bert_zoo.data.squad import read_squad, write_squad
from keras_bert_zoo.data.tables import Table
from keras_bert_zoo.errors import ConfigError, DataError
from keras_bert_zoo.heads import QuestionAnswering
from keras_bert_zoo.heads.classification import Classification
from keras_bert_zoo.training.squad import best_threshold, squad_1, squad_2

official_1 = pytest.importorskip("official.nlp.tools.squad_evaluate_v1_1")
official_2 = pytest.importorskip("official.nlp.tools.squad_evaluate_v2_0")

WORDS = [
    "The",
    "a",
    "an",
    "Café",
    "café",
    "北京",
    "U.S.",
    "u.s",
    "1,921",
    "it's",
    "its",
    "--",
    "!",
    "of",
    "film",
    "FILM",
]


def texts(random, many):
    return [
        " ".join(random.choice(WORDS, random.integers(1, 5))) + random.choice(["", " ", ".", "  \n"])
        for _ in range(many)
    ]


def questions(seed, impossible):
    """A SQuAD document of 61 questions, predictions and what speaks for no answer."""
    random = np.random.default_rng(seed)
    qas, predictions, odds = [], {}, {}
    for i in range(61):
        answers = texts(random, random.integers(1, 4))
        if impossible and i % 3 == 0:
            answers = []
        qas.append({"id": f"q{i}", "answers": [{"text": text} for text in answers]})
        near = [*answers, *[text.upper() for text in answers], *texts(random, 2), ""]
        predictions[f"q{i}"] = str(random.choice(near))
        odds[f"q{i}"] = round(random.normal(), 1)  # some alike
    return [{"paragraphs": [{"qas": qas[:20]}, {"qas": qas[20:]}]}], predictions, odds


def truths_of(dataset):
    return [[answer["text"] for answer in qa["answers"]] for p in dataset[0]["paragraphs"] for qa in p["qas"]]


@pytest.mark.parametrize("seed", range(5))
def test_squad_1(seed):
    dataset, predictions, _ = questions(seed, impossible=False)
    want = official_1.evaluate(dataset, predictions)
    got = squad_1(truths_of(dataset), list(predictions.values()))
    assert got == {"exact_match": want["exact_match"], "f1": want["final_f1"]}  # to the last bit
    assert 0.3 < got["f1"] < 0.7
    assert got["exact_match"] != got["f1"]


@pytest.mark.parametrize("seed", range(5))
def test_squad_2(seed):
    dataset, predictions, odds = questions(seed, impossible=True)
    answers = list(predictions.values())
    want = official_2.evaluate(dataset, predictions, odds)
    plain = official_2.evaluate(dataset, predictions)
    got = squad_2(truths_of(dataset), answers, answers, list(odds.values()))
    names = {
        "exact_match": plain["exact"],
        "f1": plain["f1"],
        "has_answer_exact_match": plain["HasAns_exact"],
        "has_answer_f1": plain["HasAns_f1"],
        "no_answer_exact_match": plain["NoAns_exact"],
        "no_answer_f1": plain["NoAns_f1"],
        "best_exact_match": want["final_exact"],
        "best_f1": want["final_f1"],
    }
    assert {name: 100 * got[name] for name in names} == pytest.approx(names, abs=1e-10)
    assert got["best_exact_match_threshold"] == want["final_exact_thresh"]
    assert got["best_f1_threshold"] == want["final_f1_thresh"]
    assert set(got) == {*names, "best_exact_match_threshold", "best_f1_threshold"}
    assert got["best_f1_threshold"] > 0  # not the one where nothing is answered


def test_answers_that_are_nothing_but_articles():
    dataset = [{"paragraphs": [{"qas": [{"id": "a", "answers": [{"text": "the"}]}, {"id": "b", "answers": []}]}]}]
    for answers in (["", ""], ["The.", "a"], ["film", "film"]):
        want = official_2.evaluate(dataset, dict(zip("ab", answers, strict=True)))
        got = squad_2([["the"], []], answers)
        assert 100 * got["f1"] == want["f1"]
        assert 100 * got["has_answer_exact_match"] == want["HasAns_exact"]
        one = official_1.evaluate(
            [{"paragraphs": [{"qas": dataset[0]["paragraphs"][0]["qas"][:1]}]}], {"a": answers[0]}
        )
        assert squad_1([["the"]], answers[:1]) == {"exact_match": one["exact_match"], "f1": one["final_f1"]}


def test_best_threshold_where_nothing_helps():
    assert best_threshold([0.0, 0.0], ["x", "y"], [0.5, -0.5], [True, False]) == (0.5, 0.0)
    assert best_threshold([1.0, 0.0], ["x", "y"], [-0.5, 0.5], [True, False]) == (1.0, -0.5)


def answer(text, spans, odds):
    starts = [0 if span else -1 for span in spans]
    several = {"starts": starts, "ends": [len(span) if span else -1 for span in spans]}
    logits = {"start_logits": [2.0 - i for i in range(len(spans))], "end_logits": [1.0] * len(spans)}
    scores = [1 / len(spans)] * len(spans)
    return {"answer": text, "no_answer_score": odds, "answers": list(spans), "scores": scores, **several, **logits}


@pytest.fixture
def table(tmp_path):
    context = "The film of 北京 was made in 1921."
    qas = [
        {"id": "x", "question": "Where?", "answers": [{"text": "北京", "answer_start": 12}], "is_impossible": False},
        {"id": "y", "question": "Who?", "answers": [], "is_impossible": True},
    ]
    path = tmp_path / "s.json"
    path.write_text(json.dumps({"data": [{"paragraphs": [{"context": context, "qas": qas}]}]}))
    return read_squad(path)


ANSWERS = [answer("北京", ["北京", "", "1921"], -3.5), answer("", ["", "The film"], 2.25)]


def test_the_head_scores_answers_by_the_data(table):
    head = QuestionAnswering(no_answer=True)
    figures = head.score(table, ANSWERS)
    assert figures["f1"] == figures["has_answer_f1"] == figures["no_answer_f1"] == figures["best_f1"] == 1
    assert figures["best_f1_threshold"] == -3.5
    assert QuestionAnswering().score(table, ANSWERS) == figures  # the data has a question without an answer
    assert QuestionAnswering().score(table.select([0]), ANSWERS[:1]) == {"exact_match": 1.0, "f1": 1.0}
    with pytest.raises(DataError, match="know their place"):
        head.score(Table.from_lists(["a"], ["b"], ["c"]), ANSWERS[:1])


def test_files_for_the_official_scripts(table, tmp_path):
    head, folder = QuestionAnswering(no_answer=True), tmp_path / "predictions"
    head.write_answers(table, ANSWERS, folder)
    read = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in folder.iterdir()}
    assert read == {
        "predictions.json": {"x": "北京", "y": ""},
        "null_odds.json": {"x": -3.5, "y": 2.25},
        "nbest_predictions.json": {
            "x": [
                {"text": text, "probability": 1 / 3, "start_logit": 2.0 - i, "end_logit": 1.0, "start": a, "end": b}
                for i, (text, a, b) in enumerate([("北京", 0, 2), ("", -1, -1), ("1921", 0, 4)])
            ],
            "y": [
                {"text": text, "probability": 0.5, "start_logit": 2.0 - i, "end_logit": 1.0, "start": a, "end": b}
                for i, (text, a, b) in enumerate([("", -1, -1), ("The film", 0, 8)])
            ],
        },
    }
    write_squad(table, tmp_path / "again.json")
    dataset = json.loads((tmp_path / "again.json").read_text())["data"]
    assert official_2.evaluate(dataset, read["predictions.json"], read["null_odds.json"])["f1"] == 100
    with pytest.raises(ConfigError, match="the folder is there already"):
        head.write_answers(table, ANSWERS, folder)
    QuestionAnswering().write_answers(table, ANSWERS, tmp_path / "always")
    assert {path.name for path in (tmp_path / "always").iterdir()} == {"predictions.json", "nbest_predictions.json"}
    with pytest.raises(ConfigError, match="'classification' has no files of predictions"):
        Classification(["a", "b"]).write_answers(table, ANSWERS, tmp_path / "no")
