"""`kbz export`: precision, what it costs on rows, and the TensorFlow Serving it is for."""

import json

import numpy as np
import pytest
import tensorflow as tf
import tiny
from command_line import kbz, refused

import keras_bert_zoo as zoo


@pytest.fixture(scope="module")
def told(folders, tmp_path_factory):
    root = tmp_path_factory.mktemp("precision")
    options = ["--to", root / "model", "--precision", "bfloat16", "--data", folders / "train.tsv", "--batch-size", "7"]
    return json.loads(kbz("export", folders / "mood", *options, "--json").stdout)


def test_what_bfloat16_costs_is_what_the_export_gives(folders, told):
    """The figures of the smaller precision against numpy's own over the exported model's probabilities."""
    table = zoo.data.read_table(folders / "train.tsv", text="text", label="label")
    right = np.array([["bad", "good"].index(label) for label in table.labels])
    ask = tf.saved_model.load(told["folder"]).signatures["serving_default"]
    found = ask(text=tf.constant(list(table.texts)))["probabilities"].numpy()
    assert list(told["figures"]) == ["float32", "bfloat16"]
    whole, smaller = told["figures"].values()
    assert whole == pytest.approx(zoo.load(folders / "mood").evaluate(table), abs=1e-6)
    assert list(whole) == list(smaller)
    assert smaller["accuracy"] == pytest.approx(np.mean(found.argmax(axis=1) == right))
    assert smaller["loss"] == pytest.approx(-np.log(found[np.arange(len(right)), right]).mean(), abs=5e-3)
    assert 1e-6 < abs(smaller["loss"] - whole["loss"]) < 0.05


def test_the_difference_is_printed_before_the_folder(folders, tmp_path, monkeypatch):
    figures = {"float32": {"loss": 0.5, "accuracy": 0.75}, "bfloat16": {"loss": 0.625, "accuracy": 0.5}}
    asked = []
    monkeypatch.setattr(
        "keras_bert_zoo.serving.precision.precision_figures", lambda *a, **b: asked.append(b) or figures
    )
    monkeypatch.setattr(
        "keras_bert_zoo.serving.saved_model.export_bundle",
        lambda source, folder, **options: asked.append((source, folder, options)) or f"{folder}/3",
    )
    options = [
        "--precision",
        "bfloat16",
        "--data",
        folders / "train.tsv",
        "--serving-version",
        "2.17",
        "--version",
        "3",
    ]
    lines = kbz("export", folders / "mood", "--to", "x", *options).stdout.splitlines()
    assert lines[0] == f"{folders / 'mood'} on {folders / 'train.tsv'}"
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    assert cells == [["loss", "0.5000", "0.6250", "+0.1250"], ["accuracy", "0.7500", "0.5000", "-0.2500"]]
    assert lines[-1] == "x/3"
    given = {"version": 3, "max_length": None, "precision": "bfloat16", "serving_version": "2.17"}
    assert asked == [{"batch_size": 32}, (str(folders / "mood"), "x", given)]


def test_every_head_can_be_compared(tmp_path):
    """Heads are scored by logits, by answers and by metrics; the last two have outputs of several ranks."""
    from keras_bert_zoo.serving.precision import precision_figures

    config = tiny.CONFIG.replace(num_hidden_layers=1)
    texts = zoo.data.Table.from_lists(tiny.GOOD)
    for head, table in ((zoo.heads.MaskedLM(mask_share=0.5), texts),):
        whole, smaller = precision_figures(tiny.bundle(head, config=config), table, "bfloat16").values()
        assert smaller == pytest.approx(whole, rel=0.05)
        assert smaller["masked_lm_loss"] != whole["masked_lm_loss"]
    head = zoo.heads.MultipleChoice()
    table = zoo.data.Table.from_lists(tiny.GOOD, [0, 1, 1, 0, 1, 0], [["a film", "bad", "it"]] * 6)
    whole, smaller = precision_figures(tiny.bundle(head, config=config), table, "bfloat16").values()
    assert smaller["loss"] == pytest.approx(whole["loss"], abs=0.05)
    assert smaller["loss"] != whole["loss"]


def test_options_that_say_nothing_together(folders, tmp_path):
    source, data = folders / "mood", folders / "train.tsv"
    for options, message in {
        ("--text", "words"): "--text is about --data, which is not given.",
        ("--batch-size", "32"): "--batch-size is about --data, which is not given.",
        ("--data", data): "--data compares a smaller precision with float32: add --precision bfloat16.",
        ("--data", data, "--as", "encoder"): "--data measures a head, which --as encoder leaves out: leave out --data.",
        ("--serving-version", "2.11"): "'2.11' is not one of '2.12', '2.13'",
    }.items():
        assert message in refused("export", source, *options, exit_code=2)
    missing = ["--precision", "bfloat16", "--data", tmp_path / "no.tsv"]
    assert refused("export", source, *missing) == f"{tmp_path}/no.tsv does not exist."
    given = ["--to", tmp_path / "x", "--precision", "bfloat16", "--data", data, "--label", "mood"]
    assert "no column 'mood'" in refused("export", source, *given)
    told = refused("export", folders / "encoder", "--to", tmp_path / "x", "--precision", "bfloat16", "--data", data)
    assert told == "This bundle is an encoder without a head, which has no figures."
    assert not (tmp_path / "x").exists()
