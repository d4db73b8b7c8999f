"""`--glue`: from a task's own files to what its server takes."""

import json

import pytest
import tiny
from command_line import json_lines, kbz, refused
from sklearn import metrics as oracle

import keras_bert_zoo as zoo

MRPC = "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
STSB = "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return a folder with MRPC's and STS-B's files, small, and a run on MRPC with what the command printed."""
    root = tmp_path_factory.mktemp("glue")
    same = [(one, other, "1") for one, other in zip(tiny.GOOD, tiny.GOOD[1:], strict=False)]
    other = [(one, other, "0") for one, other in zip(tiny.GOOD, tiny.BAD, strict=True)]
    pairs = same + other  # 11, five of them alike
    (root / "train.tsv").write_text(MRPC + "".join(f'{label}\t1\t2\t{a}\t"{b}\n' for a, b, label in pairs))
    test = "".join(f"{i}\t1\t2\t{a}\t{b}\n" for i, (a, b, _) in enumerate(pairs[3:8]))
    (root / "test.tsv").write_text(MRPC.replace("Quality", "index") + test)
    scored = "".join(f"{i}\tg\tf\ty\t0\ts\ts\t{a}\t{b}\t{i % 6}.200\n" for i, (a, b, _) in enumerate(pairs))
    (root / "sts.tsv").write_text(STSB + scored)
    return root


@pytest.fixture(scope="module")
def run(folders, files):
    out = files / "mrpc"
    data = ["--train", files / "train.tsv", "--validation", files / "train.tsv", "--test", files / "train.tsv"]
    result = kbz("train", folders / "encoder", "--glue", "mrpc", *data, "--out", out, "--epochs", "2", "--json")
    return out, json_lines(result)[0]["figures"]


def test_the_task_makes_head_labels_and_monitor(run):
    out, figures = run
    head = json.loads((out / "zoo.json").read_text())["head"]
    assert (head["name"], head["config"]["labels"], head["config"]["pair"]) == ("classification", ["0", "1"], True)
    record = json.loads((out / "history.json").read_text())
    assert record["settings"]["monitor"] == "accuracy+f1"
    for part in ("val_", "test_"):
        assert figures[f"{part}glue"] == pytest.approx((figures[f"{part}accuracy"] + figures[f"{part}f1"]) / 2)


def test_evaluate_tells_the_task_s_figure(run, files):
    out, _ = run
    (figures,) = json_lines(kbz("evaluate", out, files / "train.tsv", "--glue", "mrpc", "--json"))
    table = zoo.data.read_glue("mrpc", files / "train.tsv")
    told = [answer["label"] for answer in zoo.load(out).predict(table.texts, text_pair=table.pairs)]
    assert figures["f1"] == pytest.approx(oracle.f1_score(table.labels, told, pos_label="1", zero_division=0), abs=1e-6)
    assert figures["accuracy"] == pytest.approx(oracle.accuracy_score(table.labels, told), abs=1e-6)
    assert figures["glue"] == pytest.approx((figures["f1"] + figures["accuracy"]) / 2)


def test_predict_writes_what_the_server_takes(run, files, tmp_path):
    out, _ = run
    asked = ["predict", out, "--glue", "mrpc", "--file", files / "test.tsv"]
    result = kbz(*asked, "--predictions", tmp_path / "MRPC.tsv")
    assert result.stdout == ""
    assert result.stderr == f"5 predictions are in {tmp_path / 'MRPC.tsv'}\n"
    answers = json_lines(kbz(*asked, "--json"))
    want = ["index\tprediction", *(f"{i}\t{answer['label']}" for i, answer in enumerate(answers))]
    assert (tmp_path / "MRPC.tsv").read_text().splitlines() == want


