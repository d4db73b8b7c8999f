"""`kbz train`, `evaluate` and `export` on a tiny model."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from command_line import SCRIPT, json_lines, kbz, own_words, refused, shell


@pytest.fixture(scope="module")
def run(folders, tmp_path_factory):
    """Return a finished run and what the command printed."""
    out = tmp_path_factory.mktemp("runs") / "mood"
    tables = ["--train", folders / "train.tsv", "--validation", folders / "train.tsv", "--test", folders / "train.tsv"]
    settings = ["--epochs", "2", "--learning-rate", "2e-3", "--batch-size", "7", "--seed", "5", "--max-length", "19"]
    result = kbz("train", folders / "encoder", *tables, "--out", out, *settings, "--json")
    return out, json_lines(result)


def test_the_run_and_its_figures(run):
    out, (printed,) = run
    record = json.loads((out / "history.json").read_text())
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md",
        "config.json",
        "history.json",
        "model.safetensors",
        "tokenizer_config.json",
        "training.png",
        "vocab.txt",
        "zoo.json",
    ]
    assert printed["folder"] == str(out)
    assert printed["best_epoch"] == record["best_epoch"]
    kept = record["epochs"][record["best_epoch"] - 1]
    assert printed["figures"] == {**kept, **{f"test_{name}": value for name, value in record["test"].items()}}
    assert printed["figures"]["test_accuracy"] == printed["figures"]["val_accuracy"]  # the same table twice
    assert record["settings"]["seed"] == 5
    assert (out / "training.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in out.parent.iterdir()] == ["mood"]  # nothing half-written beside it


def test_evaluate_gives_the_same_figures(run, folders):
    out, (printed,) = run
    (figures,) = json_lines(kbz("evaluate", out, folders / "train.tsv", "--json"))
    assert figures == pytest.approx(
        {name[5:]: value for name, value in printed["figures"].items() if name.startswith("test_")}, abs=1e-5
    )
    assert json_lines(kbz("evaluate", out, "--json")) == [figures]  # on the data the run was measured on
    table = kbz("evaluate", out, folders / "train.tsv").stdout
    assert f"│ accuracy │ {figures['accuracy']:.4f} │" in table
    assert table.startswith(f"{out} on {folders / 'train.tsv'}, 48 rows\n")


def test_export_takes_the_next_version(run, tmp_path, monkeypatch):
    out, _ = run
    monkeypatch.chdir(tmp_path)
    assert kbz("export", out).stdout == "saved_models/mood/1\n"
    assert json_lines(kbz("export", out, "--json")) == [{"folder": "saved_models/mood/2"}]
    assert (tmp_path / "saved_models/mood/1/saved_model.pb").is_file()
    assert "saved_models/mood/2: this version is there already." in refused("export", out, "--version", "2")
    assert "max_length is 99, but the model has 23 positions" in refused("export", out, "--max-length", "99")
    assert sorted(os.listdir("saved_models/mood")) == ["1", "2"]


def test_a_run_on_a_terminal_tells_its_epochs(folders, tmp_path):
    out = tmp_path / "rating"
    (tmp_path / "t.csv").write_text("review,stars\na good film,4.5\nbad,1\nfine,3\n")
    columns = ["--text", "review", "--label", "stars", "--head", "regression"]
    output = kbz(
        "train", folders / "encoder", "--train", tmp_path / "t.csv", *columns, "--epochs", 2, "--out", out
    ).stdout
    assert "Epoch 1/2\n" in output
    assert "\x1b[" not in output  # no moving bar in a file
    assert f"{out}: epoch 2 of 2 was kept\n" in output
    assert "│ mae " in output


@pytest.mark.parametrize(
    ("options", "exit_code", "message"),
    [
        (["--train", "nope.tsv"], 1, "nope.tsv does not exist."),
        (["--train", "train.tsv", "--text", "txt"], 1, "no column 'txt'"),
        (["--train", "train.tsv", "--validation", "empty.tsv"], 1, "empty.tsv is empty."),
        (["--train", "train.tsv", "--labels", "good, fine"], 1, "line 8: label 'bad' is not among the head's labels"),
        (["--train", "train.tsv", "--head", "regression"], 1, "line 2: "),
        (["--train", "movie_snippets", "--test", "train.tsv"], 1, "brings its own validation and test rows"),
        (["--train", "train.tsv", "--patience", "2"], 2, "give --validation too"),
        (["--train", "train.tsv", "--out", "full"], 1, "the folder is there already"),
        (["--train", "train.tsv", "--warmup", "2"], 1, "warmup is 2.0"),
        (["--train", "train.tsv", "--strategy", "cloud"], 2, "'cloud' is not one of"),
    ],
)
def test_what_cannot_be_trained(folders, tmp_path, monkeypatch, options, exit_code, message):
    monkeypatch.chdir(tmp_path)
    Path("train.tsv").write_bytes((folders / "train.tsv").read_bytes())
    Path("empty.tsv").touch()
    Path("full").mkdir()
    Path("full/mine").touch()
    assert message in refused("train", folders / "encoder", "--out", "run", *options, exit_code=exit_code)
    assert sorted(os.listdir()) == ["empty.tsv", "full", "train.tsv"]


@pytest.mark.parametrize("command", [["train", "--train", "train.tsv", "--out", "run"], ["export"], ["predict", "hi"]])
def test_an_unknown_source(folders, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    Path("train.tsv").write_bytes((folders / "train.tsv").read_bytes())
    message = refused(command[0], "minilm_l6_h384", *command[1:])
    assert message.startswith("'minilm_l6_h384' is not known here. Did you mean minilm_l6_h384_uncased, ")


def test_control_c_saves_a_checkpoint_and_the_command_goes_on(folders, tmp_path):
    command = ["train", folders / "encoder", "--train", folders / "train.tsv", "--out", tmp_path / "runs/long"]
    command = [*map(str, command), "--epochs", "100000", "--checkpoint-every", "100000"]
    with subprocess.Popen(
        [SCRIPT, *command], env=shell(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            if line.startswith("Epoch 3/"):
                break
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        errors = process.stderr.read()
        process.wait(timeout=60)
    assert process.returncode == 130
    first, second = own_words(errors).strip().splitlines()
    assert first == "Stopping after a checkpoint. Once more to end at once."
    (name,) = (name for name in os.listdir(tmp_path / "runs/long/unfinished") if name.startswith("step-"))
    step = int(name.removeprefix("step-").removesuffix(".safetensors"))
    assert second == f"Stopped after step {step:,}. The same command goes on from there."
    assert step >= 4  # two updates an epoch
    message = refused(*command, "--seed", 7, "--checkpoint-every", 3)
    assert "holds an unfinished run with other settings: settings.seed is 7, was 0. Repeat its own command" in message
