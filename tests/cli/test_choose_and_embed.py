"""`kbz train`, `evaluate`, `predict` and `export` for choices and for sentence vectors."""

import json

import numpy as np
import pytest
import tiny
from command_line import json_lines, kbz, refused

import keras_bert_zoo as zoo

ENDINGS = ["it was good", "it was bad", "so dull and sad"]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("more")
    for name, head in (("choose", zoo.heads.MultipleChoice()), ("embed", zoo.heads.SentenceEmbedding())):
        zoo.save(tiny.bundle(head), root / name)
    rows = [
        {"text": text, "choices": [bad, text, text + " so"], "label": 1}
        for text, bad in zip(tiny.GOOD, tiny.BAD, strict=True)
    ]
    (root / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = [f"{a}\t{b}\t{i / 6}\n" for i, (a, b) in enumerate(zip(tiny.GOOD, tiny.BAD, strict=True))]
    (root / "p.tsv").write_text("text\ttext_pair\tlabel\n" + "".join(lines))
    (root / "unlabelled.tsv").write_text(
        "text\ttext_pair\n" + "".join(line.rsplit("\t", 1)[0] + "\n" for line in lines)
    )
    return root


def test_choosing(models, tmp_path):
    ask = ["predict", models / "choose", "a good film", "the end"]
    choices = [part for ending in ENDINGS for part in ("--choice", ending)]
    want = tiny.bundle(zoo.heads.MultipleChoice()).predict(["a good film", "the end"], choices=[ENDINGS] * 2)
    got = json_lines(kbz(*ask, *choices, "--json"))
    for one, other in zip(got, want, strict=True):
        assert one["choice"] == other["choice"]
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-6)
    table = kbz(*ask, *choices).stdout
    for i, (ending, probability) in enumerate(zip(ENDINGS, want[0]["probabilities"], strict=True)):
        assert f"│ {i}  {ending}" in table
        assert f"│ {i}  {probability:.4f}" in table
    (tmp_path / "ask.jsonl").write_text(json.dumps({"text": "the end", "choices": ENDINGS}) + "\n")
    (read,) = json_lines(kbz("predict", models / "choose", "--file", tmp_path / "ask.jsonl", "--json"))
    assert read["probabilities"] == pytest.approx(want[1]["probabilities"], abs=1e-6)


def test_choosing_says_what_it_misses(models, folders):
    assert refused("predict", models / "choose", "a", exit_code=2).endswith(
        "chooses: give the choices, each with --choice."
    )
    told = refused("predict", folders / "mood", "a", "--choice", "b", exit_code=2)
    assert told.endswith("does not choose: leave out --choice.")
    assert refused("predict", models / "choose", "--file", "x.csv", "--choice", "b", exit_code=2) == (
        "Give texts or --file, not both."
    )


def test_vectors(models):
    want = tiny.bundle(zoo.heads.SentenceEmbedding()).predict(["a good film"])[0]["embedding"]
    (got,) = json_lines(kbz("predict", models / "embed", "a good film", "--json"))
    np.testing.assert_allclose(got["embedding"], want, atol=1e-6)
    shown = " ".join(f"{value:+.4f}" for value in want[:4])
    assert f"│ {shown} ... (12) │" in kbz("predict", models / "embed", "a good film").stdout


def test_a_chooser_is_trained_measured_and_exported(models, folders, tmp_path):
    table, out = models / "c.jsonl", tmp_path / "run"
    options = ["--validation", table, "--epochs", 1, "--batch-size", 4, "--max-length", 19, "--json"]
    (told,) = json_lines(
        kbz("train", folders / "encoder", "--head", "multiple_choice", "--train", table, *options, "--out", out)
    )
    (figures,) = json_lines(kbz("evaluate", out, table, "--json"))
    assert figures == pytest.approx({name: told["figures"][f"val_{name}"] for name in ("loss", "accuracy")}, abs=1e-5)
    assert 'bundle.predict(["a text"], choices=[["…", "…"]])' in (out / "README.md").read_text(encoding="utf-8")
    assert kbz("export", out, "--to", tmp_path / "served").stdout == f"{tmp_path}/served/1\n"
    (tmp_path / "bad.jsonl").write_text('{"text": "a", "choices": [], "label": 0}\n')
    assert refused("evaluate", out, tmp_path / "bad.jsonl").endswith("bad.jsonl, line 1: there are no choices.")


@pytest.mark.parametrize(
    ("table", "settings", "figures"),
    [
        ("p.tsv", ["--set", "loss=similarity", "--set", "pooling=cls"], {"loss", "pearson", "spearman"}),
        pytest.param("unlabelled.tsv", ["--set", "scale=10"], {"accuracy", "mrr"}, marks=pytest.mark.slow),
    ],
)
def test_vectors_are_trained_measured_and_exported(models, folders, tmp_path, table, settings, figures):
    table, out = models / table, tmp_path / "run"
    options = ["--validation", table, "--epochs", 1, "--batch-size", 4, "--max-length", 19, "--json", *settings]
    (told,) = json_lines(
        kbz("train", folders / "encoder", "--head", "sentence_embedding", "--train", table, *options, "--out", out)
    )
    (measured,) = json_lines(kbz("evaluate", out, table, "--json"))
    assert measured == pytest.approx({name: told["figures"][f"val_{name}"] for name in figures}, abs=1e-5)
    assert json.loads((out / "modules.json").read_text())[1]["path"] == "1_Pooling"
    assert kbz("export", out, "--to", tmp_path / "served").stdout == f"{tmp_path}/served/1\n"
