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


def test_fill_mask(tmp_path):
    head = kbz.heads.MaskedLM()
    kbz.save(tiny.bundle(head), tmp_path / "weights")
    (tmp_path / "notes.txt").write_text("the film was good\n" * 90)
    options = ["--texts", "notes.txt", "--weights", "weights", "--epochs", "25", "--learning-rate", "0.01"]
    done = subprocess.run(
        [sys.executable, EXAMPLES / "fill_mask.py", *options, "--ask", "The film was [MASK]", "--export-to", "served"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    before, *_, after, filled, tokens, exported = done.stdout.splitlines()
    assert float(after.removeprefix("Perplexity after: ")) < 0.2 * float(before.removeprefix("Perplexity before: "))
    assert filled == "The film was good"
    assert re.match(r"  good [01]\.\d\d  \S+ 0\.\d\d  \S+ 0\.\d\d$", tokens)
    assert exported == "Exported to served/1"
    answer = tf.saved_model.load(str(tmp_path / "served/1")).signatures["serving_default"]
    assert answer(text=tf.constant(["The film was [MASK]"]))["filled"].numpy().tolist() == [b"The film was good"]


def test_next_sentence(tmp_path):
    bundle = tiny.bundle(kbz.heads.Pretraining())
    kbz.save(bundle, tmp_path / "weights")
    texts = ["it was great", "so bad", "the end"]
    done = subprocess.run(
        [sys.executable, EXAMPLES / "next_sentence.py", "a good film", *texts, "--weights", tmp_path / "weights"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    answers = bundle.predict(["a good film"] * 3, text_pair=texts)
    ranked = sorted(zip(texts, answers, strict=True), key=lambda pair: -pair[1]["probability"])
    assert done.stdout.splitlines() == [f"{answer['probability']:.3f}  {text}" for text, answer in ranked]


def test_every_example_is_run_here():
    assert [path.name for path in sorted(EXAMPLES.glob("*.py"))] == [
        "fill_mask.py",
        "finetune_classifier.py",
        "next_sentence.py",
    ]
