"""`kbz` with tagged words: train, evaluate, predict, export."""

import pytest
from command_line import json_lines, kbz, refused

CONTENT = "the O\nfilm B-X\nis O\ngood O\n\na O\nstory B-Y\nof I-Y\ntwo I-Y\n\n" * 24


def test_the_whole_way(folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "train.txt").write_text(CONTENT)
    train = ["train", folders / "encoder", "--head", "token_classification", "--train", "train.txt"]
    settings = ["--epochs", "4", "--learning-rate", "1e-2", "--max-length", "6", "--set", "stride=2", "--batch-size", 4]
    (told,) = json_lines(kbz(*train, "--validation", "train.txt", *settings, "--out", "runs/names", "--json"))
    assert told["figures"]["val_f1"] > 0.9
    (figures,) = json_lines(kbz("evaluate", "runs/names", "train.txt", "--json"))
    assert {f"val_{name}": value for name, value in figures.items()} == pytest.approx(
        {name: value for name, value in told["figures"].items() if name.startswith("val_")}
    )
    (answer,) = json_lines(kbz("predict", "runs/names", "is the FILM", "--json"))
    assert (answer["entity"], answer["start"], answer["end"], answer["label"]) == (["FILM"], [7], [11], ["X"])
    table = kbz("predict", "runs/names", "is the FILM", "and").stdout
    assert f"FILM [X {answer['score'][0]:.2f}]" in table
    assert kbz("export", "runs/names").stdout == "saved_models/names/1\n"
    card = (tmp_path / "runs/names/README.md").read_text()
    assert "Labels: O, B-X, I-X, B-Y, I-Y." in card


def test_what_cannot_be_read(folders, tmp_path):
    path = tmp_path / "train.txt"
    path.write_text("the O\nfilm\n")
    train = ["train", folders / "encoder", "--head", "token_classification", "--train", path, "--out", tmp_path / "r"]
    assert f"{path}, line 2: 'film' lacks a word in column 1 or a tag in the last column" in refused(*train)
    path.write_text("the O\nfilm B-X\n")
    assert f"{path}, line 1: word 2 (characters 4 to 8) has the tag 'B-X'" in refused(*train, "--labels", "O,B-Y")
