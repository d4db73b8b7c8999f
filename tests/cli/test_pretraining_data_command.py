"""`kbz pretraining-data`: what it writes, prints and refuses."""

import json
import os
import subprocess
import sys

import pytest
import tiny
from command_line import kbz, refused

from keras_bert_zoo.data import write_pretraining_data

TEXT = "a good film\nthe plot is fine\ngood\n\nit was awful\nso dull\nbad\n\nwarm and funny\nqqq \u00e9\u00e8\n"


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tmp_path.joinpath("corpus").mkdir()
    tmp_path.joinpath("corpus/a.txt").write_bytes(TEXT.encode() + b"film \xff\n")
    tmp_path.joinpath("vocab.txt").write_text("".join(f"{token}\n" for token in tiny.VOCABULARY), encoding="utf-8")
    return tmp_path


COMMAND = ("pretraining-data", "corpus", "--vocabulary", "vocab.txt", "--out", "records")


def test_what_it_writes_and_prints(place):
    options = ["--masks", "static", "--max-length", 16, "--max-predictions", 3, "--dupe-factor", 2, "--shards", 3]
    options += ["--seed", 7, "--names", "model_garden", "--name", "train", "--compress", "--workers", 1]
    options += ["--short-share", 0.3, "--mask-share", 0.2, "--whole-words", "--max-ngram", 2]
    printed = kbz(*COMMAND, *options)
    account = json.loads((place / "records/pretraining.json").read_text())
    assert f"│ examples       │ {account['instances']} " in printed.stdout
    assert "Written to records.\n" in printed.stdout
    assert "Note: 1 invalid bytes were replaced" in printed.stderr
    settings = {"masks": "static", "max_length": 16, "max_predictions": 3, "dupe_factor": 2, "seed": 7}
    settings |= {"short_share": 0.3, "mask_share": 0.2, "whole_words": True, "max_ngram": 2, "names": "model_garden"}
    same = write_pretraining_data(
        "corpus", "again", tiny.tokenizer(), shards=3, name="train", compress=True, **settings
    )
    assert same == account
    for shard in account["shards"]:
        assert (place / "records" / shard["file"]).read_bytes() == (place / "again" / shard["file"]).read_bytes()


def test_json_and_overwriting(place):
    (place / "records").mkdir()
    (place / "records/old.txt").write_text("old")
    said = json.loads(kbz(*COMMAND, "--json", "--overwrite", "--pairs", "none", "--cased").stdout)
    assert said.pop("out") == "records"
    assert said == json.loads((place / "records/pretraining.json").read_text())
    assert said["do_lower_case"] is False
    assert said["kind"] == "ids"
    assert not (place / "records/old.txt").exists()


def test_a_folder_s_tokenizer_tells_its_casing(place):
    from keras_bert_zoo import Tokenizer

    Tokenizer(tiny.VOCABULARY, lower=False).save(place / "model")
    for switch, want in (((), False), (("--uncased",), True)):
        said = kbz("pretraining-data", "corpus", "--vocabulary", "model", "--out", f"r{want}", "--json", *switch)
        assert json.loads(said.stdout)["do_lower_case"] is want


def test_unknown_words_are_told(place):
    (place / "corpus/b.txt").write_text("\u4e2d\u6587\n" * 40, encoding="utf-8")
    assert "% of the tokens are [UNK]. Is the vocabulary made for this text" in kbz(*COMMAND).stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*COMMAND, "nowhere.txt"), "nowhere.txt does not exist."),
        ((*COMMAND, "--max-length", 4), "max_length is 4, want 5 to 65,535"),
        ((*COMMAND, "--whole-words"), "whole_words is for masks='static'"),
        ((*COMMAND, "--invalid", "refuse"), "line 11: byte 0xff is not UTF-8"),
        ((*COMMAND, "--shards", 0), "shards is 0"),
        (("pretraining-data", "corpus", "--vocabulary", "no.txt", "--out", "records"), "no.txt does not exist."),
        (("pretraining-data", "corpus", "--vocabulary", "few.txt", "--out", "records"), "no [MASK] among its 4 tokens"),
        (("pretraining-data", "one.txt", "--vocabulary", "vocab.txt", "--out", "records"), "--pairs none"),
        (("pretraining-data", "empty", "--vocabulary", "vocab.txt", "--out", "records"), "no file is there"),
        (("pretraining-data", "corpus", "--vocabulary", "vocab.txt", "--out", "corpus"), "the folder is there already"),
    ],
)
def test_what_it_refuses(place, arguments, message):
    (place / "few.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n")
    (place / "one.txt").write_text("a good film\nso dull\n")
    (place / "empty").mkdir()
    assert message in refused(*arguments)
    assert sorted(path.name for path in place.iterdir()) == ["corpus", "empty", "few.txt", "one.txt", "vocab.txt"]


def test_without_beam_it_says_what_to_install(place, monkeypatch):
    from keras_bert_zoo.data import pretraining

    monkeypatch.setattr(pretraining, "find_spec", lambda name: None)
    assert "pip install 'keras-bert-zoo[beam]'" in refused(*COMMAND, "--beam", "--runner=DirectRunner")


INTERRUPTED = """
import os, signal, sys
from keras_bert_zoo.cli import run
from keras_bert_zoo.data.pretraining.crew import Crew
do = Crew.do
def stopped(self, step, count, tell):
    if step == "rows":
        return do(self, step, count, tell)
    print(*(process.pid for process in self._processes), len(os.listdir()), flush=True)
    os.kill(os.getpid(), signal.SIGINT)
    signal.pause()
Crew.do = stopped
sys.argv[1:] = sys.argv[1:]
run()
"""


def test_ctrl_c_leaves_nothing(place):
    (place / "out").mkdir()
    command = [*COMMAND[1:-1], "out/records", "--workers", "2", "--dupe-factor", "3"]
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, "pretraining-data", *command, "--scratch", "out"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 130, done.stderr
    assert done.stderr.endswith("\nStopped. No half-written folder is left.\n")
    *workers, _ = map(int, done.stdout.split())
    assert len(workers) == 2
    for pid in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert list((place / "out").iterdir()) == []
