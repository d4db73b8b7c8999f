"""`kbz export --as encoder`."""

import json
from pathlib import Path

from command_line import kbz, refused

import keras_bert_zoo as zoo
from keras_bert_zoo.serving import encoder_models
from keras_bert_zoo.serving.encoder_models import EncoderModels


def test_an_encoder_and_its_preprocessor(folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = kbz("export", folders / "mood", "--as", "encoder").stdout
    assert told == "saved_models/mood/preprocessor/1\nsaved_models/mood/encoder/1\n"
    assert zoo.load("saved_models/mood/encoder/1").config == zoo.load(folders / "mood").config
    asked = []
    monkeypatch.setattr(
        encoder_models,
        "export_encoder",
        lambda *given, **options: asked.append((*given, options)) or EncoderModels(Path("x/4"), Path("y/4")),
    )
    options = ["--to", "both", "--version", "4", "--max-length", "9", "--serving-version", "2.16", "--json"]
    result = kbz("export", folders / "encoder", "--as", "encoder", *options)
    assert json.loads(result.stdout) == {"preprocessor": "x/4", "encoder": "y/4"}
    assert asked == [(str(folders / "encoder"), "both", {"version": 4, "seq_length": 9, "serving_version": "2.16"})]


def test_what_cannot_be_exported(folders, tmp_path):
    source = folders / "encoder"
    assert "leave out --precision" in refused(
        "export", source, "--as", "encoder", "--precision", "bfloat16", exit_code=2
    )
    asked = ["export", source, "--as", "encoder", "--to", tmp_path / "x", "--max-length", "24"]
    assert "seq_length is 24, it must be from 3" in refused(*asked)
    assert "or export the encoder itself (kbz export --as encoder)" in refused("export", source, "--to", tmp_path / "x")
