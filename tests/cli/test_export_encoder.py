"""`kbz export --as encoder`."""

import json

from command_line import kbz, refused

import keras_bert_zoo as zoo


def test_an_encoder_and_its_preprocessor(folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = kbz("export", folders / "encoder", "--as", "encoder", "--max-length", "9").stdout
    assert told == "saved_models/encoder/preprocessor/1\nsaved_models/encoder/encoder/1\n"
    result = kbz("export", folders / "mood", "--as", "encoder", "--to", "both", "--version", "4", "--json")
    assert json.loads(result.stdout) == {"preprocessor": "both/preprocessor/4", "encoder": "both/encoder/4"}
    assert zoo.load("both/encoder/4").config == zoo.load(folders / "mood").config


def test_what_cannot_be_exported(folders, tmp_path):
    source = folders / "encoder"
    assert "leave out --dtype" in refused("export", source, "--as", "encoder", "--dtype", "bfloat16", exit_code=2)
    asked = ["export", source, "--as", "encoder", "--to", tmp_path / "x", "--max-length", "24"]
    assert "seq_length is 24, it must be from 3" in refused(*asked)
    assert "or export the encoder itself (kbz export --as encoder)" in refused("export", source, "--to", tmp_path / "x")
