"""The examples, run as a user runs them."""

import re
import subprocess
import sys
from pathlib import Path

import tensorflow as tf
import tiny

import keras_bert_zoo as kbz

EXAMPLES = Path(kbz.__file__).parents[1] / "examples"


def test_finetune_classifier(folders, tmp_path):
    tiny.mood_table(copies=15).write(tmp_path / "mood.tsv")  # 180 rows
    options = ["--table", "mood.tsv", "--weights", folders / "encoder", "--epochs", "6", "--learning-rate", "0.01"]
    done = subprocess.run(
        [sys.executable, EXAMPLES / "finetune_classifier.py", *options, "--export-to", "served"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    figure, exported = done.stdout.splitlines()[-2:]
    found = re.fullmatch(r"Held-out accuracy (\d\.\d{3}) on 36 rows", figure)
    assert found, figure
    assert float(found[1]) >= 0.9  # the held-out texts are known ones
    assert exported == "Exported to served/1"
    answer = tf.saved_model.load(str(tmp_path / "served/1")).signatures["serving_default"]
    texts = [tiny.GOOD[0], tiny.BAD[0]]
    assert answer(text=tf.constant(texts))["label"].numpy().tolist() == [b"good", b"bad"]


def test_tag_words(folders, tmp_path):
    sentences = ["the film was good", "a story and a plot", "it is so sad a film"]
    tags = ["O B-X O O", "O B-X O O B-Y", "O O O O O B-X"]
    lines = [zip(words.split(), tag.split(), strict=True) for words, tag in zip(sentences, tags, strict=True)]
    blocks = ["".join(f"{word} {tag}\n" for word, tag in line) for line in lines]
    (tmp_path / "names.conll").write_text("\n".join(blocks * 60))
    options = ["--weights", folders / "encoder", "--epochs", "6", "--learning-rate", "0.01", "--export-to", "served"]
    done = subprocess.run(
        [sys.executable, EXAMPLES / "tag_words.py", "names.conll", *options, "--text", "so the FILM!"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    figure, *_, exported = done.stdout.splitlines()[-3:]
    found = re.fullmatch(r"Held-out entity F1 (\d\.\d{3}) on 36 sentences", figure)
    assert found, done.stdout
    assert float(found[1]) >= 0.9
    assert re.search(r"(?m)^  X +7-11 +FILM$", done.stdout)
    assert exported == "Exported to served/1"
    answer = tf.saved_model.load(str(tmp_path / "served/1")).signatures["serving_default"]
    assert answer(text=tf.constant(["the film"]))["entity"].numpy().tolist() == [[b"film"]]


def test_every_example_is_run_here():
    assert [path.name for path in sorted(EXAMPLES.glob("*.py"))] == ["finetune_classifier.py", "tag_words.py"]
