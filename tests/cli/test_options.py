"""What the commands share, and options that not every head takes."""

import subprocess
import sys

import click
import pytest
from command_line import kbz, refused

from keras_bert_zoo.cli.options import set_option
from keras_bert_zoo.cli.showing import shown
from keras_bert_zoo.heads import HEADS, summaries


@click.command()
@set_option
def settings(settings):
    click.echo(repr(settings))


@pytest.mark.parametrize(
    ("given", "want"),
    [
        ("doc_stride=64", ("doc_stride", 64)),
        ("threshold=0.25", ("threshold", 0.25)),
        ("pair=true", ("pair", True)),
        ('labels=["a", "b"]', ("labels", ["a", "b"])),
        ("scheme=BIO", ("scheme", "BIO")),
        ("separator==", ("separator", "=")),
        ("separator=", ("separator", "")),
        ('name="64"', ("name", "64")),
    ],
)
def test_settings(given, want):
    from click.testing import CliRunner

    result = CliRunner().invoke(settings, ["--set", given, "--set", "b=1"])
    assert result.output == f"{(want, ('b', 1))!r}\n"


@pytest.mark.parametrize("given", ["doc_stride", "=64", "doc-stride=64", "1st=2", " a=1", ""])
def test_settings_that_are_none(given):
    from click.testing import CliRunner

    result = CliRunner().invoke(settings, ["--set", given])
    assert result.exit_code == 2
    assert f"Error: Invalid value for '--set': {given!r} is not NAME=VALUE, such as doc_stride=64.\n" in result.output


def test_train_lists_what_every_head_does():
    page = kbz("train", "--help").stdout.split("\nHeads:\n")[1]
    words = " ".join(page.split())
    for name, summary in summaries().items():
        assert summary.count(". ") == 0
        assert summary.endswith(".")
        assert f"{name} {summary}" in words
    assert list(summaries()) == list(HEADS)
    assert summaries()["classification"] == "Chooses one label for a text, or for a pair of texts."


