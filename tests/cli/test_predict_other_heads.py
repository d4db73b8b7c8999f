"""`kbz predict` and a run's card where a head's columns are not one text or two, and its files are no tables."""

import json
import re

import pytest
import tiny
from command_line import json_lines, kbz, refused
from fake_heads import Chooser

import keras_bert_zoo as zoo
from keras_bert_zoo import heads
from keras_bert_zoo.card import write_card
from keras_bert_zoo.data import reading
from keras_bert_zoo.heads import Entry


@pytest.fixture
def chooser(monkeypatch, tmp_path):
    """Return a saved bundle whose head reads a text and a list of them, from files of its own."""
    monkeypatch.setitem(heads.HEADS, "chooser", Entry("fake_heads", "Chooser", "chooser"))
    monkeypatch.setitem(reading.READERS, "chooser", ("fake_heads", "read_chooser"))
    return zoo.save(tiny.bundle(Chooser()), tmp_path / "chooser")


def choices(result):
    return [answer["choices"] for answer in json_lines(result)]


def test_choices_on_the_command_line(chooser):
    typed = ["a film", "so sad", "--choice", "it was", "--choice", "the end"]
    assert choices(kbz("predict", chooser, *typed, "--json")) == [["it was", "the end"]] * 2
    shown = kbz("predict", chooser, *typed).stdout
    assert re.search(r"│ a film │ 0  it was +│.*\n│ +│ 1  the end │", shown), shown
    assert "│ it was+the end │" in shown


def test_choices_in_files(chooser, tmp_path):
    (tmp_path / "own.txt2").write_text("a film|it was|b\nso sad|the end\n")
    want = [["it was", "b"], ["the end"]]
    assert choices(kbz("predict", chooser, "--file", tmp_path / "own.txt2", "--json")) == want
    rows = [{"q": "a film", "c": ["it was", "b"]}, {"q": "so sad", "c": ["the end"]}]
    (tmp_path / "table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    named = ["--text", "q", "--text-pair", "c"]
    assert choices(kbz("predict", chooser, "--file", tmp_path / "table.jsonl", *named, "--json")) == want


def test_columns_of_a_pair_need_no_names_where_they_are_the_head_s(folders, tmp_path):
    (tmp_path / "p.tsv").write_text("text_pair\ttext\nit was good\ta film\n")
    (named,) = json_lines(kbz("predict", folders / "pair", "--file", tmp_path / "p.tsv", "--json"))
    (typed,) = json_lines(kbz("predict", folders / "pair", "a film", "--text-pair", "it was good", "--json"))
    assert named == typed


@pytest.mark.parametrize(
    ("source", "arguments", "message"),
    [
        (
            "chooser",
            ["a film"],
            "chooser chooses: give the choices, each with --choice.",
        ),
        (
            "chooser",
            ["a", "--choice", "b", "--text-pair", "c"],
            "chooser chooses among --choice: leave out --text-pair.",
        ),
        ("pair", ["a", "--choice", "b"], "pair does not choose: leave out --choice."),
        ("pair", ["--file", "t.tsv", "--choice", "b"], "Give texts or --file, not both."),
        ("mood", ["--file", "t.tsv", "--text-pair", "b"], "mood reads single texts: leave out --text-pair."),
        ("mood", ["a", "--predictions", "p.tsv"], "--predictions are GLUE's: give --glue too."),
    ],
)
def test_usage(chooser, folders, tmp_path, monkeypatch, source, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.tsv").write_text("text\ta\nit\twas\n")
    folder = chooser if source == "chooser" else folders / source
    assert message in refused("predict", folder, *arguments, exit_code=2)


def test_glue_is_made_of_tables(chooser, folders, tmp_path):
    data = ["--glue", "rte", "--train", "train.tsv", "--out", tmp_path / "run", "--head", "chooser"]
    message = refused_head(folders, data)
    assert message == "The head 'chooser' does not learn from tables: leave out --glue."


def refused_head(folders, data):
    """Train with a head that is in the table only now: the option's list of names was made before."""
    from keras_bert_zoo.cli.train import command

    (option,) = [option for option in command.params if option.name == "head"]
    before, option.type.choices = option.type.choices, tuple(heads.HEADS)
    try:
        return refused("train", folders / "encoder", *data, exit_code=2)
    finally:
        option.type.choices = before


def test_the_card_shows_how_lists_are_asked(chooser, tmp_path):
    bundle = zoo.load(chooser)
    record = {"epochs": [{"loss": 1.0}], "best_epoch": 1, "test": None, "settings": {}, "rows": {"train": 4}}
    record |= {"source": "s", "data": "d", "command": None}
    write_card(bundle, record, "chooser", tmp_path / "README.md")
    assert 'bundle.predict(["a text"], choices=[["…", "…"]])' in (tmp_path / "README.md").read_text(encoding="utf-8")
