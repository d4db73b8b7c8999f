"""`kbz benchmark`: a real run of ours on a tiny model, and all that may be wrong with its options."""

import contextlib
import json
import signal
import subprocess
import time
from pathlib import Path

import pytest
from command_line import SCRIPT, kbz, refused, shell

from keras_bert_zoo.benchmark.report import Report, Row
from keras_bert_zoo.benchmark.turns import Spread


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    path = tmp_path_factory.mktemp("texts") / "films.tsv"
    path.write_text("a good film\t1\nso very dull\t0\nthe plot is fine\t1\n")
    return path


def words_of_processes():
    """Yield the command line of every process there is."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            yield path.read_bytes()


def options(folders, texts):
    return ["--quick", "--repeats", "1", "--source", folders / "encoder", "--file", texts, "--train-file", texts]


def test_a_run_as_json(folders, texts, tmp_path):
    more = ["--only", "tokenizer", "--peers", "tokenizers", "--json"]
    written = ["--picture", tmp_path / "ratios.png", "--markdown", tmp_path / "report.md"]
    told = json.loads(kbz("benchmark", *options(folders, texts), *more, *written).stdout)
    assert {(row["section"], row["contender"], row["way"]) for row in told["rows"]} >= {
        ("tokenizer", "keras-bert-zoo", "tokenize"),
        ("tokenizer", "tokenizers", "encode_batch_fast"),
    }
    for row in told["rows"]:
        assert row["figure"]["low"] > 0
        assert (row["ratio"] is None) == (row["contender"] == "keras-bert-zoo")
    assert told["tokens"]["short"] == [pytest.approx((5 + 5 + 6) / 3), 6]
    assert (tmp_path / "ratios.png").stat().st_size > 5000
    assert "### Tokenizer: strings to token ids, MB/s" in (tmp_path / "report.md").read_text()


def test_a_run_as_tables(folders, monkeypatch):
    asked = {}
    machine = {"processor": "Abacus", "instructions": [], "cores": 1, "memory_gib": 1, "python": "3.11", "others": 0}
    row = Row("latency", "one sentence", "ours", "fp32", "fp32", "plain", Spread(2.5, 2, 3))
    report = Report("2026-11-21", "", machine, {}, {"repeats": 3}, {}, [row], [])

    def run(source, **options):
        asked.update(options, source=source)
        return report

    monkeypatch.setattr("keras_bert_zoo.benchmark.run.benchmark", run)
    out = kbz("benchmark", "--source", folders / "encoder", "--only", "serving,latency", "--peers", "openvino").stdout
    assert "\nLatency: one sentence to its probabilities, ms\n" in out
    assert "│ one sentence │ ours      │ fp32 │ 2.50" in out
    assert "\nSettings\n" in out
    assert asked["sections"] == ["serving", "latency"]
    assert (asked["peers"], asked["quick"], asked["repeats"]) == (["openvino"], False, None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "cooking"], "'cooking' is none of tokenizer, encoder, serving, latency, training."),
        (["--peers", "openvino,jax"], "'jax' is none of keras_hub, model_garden, tokenizers, openvino,"),
        (["--peers", "openvino", "--no-peers"], "Give --peers or --no-peers, not both."),
        (["--repeats", "0"], "0 is not in the range x>=1."),
    ],
)
def test_usage(arguments, message):
    assert message in refused("benchmark", *arguments, exit_code=2)


def test_a_file_that_is_not_there(folders):
    said = refused("benchmark", "--source", folders / "encoder", "--file", "no/such.txt")
    assert said == "no/such.txt: cannot be read (No such file or directory)."


def test_a_source_that_cannot_be_used(tmp_path, texts):
    folder = tmp_path / "broken"
    folder.mkdir()
    said = refused("benchmark", *options(tmp_path, texts)[:3], "--source", folder, *options(tmp_path, texts)[5:])
    assert "is of no weight format known here" in said


def test_no_picture_without_peers_is_told_before_the_work(texts):
    said = refused("benchmark", "--no-peers", "--picture", "a.png", exit_code=2)
    assert said == "A picture shows ratios to peers: leave out --no-peers or --picture."


def test_after_ctrl_c_nothing_is_left(folders, texts, tmp_path):
    place = tmp_path / "temporary"
    place.mkdir()
    command = [SCRIPT, "benchmark", *options(folders, texts), "--only", "encoder", "--no-peers"]
    command += ["--markdown", tmp_path / "report.md"]
    process = subprocess.Popen(
        command, env={**shell(), "TMPDIR": str(place)}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 60
    while time.monotonic() < until and not list(place.glob("kbz-benchmark-*/*_encoder.log")):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Stopped." in said
    assert list(place.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["temporary"]
    assert str(place).encode() not in b"".join(words_of_processes())
