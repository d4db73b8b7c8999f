"""The Beam pipeline writes the very bytes that one process writes."""

import hashlib
import os
import sys

import pytest

import keras_bert_zoo as kbz
from keras_bert_zoo.errors import ConfigError, DataError

beam = pytest.importorskip("apache_beam", reason="apache-beam is not installed (the extra [beam])")

SETTINGS = {"max_length": 23, "max_predictions": 4, "masks": "static", "dupe_factor": 9, "shards": 5}


def sums(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def plain(corpus, tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain") / "records"
    return folder, kbz.write_pretraining_data(corpus, folder, tokenizer, **SETTINGS)


def test_in_memory(plain, corpus, tokenizer, tmp_path, monkeypatch):
    from keras_bert_zoo.data.pretraining import beam_steps, tokens

    monkeypatch.setattr(tokens, "_SENTENCES", 60)  # several parts a file
    monkeypatch.setattr(beam_steps, "ROWS", 7)
    account = kbz.write_pretraining_data(
        corpus, tmp_path / "out", tokenizer, beam=["--runner=DirectRunner"], **SETTINGS
    )
    assert account == plain[1]
    assert sums(tmp_path / "out") == sums(plain[0])
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.slow
def test_in_several_processes(plain, corpus, tokenizer, tmp_path, monkeypatch):
    # The processes begin in a shell, which may know neither this package nor this Python.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    options = ["--runner=DirectRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=3"]
    kbz.write_pretraining_data(corpus, tmp_path / "out", tokenizer, beam=options, **SETTINGS)
    assert sums(tmp_path / "out") == sums(plain[0])


def test_single_segments_and_compressed(corpus, tokenizer, tmp_path):
    given = {
        **SETTINGS,
        "pairs": "none",
        "masks": "dynamic",
        "dupe_factor": 1,
        "compress": True,
        "names": "model_garden",
    }
    kbz.write_pretraining_data(corpus, tmp_path / "plain", tokenizer, **given)
    kbz.write_pretraining_data(corpus, tmp_path / "beam", tokenizer, beam=[], **given)
    assert sums(tmp_path / "beam") == sums(tmp_path / "plain")


def test_text_that_cannot_be(corpus, tokenizer, tmp_path):
    (tmp_path / "bad.txt").write_bytes(b"aaa aab\n\naac \xff aad\n")
    (tmp_path / "none.txt").write_text("\u200d\n")
    for source, options, message in (
        (tmp_path / "bad.txt", {"invalid": "refuse"}, r"bad\.txt, line 3: byte 0xff is not UTF-8"),
        (tmp_path / "none.txt", {}, r"none\.txt: no text of the corpus gives a token"),
        (corpus / "b.txt", {}, r"b\.txt: the corpus is one document"),
        ("kbztest://nowhere/*.txt", {}, "kbztest"),
    ):
        with pytest.raises(DataError, match=message):
            kbz.write_pretraining_data(source, tmp_path / "out", tokenizer, beam=[], **{**SETTINGS, **options})
        assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.txt", "none.txt"]


def test_a_runner_that_is_not_there(corpus, tokenizer, tmp_path):
    with pytest.raises(DataError, match="the Beam pipeline failed: Unexpected pipeline runner: NoRunner"):
        kbz.write_pretraining_data(corpus, tmp_path / "out", tokenizer, beam=["--runner=NoRunner"], **SETTINGS)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_is_kept(corpus, tokenizer, tmp_path):
    (tmp_path / "kept.txt").write_text("mine")
    with pytest.raises(ConfigError, match="the folder is there already"):
        kbz.write_pretraining_data(corpus, tmp_path, tokenizer, beam=[], **SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


def test_a_pipeline_that_fails_is_one_line(corpus, tokenizer, tmp_path, monkeypatch):
    from keras_bert_zoo.data.pretraining import beam_steps

    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(beam_steps, "created", full)
    with pytest.raises(DataError, match=r"the Beam pipeline failed: .*No space left on device") as caught:
        kbz.write_pretraining_data(corpus, tmp_path / "out", tokenizer, beam=[], **SETTINGS)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
