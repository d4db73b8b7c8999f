"""The examples, run as a user runs them."""

import inspect
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tiny

import keras_bert_zoo as kbz

EXAMPLES = Path(kbz.__file__).parents[1] / "examples"


def run(folder, name, *arguments):
    """Run an example in a folder and return the lines it prints."""
    command = [sys.executable, EXAMPLES / name, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_finetune_classifier(folders, tmp_path):
    tiny.mood_table(copies=15).write(tmp_path / "mood.tsv")  # 180 rows
    options = ["--table", "mood.tsv", "--weights", folders / "encoder", "--epochs", "6", "--learning-rate", "0.01"]
    lines = run(tmp_path, "finetune_classifier.py", *options, "--export-to", "served")
    figure, exported = lines[-2:]
    found = re.fullmatch(r"Held-out accuracy (\d\.\d{3}) on 36 rows", figure)
    assert found, figure
    assert float(found[1]) >= 0.9  # the held-out texts are known ones
    assert exported == "Exported to served/1"
    answer = tf.saved_model.load(str(tmp_path / "served/1")).signatures["serving_default"]
    texts = [tiny.GOOD[0], tiny.BAD[0]]
    assert answer(text=tf.constant(texts))["label"].numpy().tolist() == [b"good", b"bad"]


@pytest.mark.slow  # the head's commands are tried elsewhere
def test_fill_mask(tmp_path):
    head = kbz.heads.MaskedLM()
    kbz.save(tiny.bundle(head), tmp_path / "weights")
    (tmp_path / "notes.txt").write_text("the film was good\n" * 90)
    options = ["--texts", "notes.txt", "--weights", "weights", "--epochs", "25", "--learning-rate", "0.01"]
    lines = run(tmp_path, "fill_mask.py", *options, "--ask", "The film was [MASK]", "--export-to", "served")
    before, *_, after, filled, tokens, exported = lines
    assert float(after.removeprefix("Perplexity after: ")) < 0.2 * float(before.removeprefix("Perplexity before: "))
    assert filled == "The film was good"
    assert re.match(r"  good [01]\.\d\d  \S+ 0\.\d\d  \S+ 0\.\d\d$", tokens)
    assert exported == "Exported to served/1"
    answer = tf.saved_model.load(str(tmp_path / "served/1")).signatures["serving_default"]
    assert answer(text=tf.constant(["The film was [MASK]"]))["filled"].numpy().tolist() == [b"The film was good"]


def pretrain_tiny(folder, *options):
    """Run the example on a few sentences, again and again; return its lines from the held-out loss on."""
    story = "the film was good\nthe plot was bad\nthe actor was warm and funny\nit was a good scene\n"
    (folder / "notes.txt").write_text("\n".join([story] * 60))
    sizes = "--vocabulary-size 60 --hidden-size 32 --length 16 --batch-size 16 --steps 60 --learning-rate 0.01".split()
    lines = run(folder, "pretrain_from_scratch.py", "--corpus", "notes.txt", "--out", "made", *sizes, *options)
    (begin,) = (i for i, line in enumerate(lines) if line.startswith("Loss of held-out"))
    return lines[begin:]


def test_pretrain_from_scratch(tmp_path):
    loss, baseline = pretrain_tiny(tmp_path, "--seeds", "0")
    learnt = float(re.match(r"Loss of held-out masked tokens: (\d\.\d{3}), after \d\.\d minutes$", loss)[1])
    known = float(re.match(r"By the tokens' frequency alone: (\d\.\d{3}), a perplexity", baseline)[1])
    assert learnt < 0.8 * known
    bundle = kbz.load(tmp_path / "made/bert")
    assert bundle.config.hidden_size == 32
    assert bundle.tokenizer.tokens("The PLOT")[0] == "the"


@pytest.mark.slow
def test_pretrain_from_scratch_and_compare(tmp_path):
    tiny.mood_table(copies=5).write(tmp_path / "mood.tsv")
    options = ["--table", "mood.tsv", "--seeds", "2", "--labelled", "10"]
    _, _, *told = pretrain_tiny(tmp_path, *options)
    runs = [(rows, name) for rows in (10, 36) for name in ("pretrained", "random")]
    for line, (rows, name) in zip(told, runs, strict=True):
        begin = rf"Tuned on {rows} texts from {name} weights: accuracy "
        assert re.match(begin + r"[01]\.\d{3} ± 0\.\d{3} on 12 held-out texts$", line), line


def test_next_sentence(tmp_path):
    bundle = tiny.bundle(kbz.heads.Pretraining())
    kbz.save(bundle, tmp_path / "weights")
    texts = ["it was great", "so bad", "the end"]
    lines = run(tmp_path, "next_sentence.py", "a good film", *texts, "--weights", tmp_path / "weights")
    answers = bundle.predict(["a good film"] * 3, text_pair=texts)
    ranked = sorted(zip(texts, answers, strict=True), key=lambda pair: -pair[1]["probability"])
    assert lines == [f"{answer['probability']:.3f}  {text}" for text, answer in ranked]


@pytest.mark.slow  # the head's commands are tried elsewhere
def test_answer_questions(folders, tmp_path):
    moods = ["warm", "cold", "funny", "sad"]
    contexts = [
        f"{a} film was {mood} and {b}" for mood in moods for a in ("a", "the", "one") for b in ("so", "two", "in")
    ]
    answers = [[(mood, context.index(mood))] for context in contexts for mood in moods if f" {mood} " in context]
    table = kbz.data.question_table(["it was"] * len(contexts), contexts, answers)
    kbz.data.write_squad(table, tmp_path / "moods.json")
    options = ["--weights", folders / "encoder", "--epochs", "15", "--learning-rate", "0.01", "--length", "12"]
    lines = run(tmp_path, "answer_questions.py", "moods.json", *options, "--export-to", "served")
    figure, answer, exported = lines[-3:]
    found = re.fullmatch(r"Held out: (\d+\.\d)% exact, F1 (\d+\.\d)% on 7 questions", figure)
    assert found, figure
    assert float(found[1]) >= 80
    assert re.fullmatch(r"it was .+ \[\d+:\d+\]", answer), answer
    assert exported == "Exported to served/1"
    ask = tf.saved_model.load(str(tmp_path / "served/1")).signatures["serving_default"]
    told = ask(question=tf.constant(["it was"]), context=tf.constant(["the film was  sad  and so"]))
    assert told["answer"].numpy().tolist() == [b"sad"]
    assert told["start"].numpy().tolist() == [14]


@pytest.mark.slow  # the head's commands are tried elsewhere
def test_choose_endings(folders, tmp_path):
    rows = ["sent1,sent2,ending0,ending1,label"]
    for i, (good, bad) in enumerate(zip(tiny.GOOD * 20, tiny.BAD * 20, strict=True)):
        rows.append(f"the end,so,{good},{bad},0" if i % 3 else f"the end,so,{bad},{good},1")
    (tmp_path / "train.csv").write_text("\n".join(rows) + "\n")
    options = ["--train", "train.csv", "--held-out", "train.csv", "--weights", folders / "encoder", "--epochs", "6"]
    lines = run(tmp_path, "choose_endings.py", *options, "--learning-rate", "0.01", "--export-to", "served")
    figure, shown, exported = lines[-3:]
    found = re.fullmatch(r"Held-out accuracy (\d\.\d{3}) on 120 rows", figure)
    assert found, figure
    assert float(found[1]) >= 0.9
    assert shown.startswith("the end -> so ")
    assert exported == "Exported to served/1"
    answer = tf.saved_model.load(str(tmp_path / "served/1")).signatures["serving_default"]
    choices = [[f"so {tiny.BAD[2]}", f"so {tiny.GOOD[2]}"]]
    assert answer(text=tf.constant(["the end"]), choices=tf.constant(choices))["choice"].numpy().tolist() == [1]


@pytest.mark.slow  # the head's commands are tried elsewhere
def test_embed_sentences(folders, tmp_path):
    (tmp_path / "lines.txt").write_text("\n".join(tiny.GOOD + tiny.BAD) + "\n")
    kbz.data.Table.from_lists(tiny.GOOD, None, tiny.BAD).write(tmp_path / "pairs.tsv")
    options = ["--sentences", "lines.txt", "--pairs", "pairs.tsv", "--weights", folders / "encoder"]
    lines = run(tmp_path, "embed_sentences.py", tiny.GOOD[3], *options, "--export-to", "served")
    assert re.fullmatch(r"Its own text is the nearest for \d+\.\d% of the pairs", lines[-7])
    assert lines[-6] == f"1.000  {tiny.GOOD[3]}"  # the sentence itself
    assert lines[-1] == "Exported to served/1"
    answer = tf.saved_model.load(str(tmp_path / "served/1")).signatures["serving_default"]
    first, second = answer(text=tf.constant([tiny.GOOD[3], lines[-5][7:]]))["embedding"].numpy()
    assert abs(first @ second - float(lines[-5][:5])) < 1e-3


@pytest.mark.slow  # the head's commands are tried elsewhere
def test_tag_words(folders, tmp_path):
    sentences = ["the film was good", "a story and a plot", "it is so sad a film"]
    tags = ["O B-X O O", "O B-X O O B-Y", "O O O O O B-X"]
    lines = [zip(words.split(), tag.split(), strict=True) for words, tag in zip(sentences, tags, strict=True)]
    blocks = ["".join(f"{word} {tag}\n" for word, tag in line) for line in lines]
    (tmp_path / "names.conll").write_text("\n".join(blocks * 60))
    options = ["--weights", folders / "encoder", "--epochs", "6", "--learning-rate", "0.01", "--export-to", "served"]
    printed = run(tmp_path, "tag_words.py", "names.conll", *options, "--text", "the  FILM was good!")
    figure, *_, exported = printed[-3:]
    found = re.fullmatch(r"Held-out entity F1 (\d\.\d{3}) on 36 sentences", figure)
    assert found, printed
    assert float(found[1]) >= 0.9
    assert any(re.fullmatch(r"  X +5-9 +FILM", line) for line in printed)
    assert exported == "Exported to served/1"
    answer = tf.saved_model.load(str(tmp_path / "served/1")).signatures["serving_default"]
    assert answer(text=tf.constant(["the film"]))["entity"].numpy().tolist() == [[b"film"]]


def test_train_with_jax(folders, tmp_path, monkeypatch, capsys):
    pytest.importorskip("jax", reason="JAX comes with the extra [jax]")
    monkeypatch.chdir(tmp_path)
    tiny.mood_table(copies=8).write("mood.tsv")  # 96 rows
    options = ["--table", "mood.tsv", "--weights", str(folders / "encoder"), "--lengths", "9,13", "--no-dropout"]
    options += ["--learning-rate", "0.01", "--batch-size", "9", "--epochs", "3"]
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    *told, exported = run(tmp_path, "train_with_jax.py", *options, "--out", "jax", "--export-to", "served")
    assert exported == "served/1"
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")  # the same here: a process less
    monkeypatch.setattr(sys, "argv", ["train_with_jax.py", *options, "--out", "tf"])
    runpy.run_path(str(EXAMPLES / "train_with_jax.py"), run_name="__main__")
    losses = {}
    for name, lines in (("jax", told), ("tensorflow", capsys.readouterr().out.splitlines())):
        found = [re.fullmatch(rf"Epoch \d, {name}: loss (\d\.\d{{6}})", line) for line in lines]
        losses[name] = [float(one[1]) for one in found]
    assert len(losses["jax"]) == 3
    assert losses["jax"] == pytest.approx(losses["tensorflow"], abs=1e-4)
    assert losses["jax"][2] < 0.7 * losses["jax"][0]
    # What JAX learnt answers in TensorFlow's graph as what was learnt there.
    answer = tf.saved_model.load("served/1").signatures["serving_default"]
    texts = [tiny.GOOD[0], tiny.BAD[0]]
    served = answer(text=tf.constant(texts))
    assert served["label"].numpy().tolist() == [b"good", b"bad"]
    want = [one["probabilities"] for one in kbz.load("tf").predict(texts)]
    np.testing.assert_allclose(served["probabilities"], want, atol=1e-3)


def test_every_example_is_run_here():
    tests = inspect.getsource(sys.modules[__name__])
    assert [path.name for path in sorted(EXAMPLES.glob("*.py")) if f'"{path.name}"' not in tests] == []
