"""benchmarks/quality.py, run as a user runs it, on a tiny model."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

import keras_bert_zoo as kbz
from keras_bert_zoo.serving.saved_model import export_bundle

SCRIPT = Path(kbz.__file__).parents[1] / "benchmarks" / "quality.py"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("quality")
    table = tiny.mood_table(copies=10)
    for name, count in (("train.tsv", 120), ("dev.tsv", 12)):
        rows = zip(table.texts[:count], table.labels, strict=False)
        (root / name).write_text("".join(f"{text}\t{int(label == 'good')}\n" for text, label in rows))
    return root


def run(place, *arguments):
    command = [sys.executable, SCRIPT, *arguments]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_table_of_the_seeds(place, folders):
    options = ["--source", folders / "encoder", "--seeds", "3,5", "--learning-rate", "0.005", "--length", "17"]
    done = run(place, "train.tsv", "dev.tsv", *options, "--epochs", "4", "--batch-size", "8")
    assert done.returncode == 0, done.stderr
    assert "120 sentences to learn from, 12 asked; 4 epochs, batches of 8, learning rate 0.005" in done.stdout
    header, rule, row = done.stdout.splitlines()[-3:]
    assert (header, rule) == ("| seed 3 | seed 5 | mean ± std |", "|--:|--:|--:|")
    found = re.fullmatch(r"\| (\S+) \| (\S+) \| \*\*(\S+)\*\* ± (\S+) \|", row)
    one, other, mean, spread = map(float, found.groups())
    assert mean == pytest.approx((one + other) / 2, abs=0.01)
    assert spread == pytest.approx(abs(one - other) / 2**0.5, abs=0.01)
    assert mean > 70


def test_the_served_accuracy_is_that_of_the_answers(tmp_path):
    spec = importlib.util.spec_from_file_location("quality", SCRIPT)
    quality = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(quality)
    bundle = tiny.bundle(kbz.heads.Classification(["0", "1"]))
    texts = tiny.GOOD + tiny.BAD
    told = [answer["label"] for answer in bundle.predict(texts)]
    wrong = {"0": "1", "1": "0"}
    labels = [wrong[label] if i in (0, 4, 11) else label for i, label in enumerate(told)]
    folder = export_bundle(bundle, tmp_path / "model")
    assert quality.served_accuracy(folder, texts, labels, 5) == 0.75


@pytest.mark.parametrize("arguments", [["train.tsv"], ["train.tsv", "dev.tsv", "--hold-out", "0.2"]])
def test_what_is_asked_must_be_clear(place, arguments):
    done = run(place, *arguments)
    assert done.returncode == 2
    assert "Give DEV or --hold-out, one of them." in done.stderr