@pytest.mark.parametrize(
    ("options", "exit_code", "message"),
    [
        (["--head", "regression", "--labels", "a,b"], 2, "The head 'regression' takes no --labels."),
        (["--head", "multi_label", "--class-weight", "balanced"], 2, "belongs to the head 'classification', not to"),
        (["--set", "colour=1"], 1, "The head 'classification' takes no colour. It takes: labels, pair, dropout, "),
        (["--set", "dropout=much"], 1, "The head 'classification' cannot be made from "),
        (["--set", "dropout"], 2, "'dropout' is not NAME=VALUE"),
        (["--dropout", "1"], 1, "dropout is 1.0, it must be from 0"),
        (["--monitor", "accuracy"], 2, "--monitor watches the validation data: give --validation too."),
        (["--validation", "train.tsv", "--monitor", "+"], 1, "monitor is '+', it must be a figure, or several"),
    ],
)
def test_options_a_head_has_no_use_for(folders, tmp_path, options, exit_code, message):
    data = ["--train", folders / "train.tsv", "--out", tmp_path / "run"]
    options = [folders / option if option == "train.tsv" else option for option in options]
    assert message in refused("train", folders / "encoder", *data, *options, exit_code=exit_code)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "SOURCE", "--train", "nope.tsv", "--out", "run"],
        ["train", "SOURCE", "--train", "train.tsv", "--validation", "nope.tsv", "--out", "run"],
        ["evaluate", "SOURCE", "nope.tsv"],
        ["evaluate", "SOURCE", "nope.tsv", "--glue", "rte"],
        ["predict", "SOURCE", "--file", "nope.tsv"],
    ],
    ids=" ".join,
)
def test_a_missing_file_is_told_before_tensorflow_is_imported(folders, tmp_path, arguments):
    (tmp_path / "train.tsv").write_bytes((folders / "train.tsv").read_bytes())
    script = (
        "import sys; from keras_bert_zoo.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit as end: print(end.code, [n for n in ('tensorflow', 'keras', 'numpy') if n in sys.modules])"
    )
    arguments = [str(folders / "mood") if word == "SOURCE" else word for word in arguments]
    run = subprocess.run([sys.executable, "-c", script, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert run.stdout == "1 []\n"
    assert run.stderr == "Error: nope.tsv does not exist.\n"


def test_answers_are_shown_to_people():
    assert shown({"label": "good", "score": 0.75, "labels": ["bad", "good"], "probabilities": [0.25, 0.75]}) == {
        "label": "good",
        "score": "0.7500",
        "probabilities": "good 0.7500  bad 0.2500",
    }
    assert shown({"labels": ["x", "y"], "probabilities": [0.9, 0.2], "predicted": [True, False]}) == {
        "predicted": "x",
        "probabilities": "x 0.9000  y 0.2000",
    }
    found = {"entity": ["Rome", "Ada"], "label": ["LOC", "PER"], "start": [0, 9], "end": [4, 12], "score": [0.5, 1.0]}
    assert shown(found) == {"entities": "Rome [LOC 0.50]  Ada [PER 1.00]"}
    assert shown({name: [] for name in found}) == {"entities": ""}
    assert shown({"choice": 1, "probabilities": [0.25, 0.75]}) == {
        "choice": "1",
        "probabilities": "0  0.2500\n1  0.7500",
    }
    masks = {"tokens": [["a", "b"], ["c", "d"]], "scores": [[0.5, 0.25], [0.75, 0.125]], "filled": "a c"}
    assert shown(masks) == {"tokens": "a 0.5000  b 0.2500\nc 0.7500  d 0.1250", "filled": "a c"}
    assert shown({"embedding": [0.5, -0.25] * 192}) == {"embedding": "+0.5000 -0.2500 +0.5000 -0.2500 ... (384)"}
    best = {"answer": "in 1921", "start": 4, "score": 0.75, "answers": ["in 1921", "1921"], "starts": [4, 7]}
    assert shown(best) == {"answer": "in 1921", "start": "4", "score": "0.7500"}
    assert shown({"numbers": [0.5, 1.5]}) == {"numbers": "0.5000, 1.5000"}
    assert shown({"filled": "x" * 300}) == {"filled": "x" * 200 + "…"}
    assert shown({"lists": [["a", "b"], ["c"]]}) == {"lists": "a, b | c"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--device", "GPU:0"], "--device is for the strategies one_device, mirrored and tpu, not for default"),
        (["--strategy", "multi_worker", "--device", "CPU:0"], "--device is for the strategies one_device, mirrored"),
        (["--strategy", "one_device", "--device", "CPU:0", "--device", "CPU:1"], "one_device takes one --device"),
        (
            ["--strategy", "mirrored", "--worker-timeout", "3"],
            "--worker-timeout is for the strategies multi_worker",
        ),
        (["--strategy", "multi_worker", "--worker-timeout", "0"], "0.0 is not in the range x>0"),
        (["--strategy", "cloud"], "'cloud' is not one of 'default', 'one_device', 'mirrored', 'multi_worker', 'tpu'"),
    ],
)
def test_strategies_and_their_options(given, told):
    from click.testing import CliRunner

    from keras_bert_zoo.cli.places import chosen_strategy, is_chief, strategy_options

    @click.command()
    @strategy_options
    def place(strategy, device, worker_timeout):
        assert is_chief(chosen_strategy(strategy, device, worker_timeout))

    assert CliRunner().invoke(place, []).exit_code == 0
    result = CliRunner().invoke(place, given)
    assert result.exit_code == 2
    assert told in result.output


def test_a_strategy_by_its_device():
    from keras_bert_zoo.cli.places import chosen_strategy, is_chief

    place = chosen_strategy("one_device", ("CPU:0",), None)
    assert place.extended.worker_devices[0].endswith("CPU:0")
    assert is_chief(place)
