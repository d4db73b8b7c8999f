"""`kbz predict` and `kbz evaluate` on an export, and on the local server that serves it."""

import dataclasses
import json
import socket

import pytest
import tiny
from command_line import json_lines, kbz, refused
from fake_model_server import FakeServer, share

import keras_bert_zoo as zoo
from keras_bert_zoo.serving.saved_model import export_bundle
from keras_bert_zoo.serving.server.run import running

TEXTS = ["a good film", "so very dull", "caf\u00e9 \U0001f3ac"]
HEAD = zoo.heads.Classification(["bad", "good"])


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Return a folder with a run, its export in `saved`, and test.tsv, which the run was measured on."""
    root = tmp_path_factory.mktemp("work")
    table = tiny.mood_table(2)
    table.write(root / "test.tsv")
    bundle = tiny.bundle(HEAD)
    zoo.save(bundle, root / "mood")
    history = {
        "epochs": [{"loss": 1.0}],
        "best_epoch": 1,
        "test": {**bundle.evaluate(table), "other": 3.0},
        "rows": {"test": 24},
        "digests": {"test": table.digest()},
        "read": {"train": "x.tsv", "test": str(root / "test.tsv"), "kind": "table"},
    }
    (root / "mood" / "history.json").write_text(json.dumps(history))
    export_bundle(bundle, root / "saved" / "mood", run=root / "mood")
    return root


@pytest.fixture(scope="module")
def server(work):
    with running(work / "saved", labels={"mood": {"canary": 1}}) as addresses:
        yield addresses


@pytest.fixture(scope="module")
def figures(work):
    return json.loads((work / "mood" / "history.json").read_text())["test"]


@pytest.fixture(scope="module")
def answers():
    return tiny.bundle(HEAD).predict(TEXTS)


def same(got, want):
    assert [list(answer) for answer in got] == [list(answer) for answer in want]
    for one, other in zip(got, want, strict=True):
        assert (one["label"], one["labels"]) == (other["label"], other["labels"])
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)
        assert one["score"] == pytest.approx(max(other["probabilities"]), abs=1e-5)


def test_an_export_and_a_server_answer_as_the_run_does(work, server, answers, tmp_path):
    there = ["--url", server.rest, "--model", "mood", "--json"]
    same(json_lines(kbz("predict", work / "saved" / "mood", *TEXTS, "--json")), answers)
    same(json_lines(kbz("predict", work / "saved" / "mood" / "1", *TEXTS, "--json")), answers)
    same(json_lines(kbz("predict", *TEXTS, *there)), answers)
    same(json_lines(kbz("predict", *TEXTS, *there, "--version", "1", "--batch-size", "2")), answers)
    same(json_lines(kbz("predict", *TEXTS, *there, "--version-label", "canary", "--timeout", "9")), answers)
    same(json_lines(kbz("predict", *there, stdin="\n".join(TEXTS))), answers)
    same(json_lines(kbz("predict", "--url", f"{server.rest}/v1/models/mood:predict", *TEXTS, "--json")), answers)
    same(json_lines(kbz("predict", "--url", server.grpc, "--model", "mood", *TEXTS, "--json")), answers)
    (tmp_path / "t.csv").write_text("id,review\n" + "\n".join(f"1,{text}" for text in TEXTS), encoding="utf-8")
    same(json_lines(kbz("predict", *there, "--file", tmp_path / "t.csv", "--text", "review")), answers)
    shown = kbz("predict", "--url", server.rest, "--model", "mood", TEXTS[1]).stdout
    assert f"│ {answers[1]['label']} " in shown
    assert f"{answers[1]['score']:.4f}" in shown


@pytest.fixture
def pairs():
    server = FakeServer(default="pair")
    yield server
    server.close()


def test_pairs_of_a_server(pairs, tmp_path):
    """The first column is the first text, in whichever order a server tells its inputs."""
    there = ["predict", "--url", pairs.urls["rest"], "--model", "mood"]
    want = [{"probability": share("a film|it was")}]
    assert json_lines(kbz(*there, "--json", "a film", "--text-pair", "it was")) == want
    (tmp_path / "p.tsv").write_text("text\tother\na film\tit was\n")
    assert json_lines(kbz(*there, "--json", "--file", tmp_path / "p.tsv", "--text-pair", "other")) == want
    kbz(*there, "--header", "X-Key: 5", "a film", "--text-pair", "it was")
    assert pairs.headers[-1]["X-Key"] == "5"
    assert "reads text and text_pair: give the second one" in refused(*there, "a film", exit_code=2)
    assert "/v1/models/mood does not choose" in refused(*there, "a", "--choice", "b", exit_code=2)
    (tmp_path / "m.tsv").write_text("index\tsentence\n0\ta film\n")
    glue = refused(*there, "--file", tmp_path / "m.tsv", "--glue", "sst2")
    assert "reads pairs of texts. Name the second column: --text-pair." in glue


def test_an_export_is_measured_beside_training(work, figures):
    told = json.loads(kbz("evaluate", work / "saved" / "mood", "--json").stdout)
    training = told.pop("training")
    measured = {name: value for name, value in figures.items() if name != "other"}
    assert told == pytest.approx(measured, abs=1e-5)
    assert training.pop("part") == "test"
    assert {name: row["figure"] for name, row in training.items()} == measured
    assert all(abs(row["difference"]) < 1e-5 for row in training.values())
    table = kbz("evaluate", work / "saved" / "mood" / "1", work / "test.tsv", "--tolerance", "0.01").stdout
    assert "training (test)" in table
    assert f"│ accuracy │ {figures['accuracy']:.4f} │ {figures['accuracy']:.4f} " in " ".join(table.split())


def test_a_server_is_measured_beside_training(work, server, figures):
    there = ["--url", server.rest, "--model", "mood"]
    for source in ("saved/mood", "mood"):
        told = json.loads(kbz("evaluate", work / source, *there, "--json").stdout)
        assert told.pop("training")["accuracy"]["figure"] == figures["accuracy"]
        assert told == pytest.approx({name: figures[name] for name in told}, abs=1e-5)
    alone = kbz("evaluate", work / "test.tsv", *there, "--version-label", "canary")
    assert f"{server.rest}/v1/models/mood/versions/1 on {work}/test.tsv, 24 rows" in alone.stdout
    assert f"│ loss │ {figures['loss']:.4f} │" in " ".join(alone.stdout.split())
    assert alone.stderr.splitlines()[-1] == "Nothing to compare with: no run tells its figures."


def test_what_is_worse_than_training_fails(work, figures, tmp_path):
    worse = dataclasses.replace(tiny.mood_table(2), labels=tiny.mood_table(2).labels[::-1])
    worse.write(tmp_path / "worse.tsv")
    history = json.loads((work / "mood" / "history.json").read_text())
    history["digests"] = {"test": worse.digest()}
    history["test"] = {"accuracy": 1.0 - figures["accuracy"] + 0.3}
    (tmp_path / "run").mkdir()
    for path in (work / "mood").iterdir():
        (tmp_path / "run" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "run" / "history.json").write_text(json.dumps(history))
    export = export_bundle(tmp_path / "run", tmp_path / "saved")
    arguments = ["evaluate", export, tmp_path / "worse.tsv", "--tolerance"]
    kbz(*arguments, "0.35")
    failed = kbz(*arguments, "0.2", exit_code=1)
    assert "training (test)" in failed.stdout
    assert "on the same rows: lower by more than 0.2." in failed.stderr
    tiny.mood_table(3).write(tmp_path / "other.tsv")
    other = kbz("evaluate", export, tmp_path / "other.tsv", "--tolerance", "0.2", exit_code=1)
    assert "Nothing to compare with: training measured other rows." in other.stderr
    assert "training measured no accuracy on these rows to hold to" in other.stderr


def test_what_goes_wrong_is_one_clear_line(work, server):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        words = refused("predict", "--url", url, "--model", "mood", "a")
        assert words.startswith(f"{url}/v1/models/mood/metadata: no server answers there")
    there = ["--url", server.rest]
    assert "status 404" in refused("predict", *there, "--model", "nobody", "a")
    assert "status 404" in refused("predict", *there, "--model", "mood", "--version", "7", "a")
    assert "which model?" in refused("predict", *there, "a")
    assert "Version 1 or label 'canary'" in refused(
        *("predict", *there, "--model", "mood", "--version", "1", "--version-label", "canary", "a")
    )
    assert "must be like http://" in refused("predict", "--url", "localhost:8501", "--model", "mood", "a")
    zoo.save(tiny.bundle(), work / "encoder")
    assert "tells of no data that it was measured on" in refused("evaluate", work / "encoder")
    assert "does not exist" in refused("evaluate", "nowhere.tsv", *there, "--model", "mood")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["predict", "runs/mood", "a", "--model", "mood"], "--model belongs to a model server: give --url too."),
        (["evaluate", "runs/mood", "a.tsv", "--version", "1"], "--version belongs to a model server"),
        (["predict", "--header", "abc", "a"], "a header is like 'Authorization: Bearer abc'."),
        (["predict", "--header", "a: b\nc", "a"], "a header is like"),
        (["evaluate"], "Missing argument 'SOURCE'."),
        (["evaluate", "--url", "http://127.0.0.1:1", "--model", "m"], "Name the TABLE to measure on"),
        (["evaluate", "a", "b", "c"], "Got unexpected extra argument (c)."),
        (["evaluate", "runs/mood", "a.tsv", "--set", "x=1"], "--set makes a server's head"),
        (["evaluate", "runs/mood", "--glue", "mrpc"], "--glue tells how a file looks: name the file, too."),
    ],
)
def test_usage(arguments, words):
    assert words in refused(*arguments, exit_code=2)
