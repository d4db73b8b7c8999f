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


def test_answer_questions(folders, tmp_path):
    moods = ["warm", "cold", "funny", "sad"]
    contexts = [
        f"{a} film was {mood} and {b}" for mood in moods for a in ("a", "the", "one") for b in ("so", "two", "in")
    ]
    answers = [[(mood, context.index(mood))] for context in contexts for mood in moods if f" {mood} " in context]
    table = kbz.data.question_table(["it was"] * len(contexts), contexts, answers)
    kbz.data.write_squad(table, tmp_path / "moods.json")
    options = ["--weights", folders / "encoder", "--epochs", "15", "--learning-rate", "0.01", "--length", "12"]
    done = subprocess.run(
        [sys.executable, EXAMPLES / "answer_questions.py", "moods.json", *options, "--export-to", "served"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    figure, answer, exported = done.stdout.splitlines()[-3:]
    found = re.fullmatch(r"Held out: (\d+\.\d)% exact, F1 (\d+\.\d)% on 7 questions", figure)
    assert found, figure
    assert float(found[1]) >= 80
    assert re.fullmatch(r"it was .+ \[\d+:\d+\]", answer), answer
    assert exported == "Exported to served/1"
    ask = tf.saved_model.load(str(tmp_path / "served/1")).signatures["serving_default"]
    told = ask(question=tf.constant(["it was"]), context=tf.constant(["the film was  sad  and so"]))
    assert told["answer"].numpy().tolist() == [b"sad"]
    assert told["start"].numpy().tolist() == [14]


def test_every_example_is_run_here():
    assert [path.name for path in sorted(EXAMPLES.glob("*.py"))] == ["answer_questions.py", "finetune_classifier.py"]
