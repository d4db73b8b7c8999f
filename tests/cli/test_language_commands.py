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
    (answer,) = json_lines(kbz("predict", folder, "a [MASK] film", "--format", "jsonl"))
    assert len(answer["tokens"][0]) == 2
    shown = kbz("predict", folder, "a [MASK] film", "none").stdout
    assert answer["filled"] in shown
    for token, score in zip(answer["tokens"][0], answer["scores"][0], strict=True):
        assert f"{token} {score:.4f}" in shown
    exported = kbz("export", folder, "--to", place / "served").stdout.strip()
    served = tf.saved_model.load(exported).signatures["serving_default"](text=tf.constant(["a [MASK] film"]))
    assert served["filled"].numpy().tolist() == [answer["filled"].encode()]


def test_a_run_goes_on_with_the_weights_it_has(place, run):
    folder, _ = run
    options = ["--train", place / "lines.txt", "--epochs", 1, "--learning-rate", 1e-12, "--head", "masked_lm"]
    kbz("train", folder, *options, "--out", place / "more", "--json")
    old, new = (zoo.load(path).predict(["so [MASK]"])[0]["scores"][0] for path in (folder, place / "more"))
    assert new[:2] == pytest.approx(old, abs=1e-5)
    # and a task takes its encoder; the class has no pooler on disk, as in transformers
    options = ["--train", place / "pairs.tsv", "--epochs", 1, "--set", "new_pooler=true", "--learning-rate", 1e-12]
    kbz("train", folder, *options, "--out", place / "task", "--json")
    tables = (
        zoo.load(path).encoder.get_layer("embeddings").token.embeddings.numpy() for path in (folder, place / "task")
    )
    assert abs(next(tables) - next(tables)).max() < 1e-6


@pytest.mark.parametrize(
    ("head", "figures"),
    [
        ("next_sentence", {"accuracy", "loss"}),
        ("pretraining", {"masked_lm_loss", "masked_lm_accuracy", "perplexity", "next_sentence_accuracy"}),
    ],
)
def test_heads_of_pairs(place, head, figures):
    out = place / head
    options = ["--head", head, "--train", place / "pairs.tsv", "--text-pair", "text_pair", "--epochs", 1]
    kbz("train", place / "encoder", *options, "--out", out, "--json")
    (told,) = json_lines(kbz("evaluate", out, place / "pairs.tsv", "--text-pair", "text_pair", "--json"))
    assert set(told) == figures
    (answer,) = json_lines(kbz("predict", out, "a film", "--text-pair", "it was good", "--format", "jsonl"))
    assert 0 < answer["probability"] < 1
    assert f"{answer['probability']:.4f}" in kbz("predict", out, "a film", "--text-pair", "it was good").stdout
    assert kbz("export", out, "--to", place / f"served_{head}").stdout.strip().endswith("/1")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--head", "masked_lm", "--train", "nope.txt"], "nope.txt: cannot be read"),
        (["--head", "masked_lm", "--train", "empty.txt"], "empty.txt is empty."),
        (["--head", "masked_lm", "--train", "lines.txt", "--text-pair", "b"], "lines.txt: single texts are wanted"),
        (["--head", "masked_lm", "--train", "lines.txt", "--dropout", "0.1"], "cannot be made from"),
        (["--head", "next_sentence", "--train", "pairs.tsv"], "Name the second column with text_pair="),
        (["--head", "next_sentence", "--train", "bad.tsv", "--text-pair", "b"], "line 2: label 'x' is neither is_next"),
    ],
)
def test_what_cannot_be_trained(place, monkeypatch, options, message):
    monkeypatch.chdir(place)
    (place / "empty.txt").touch()
    (place / "bad.tsv").write_text("text\tb\tlabel\na\tb\tx\n")
    assert message in refused("train", "encoder", "--out", "never", *options)
