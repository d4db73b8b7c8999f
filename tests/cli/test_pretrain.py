"""`kbz pretrain`: options to a recipe, what it prints, and stopping it."""

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
import record_files
import tiny
from command_line import SCRIPT, json_lines, kbz, own_words, refused, shell

OPTIONS = ["--steps", 4, "--batch-size", 8, "--learning-rate", "1e-3", "--log-every", 2]


@pytest.fixture(scope="module", autouse=True)
def _determinism_ends_here():
    yield
    from tensorflow.python.framework import config

    config.disable_op_determinism()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return a folder with a config, a vocabulary and data."""
    place = tmp_path_factory.mktemp("place")
    (place / "config.json").write_text(json.dumps(tiny.CONFIG.to_huggingface()))
    record_files.vocabulary(place / "vocab.txt")
    record_files.shards(place / "data", [20, 9], 13)
    record_files.shards(place / "held", [7], 13, seed=5)
    return place


@pytest.fixture
def here(place, tmp_path, monkeypatch):
    for path in place.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)


NEW = ["config.json", "--vocabulary", "vocab.txt"]


def test_figures_as_json_and_in_lines_and_fine_tuning_at_once(here, folders):
    more = ["--validation", "held", "--gradient-accumulation", 3, "--rematerialize"]
    result = kbz("pretrain", *NEW, "--train", "data", *more, *OPTIONS, "--out", "runs/a", "--json")
    (told,) = json_lines(result)
    history = json.loads(Path("runs/a/history.json").read_text())
    assert history["settings"]["gradient_accumulation"] == 3
    assert history["settings"]["rematerialize"] is True
    assert told["folder"] == "runs/a"
    assert told["steps"] == 4
    assert told["damaged"] == {"0": {}}
    last, hidden = history["rows"][-1], ("step", "phase", "steps", "learning_rate")
    assert told["figures"] == {name: value for name, value in last.items() if name not in hidden}
    assert history["settings"]["checkpoint_every"] == 1000
    assert "val_perplexity" in told["figures"]
    again = ["pretrain", "runs/a", "--train", "data/*.tfrecord", *OPTIONS, "--out", "runs/b", "--log-every", 3]
    output = kbz(*again).stdout
    lines = output.splitlines()
    assert lines[0].startswith("step 3/4  loss ")
    assert lines[1].startswith("step 4/4  loss ")
    assert lines[1].endswith(" tokens/s  0 s left")
    assert "runs/b: 4 updates\n│" not in output
    assert "│ perplexity " in output
    assert json.loads(Path("runs/b/history.json").read_text())["settings"]["validate_every"] == 999
    train = ["--train", folders / "train.tsv", "--epochs", 1, "--max-length", 9, "--json"]
    (tuned,) = json_lines(kbz("train", "runs/b", *train, "--out", "runs/tuned"))
    assert tuned["best_epoch"] == 1


def test_a_recipe_file_and_options_over_it(here):
    phases = [{"data": "data", "steps": 3, "batch_size": 5}, {"data": "data", "steps": 2, "batch_size": 4}]
    told = {"phases": phases, "learning_rate": 1e-3, "seed": 3, "log_every": 5, "whole_words": True, "corrupt": "skip"}
    Path("recipe.json").write_text(json.dumps(told))
    kbz("pretrain", *NEW, "--recipe", "recipe.json", "--seed", 4, "--optimizer", "lamb", "--out", "run", "--json")
    settings = json.loads(Path("run/history.json").read_text())["settings"]
    got = {name: settings[name] for name in ("seed", "log_every", "whole_words", "corrupt", "optimizer")}
    assert got == {"seed": 4, "log_every": 5, "whole_words": True, "corrupt": "skip", "optimizer": "lamb"}
    assert [phase["steps"] for phase in settings["phases"]] == [3, 2]
    message = refused("pretrain", *NEW, "--recipe", "recipe.json", "--steps", 3, "--out", "b", exit_code=2)
    assert message == "The recipe's phases tell: leave out --steps."


@pytest.mark.parametrize(
    ("options", "exit_code", "message"),
    [
        ([], 2, "Give --train and --steps, or a --recipe."),
        (["--train", "data"], 2, "Give --train and --steps, or a --recipe."),
        (["--train", "none", "--steps", 3], 1, "none: there is no such file"),
        (["--recipe", "none.json"], 1, "none.json: no recipe can be read"),
        (["--train", "data", "--steps", 3, "--warmup", 3], 1, "warmup is 3 updates, but there are only 3"),
        (["--train", "data", "--steps", 3, "--masks", "static"], 1, "the records hold no masks"),
        (["--train", "data", "--steps", 3, "--optimizer", "sgd"], 2, "'sgd' is not one of"),
        (
            ["--train", "data", "--steps", 3, "--jit-compile", "--layout", "packed"],
            1,
            "layout is 'packed', but jit_com",
        ),
        (["--train", "data", "--steps", 3, "--jit-compile", "--shapes", "trimmed"], 1, "shapes is 'trimmed', but jit"),
        (["--train", "data", "--steps", 3, "--out", "data"], 1, "data: the folder is there already"),
        (["--train", "data", "--steps", 3, "--cased"], 1, "Some of the data are of lower-cased texts"),
    ],
)
def test_what_cannot_be_trained(here, options, exit_code, message):
    assert message in refused("pretrain", *NEW, "--out", "run", *options, exit_code=exit_code)
    assert not os.path.exists("run")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)
def test_control_c_saves_a_checkpoint_and_the_command_goes_on(here, number, code):
    command = ["pretrain", *NEW, "--train", "data", *map(str, OPTIONS), "--steps", "50000", "--out", "run"]
    with subprocess.Popen(
        [SCRIPT, *command], env=shell(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout:
            if line.startswith("step 6/"):
                break
        process.send_signal(number)
        process.stdout.read()
        errors = process.stderr.read()
        process.wait(timeout=60)
    assert process.returncode == code
    first, second = own_words(errors).strip().splitlines()
    assert first == "Stopping after a checkpoint. Once more to end at once."
    assert second.startswith("Stopped after step ")
    assert second.endswith(". The same command goes on from there.")
    (name,) = (name for name in os.listdir("run/unfinished") if name.startswith("step-"))
    step = int(name.removeprefix("step-").removesuffix(".safetensors"))
    assert f"Stopped after step {step:,}." in second
    assert step >= 6
    message = refused(*command, "--seed", 7)
    assert "holds an unfinished run with other settings: seed is 7, was 0. Repeat its own command" in message
