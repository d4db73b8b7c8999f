"""`kbz train`, `evaluate`, `predict` and `export` for the heads of pretraining."""

import pytest
import tensorflow as tf
import tiny
from command_line import json_lines, kbz, refused

import keras_bert_zoo as zoo

LINES = tiny.GOOD + tiny.BAD


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("language")
    zoo.save(tiny.bundle(), root / "encoder")
    (root / "lines.txt").write_text("\n\n".join(LINES) + "\n")
    zoo.data.Table.from_lists(LINES, ["is_next", "not_next"] * 6, LINES[::-1]).write(root / "pairs.tsv")
    return root


@pytest.fixture(scope="module")
def run(place):
    """Return a run of masked_lm on plain lines, and what the command printed."""
    tables = ["--train", place / "lines.txt", "--validation", place / "lines.txt"]
    options = ["--head", "masked_lm", "--epochs", 2, "--batch-size", 5, "--max-length", 19, "--set", "top_k=2"]
    printed = kbz("train", place / "encoder", *tables, *options, "--out", place / "run", "--json")
    return place / "run", json_lines(printed)[0]


def test_masked_lm(place, run):
    folder, printed = run
    names = {"masked_lm_accuracy", "perplexity", "val_masked_lm_loss", "val_masked_lm_accuracy", "val_perplexity"}
    assert names <= set(printed["figures"])
    (figures,) = json_lines(kbz("evaluate", folder, place / "lines.txt", "--json"))
    assert figures["perplexity"] == pytest.approx(printed["figures"]["val_perplexity"], rel=1e-4)
    assert "12 rows" in kbz("evaluate", folder, place / "lines.txt").stdout  # blank lines are no texts
    (answer,) = json_lines(kbz("predict", folder, "a [MASK] film", "--json"))
    assert len(answer["tokens"][0]) == 2
    shown = kbz("predict", folder, "a [MASK] film", "none").stdout
    assert answer["filled"] in shown
    for token, score in zip(answer["tokens"][0], answer["scores"][0], strict=True):
        assert f"{token} {score:.4f}" in shown
    exported = kbz("export", folder, "--to", place / "served").stdout.strip()
    served = tf.saved_model.load(exported).signatures["serving_default"](text=tf.constant(["a [MASK] film"]))
    assert served["filled"].numpy().tolist() == [answer["filled"].encode()]


def test_a_task_takes_the_encoder_of_a_run(place, run):
    folder, _ = run  # as in transformers, the class has no pooler on disk
    options = ["--train", place / "pairs.tsv", "--epochs", 1, "--set", "new_pooler=true", "--learning-rate", 1e-12]
    kbz("train", folder, *options, "--out", place / "task", "--json")
    tables = (
        zoo.load(path).encoder.get_layer("embeddings").token.embeddings.numpy() for path in (folder, place / "task")
    )
    assert abs(next(tables) - next(tables)).max() < 1e-6


@pytest.mark.slow
def test_next_sentence(place):
    options = ["--head", "next_sentence", "--train", place / "pairs.tsv", "--text-pair", "text_pair", "--epochs", 1]
    kbz("train", place / "encoder", *options, "--out", place / "following", "--json")
    (told,) = json_lines(
        kbz("evaluate", place / "following", place / "pairs.tsv", "--text-pair", "text_pair", "--json")
    )
    assert set(told) == {"loss", "accuracy"}
    (want,) = zoo.load(place / "following").predict(["a film"], text_pair=["it was good"])
    shown = kbz("predict", place / "following", "a film", "--text-pair", "it was good").stdout
    assert f"{want['probability']:.4f}" in shown


def test_pretraining(place):
    tables = ["--train", place / "pairs.tsv", "--validation", place / "pairs.tsv", "--text-pair", "text_pair"]
    options = ["--head", "pretraining", *tables, "--epochs", 1, "--out", place / "both"]
    (printed,) = json_lines(kbz("train", place / "encoder", *options, "--json"))
    names = {"masked_lm_loss", "masked_lm_accuracy", "perplexity", "next_sentence_accuracy"}
    assert {f"val_{name}" for name in names} <= set(printed["figures"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--head", "masked_lm", "--train", "nope.txt"], "nope.txt: cannot be read"),
        (["--head", "masked_lm", "--train", "empty.txt"], "empty.txt is empty."),
        (["--head", "masked_lm", "--train", "lines.txt", "--text-pair", "b"], "lines.txt: single texts are wanted"),
        (["--head", "next_sentence", "--train", "pairs.tsv"], "Name the second column with text_pair="),
        (["--head", "next_sentence", "--train", "bad.tsv", "--text-pair", "b"], "line 2: label 'x' is neither is_next"),
    ],
)
def test_what_cannot_be_trained(place, monkeypatch, options, message):
    monkeypatch.chdir(place)
    (place / "empty.txt").touch()
    (place / "bad.tsv").write_text("text\tb\tlabel\na\tb\tx\n")
    assert message in refused("train", "encoder", "--out", "never", *options)


def test_an_option_that_masked_lm_has_no_use_for(place, monkeypatch):
    monkeypatch.chdir(place)
    options = ["--head", "masked_lm", "--train", "lines.txt", "--dropout", "0.1"]
    said = refused("train", "encoder", "--out", "never", *options, exit_code=2)
    assert said == "The head 'masked_lm' takes no --dropout."
