"""`kbz` on questions: train, evaluate with files of predictions, predict, export."""

import json

import pytest
import tiny
from command_line import json_lines, kbz, refused

import keras_bert_zoo as zoo

CONTEXTS = ["the film was warm and funny", "a story of the end", "it is a good plot but a sad one"] * 3
ANSWERS = [("warm", 13), ("the end", 11), ("sad", 24)] * 3


def squad(path, impossible=()):
    answers = [[] if i in impossible else [ANSWERS[i]] for i in range(len(CONTEXTS))]
    asked = [f"what was it {'x' * i}" for i in range(len(CONTEXTS))]
    zoo.data.write_squad(zoo.data.question_table(asked, CONTEXTS, answers), path)
    return path


@pytest.fixture(scope="module")
def run(folders, tmp_path_factory):
    root = tmp_path_factory.mktemp("questions")
    train = squad(root / "train.json", impossible=(1, 5))
    out = root / "answers"
    settings = ["--epochs", 2, "--learning-rate", "2e-3", "--batch-size", 5, "--seed", 3]
    more = ["--set", "doc_stride=3", "--set", "n_best=4", "--set", "max_query_length=5"]
    command = ["train", folders / "encoder", "--head", "question_answering", "--train", train, "--validation", train]
    (printed,) = json_lines(kbz(*command, "--out", out, *settings, *more, "--json"))
    return root, out, printed


def test_train_finds_that_a_question_may_have_no_answer(run):
    _, out, printed = run
    told = json.loads((out / "zoo.json").read_text())["head"]
    assert told["name"] == "question_answering"
    assert told["config"] == {
        **zoo.heads.QuestionAnswering(doc_stride=3, n_best=4, max_query_length=5, no_answer=True).get_config()
    }
    assert {"val_exact_match", "val_f1", "val_no_answer_f1", "start_accuracy"} <= set(printed["figures"])
    history = json.loads((out / "history.json").read_text())
    assert history["settings"]["length"] == 23  # 384, but the model has 23 positions
    assert "context=[" in (out / "README.md").read_text()


def test_evaluate_and_its_files(run):
    root, out, printed = run
    (figures,) = json_lines(kbz("evaluate", out, root / "train.json", "--json"))
    kept = {name[4:]: value for name, value in printed["figures"].items() if name.startswith("val_")}
    assert figures == pytest.approx(kept, abs=1e-5)
    folder = root / "predictions"
    (again,) = json_lines(kbz("evaluate", out, root / "train.json", "--predictions", folder, "--json"))
    assert again == figures
    told = json.loads((folder / "predictions.json").read_text())
    bundle, table = zoo.load(out), zoo.data.read_squad(root / "train.json")
    answers = bundle.predict(table.texts, context=table.pairs)
    assert told == {label.id: answer["answer"] for label, answer in zip(table.labels, answers, strict=True)}
    odds = json.loads((folder / "null_odds.json").read_text())
    assert list(odds.values()) == pytest.approx([answer["no_answer_score"] for answer in answers], abs=1e-5)
    assert "is there already" in refused("evaluate", out, root / "train.json", "--predictions", folder)


def test_predict(run):
    root, out, _ = run
    want = zoo.load(out).predict(["what was it"], context=[CONTEXTS[0]])
    command = ["predict", out, "what was it", "--text-pair", CONTEXTS[0]]
    (got,) = json_lines(kbz(*command, "--json"))
    assert got["answer"] == want[0]["answer"]
    assert got["scores"] == pytest.approx(want[0]["scores"], abs=1e-5)
    long = f"{CONTEXTS[0]} " * 20
    shown = kbz("predict", out, "what was it", "--text-pair", long).stdout
    for name in ("question", "context", "answer", "start", "end", "score", "no_answer_score"):
        assert f" {name} " in shown
    assert " answers " not in shown
    assert f"{long[:200]}…" in shown
    rows = json_lines(kbz("predict", out, "--file", root / "train.json", "--json"))
    assert len(rows) == len(CONTEXTS)
    assert "reads question and context: give the second one" in refused("predict", out, "what", exit_code=2)


@pytest.mark.slow
def test_a_model_that_always_answers(folders, tmp_path):
    table = squad(tmp_path / "t.json")
    out = tmp_path / "run"
    command = ["train", folders / "encoder", "--head", "question_answering", "--train", table, "--test", table]
    (printed,) = json_lines(kbz(*command, "--epochs", 1, "--out", out, "--json"))
    assert {name for name in printed["figures"] if name.startswith("test_")} == {"test_exact_match", "test_f1"}
    assert json.loads((out / "zoo.json").read_text())["head"]["config"]["no_answer"] is False
    assert kbz("export", out, "--to", tmp_path / "served").stdout == f"{tmp_path / 'served' / '1'}\n"


def test_bad_input(run, folders, tmp_path):
    root, out, _ = run
    document = json.loads((root / "train.json").read_text())
    document["data"][0]["paragraphs"][0]["qas"][0]["answers"][0]["answer_start"] += 1
    (tmp_path / "bad.json").write_text(json.dumps(document))
    for command in (
        [
            "train",
            folders / "encoder",
            "--head",
            "question_answering",
            "--train",
            tmp_path / "bad.json",
            "--out",
            tmp_path / "x",
        ],
        ["evaluate", out, tmp_path / "bad.json"],
    ):
        assert "bad.json, question '1': answer_start 14 does not match" in refused(*command)
    assert "no files of predictions" in refused(
        "evaluate", folders / "mood", folders / "train.tsv", "--predictions", tmp_path / "p"
    )
    assert not (tmp_path / "p").exists()
    tiny.mood_table().write(tmp_path / "t.tsv")
    assert "broken JSON" in refused("evaluate", out, tmp_path / "t.tsv")
