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


def _run(script, *options, cwd):
    command = [sys.executable, EXAMPLES / script, *options]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_choose_endings(folders, tmp_path):
    rows = ["sent1,sent2,ending0,ending1,label"]
    for i, (good, bad) in enumerate(zip(tiny.GOOD * 20, tiny.BAD * 20, strict=True)):
        rows.append(f"the end,so,{good},{bad},0" if i % 3 else f"the end,so,{bad},{good},1")
    (tmp_path / "train.csv").write_text("\n".join(rows) + "\n")
    options = ["--train", "train.csv", "--held-out", "train.csv", "--weights", folders / "encoder", "--epochs", "6"]
    figure, shown, exported = _run(
        "choose_endings.py", *options, "--learning-rate", "0.01", "--export-to", "served", cwd=tmp_path
    )[-3:]
    found = re.fullmatch(r"Held-out accuracy (\d\.\d{3}) on 120 rows", figure)
    assert found, figure
    assert float(found[1]) >= 0.9
    assert shown.startswith("the end -> so ")
    assert exported == "Exported to served/1"
    answer = tf.saved_model.load(str(tmp_path / "served/1")).signatures["serving_default"]
    choices = [[f"so {tiny.BAD[2]}", f"so {tiny.GOOD[2]}"]]
    assert answer(text=tf.constant(["the end"]), choices=tf.constant(choices))["choice"].numpy().tolist() == [1]


def test_embed_sentences(folders, tmp_path):
    (tmp_path / "lines.txt").write_text("\n".join(tiny.GOOD + tiny.BAD) + "\n")
    kbz.data.Table.from_lists(tiny.GOOD, None, tiny.BAD).write(tmp_path / "pairs.tsv")
    options = ["--sentences", "lines.txt", "--pairs", "pairs.tsv", "--weights", folders / "encoder"]
    lines = _run("embed_sentences.py", tiny.GOOD[3], *options, "--export-to", "served", cwd=tmp_path)
    assert re.fullmatch(r"Its own text is the nearest for \d+\.\d% of the pairs", lines[-7])
    assert lines[-6] == f"1.000  {tiny.GOOD[3]}"  # the sentence itself
    assert lines[-1] == "Exported to served/1"
    answer = tf.saved_model.load(str(tmp_path / "served/1")).signatures["serving_default"]
    first, second = answer(text=tf.constant([tiny.GOOD[3], lines[-5][7:]]))["embedding"].numpy()
    assert abs(first @ second - float(lines[-5][:5])) < 1e-3


def test_every_example_is_run_here():
    assert [path.name for path in sorted(EXAMPLES.glob("*.py"))] == [
        "choose_endings.py",
        "embed_sentences.py",
        "finetune_classifier.py",
    ]