def test_what_is_said_explicitly_wins(folders, files, tmp_path):
    options = ["--labels", "1,0", "--monitor", "mcc", "--dropout", "0.25", "--set", "dropout=0.5", "--epochs", "1"]
    data = ["--train", files / "train.tsv", "--validation", files / "train.tsv"]
    kbz("train", folders / "encoder", "--glue", "mrpc", *data, "--out", tmp_path / "a", *options)
    config = json.loads((tmp_path / "a" / "zoo.json").read_text())["head"]["config"]
    assert (config["labels"], config["dropout"]) == (["1", "0"], 0.5)
    assert json.loads((tmp_path / "a" / "history.json").read_text())["settings"]["monitor"] == "mcc"


@pytest.mark.slow
def test_a_head_that_is_said_explicitly_wins(folders, files, tmp_path):
    options = ["--glue", "stsb", "--head", "classification", "--epochs", "1"]
    kbz("train", folders / "encoder", "--train", files / "sts.tsv", "--out", tmp_path / "b", *options)
    head = json.loads((tmp_path / "b" / "zoo.json").read_text())["head"]
    assert head["config"]["labels"] == [f"{i}.200" for i in range(6)]


@pytest.mark.slow
def test_a_regression(folders, files, tmp_path):
    data = ["--train", files / "sts.tsv", "--validation", files / "sts.tsv", "--out", tmp_path / "sts"]
    out = kbz("train", folders / "encoder", "--glue", "stsb", *data, "--epochs", "1").stdout
    assert "│ val_glue " in out
    head = json.loads((tmp_path / "sts" / "zoo.json").read_text())["head"]
    assert (head["name"], head["config"]["pair"]) == ("regression", True)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (
            ["train", "--train", "train.tsv", "--out", "o", "--text", "a"],
            2,
            "--glue tells the columns: leave out --text.",
        ),
        (["train", "--train", "train.tsv", "--out", "o", "--text-pair", "a"], 2, "leave out --text-pair."),
        (["train", "--train", "test.tsv", "--out", "o"], 1, "test.tsv: a test file of GLUE has no labels"),
        (["train", "--train", "sts.tsv", "--out", "o"], 1, "sts.tsv is no file of GLUE's mrpc"),
        (
            ["train", "--train", "train.tsv", "--validation", "train.tsv", "--out", "o", "--monitor", "f2"],
            1,
            "monitor: there is no figure f2; there are loss, accuracy, f1, f1_macro, mcc.",
        ),
        (["train", "--train", "train.tsv", "--out", "o", "--labels", "no,yes"], 1, "line 2: label '1' is not among"),
        (["evaluate", "train.tsv", "--label", "label"], 2, "leave out --label."),
        (["evaluate", "test.tsv"], 1, "test.tsv: a test file of GLUE has no labels"),
        (["predict", "--file", "test.tsv", "--text", "a"], 2, "leave out --text."),
        (["predict", "a text"], 2, "--glue tells how a file looks: give --file too."),
    ],
)
def test_what_does_not_fit(folders, files, monkeypatch, arguments, exit_code, message):
    monkeypatch.chdir(files)
    source = folders / ("encoder" if arguments[0] == "train" else "mood")
    assert message in refused(arguments[0], source, *arguments[1:], "--glue", "mrpc", exit_code=exit_code)
    assert not (files / "o").exists()


def test_a_model_of_another_task(folders, files):
    asked = ["evaluate", folders / "rating", files / "train.tsv", "--glue", "mrpc"]
    assert "no figure accuracy, f1 among loss, mae, pearson, spearman: " in refused(*asked)


def test_torn_lines_are_told_in_one_line(folders, tmp_path):
    rows = "".join(f"{i}\t1\t2\ta film\tit was {i}\t{i % 2}\n" for i in range(120))
    (tmp_path / "qqp.tsv").write_text("id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\nHow?\t1\n" + rows)
    bundle = zoo.save(tiny.bundle(zoo.heads.Classification(["0", "1"], pair=True)), tmp_path / "run")
    result = kbz("evaluate", bundle, tmp_path / "qqp.tsv", "--glue", "qqp", "--json")
    assert result.stderr == (
        f"Note: {tmp_path / 'qqp.tsv'}: 1 torn lines were left out, the first is line 2; 120 rows stay.\n"
    )
    assert len(json_lines(result)) == 1
