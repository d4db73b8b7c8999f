"""A whole run with contenders that pretend: their figures are known, and so is what must be said of broken ones."""

import contextlib
import json
import os
import time
from pathlib import Path

import pytest

from keras_bert_zoo.benchmark.contenders import CONTENDERS
from keras_bert_zoo.benchmark.measure import absent, difference, measure
from keras_bert_zoo.benchmark.process import Worker
from keras_bert_zoo.benchmark.report import Missing
from keras_bert_zoo.benchmark.turns import Spread
from keras_bert_zoo.errors import ConfigError

# Seconds for 60 texts: a first turn to warm up, then two that count.
OURS = {"fp32": [9, 1, 2], "bf16": [9, 0.5, 1]}
PRECISIONS = {"fp32": "fp32", "bf16": "bf16"}


def workers_of(setup):
    """Return the command lines of the processes that were started with this setup and still run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            found.append(path.read_bytes())
    return [words for words in found if setup.folder.encode() in words]


def test_figures_ratios_and_what_is_missing(fakes, setup):
    fakes.add("ours", OURS, precisions=PRECISIONS)
    fakes.add("ceiling", {"big 8, fp32": [9, 0.5, 1.25], "big 4, fp32": [9, 1, 1], "shapes": [9, 2, 4]}, answer=None)
    peer = {"fp32": [9, 3, 4], "bf16": [9, 1, 1], "int8": [9, 2, 3]}
    fakes.add("peer", peer, precisions={**PRECISIONS, "int8": "int8"}, answer="[0.25005, 0.74995]")
    fakes.add("wrong", {"fp32": [1, 1, 1], "bf16": [1, 1, 1]}, precisions=PRECISIONS, answer="[0.5, 0.5]")
    fakes.add("odd", {"bf16": [1, 1, 1]}, precisions=PRECISIONS, answer="[1.0]")
    fakes.add("dying", {"fp32": [9, 1]})  # its turns run out
    fakes.add("broken", {"fp32": [1, 1, 1]}, before="import no_such_package")
    fakes.add("refusing", {"fp32": [1, 1, 1]}, prepare='raise ConfigError("this model is too small")')
    fakes.add("killed", {"fp32": [1, 1, 1]}, prepare="os.abort()")
    fakes.add("absent", {"fp32": [1, 1, 1]}, packages=("pytest", "no-such-package"))
    fakes.add("unwanted", {"fp32": [1, 1, 1]})
    said = []
    peers = [name for name in CONTENDERS if name != "unwanted"]
    report = measure(setup, sections=["serving"], peers=peers, command="kbz benchmark", say=said.append)

    rows = {(row.contender, row.way): row for row in report.rows}
    assert rows["OURS", "fp32"].figure == Spread(45, 30, 60)
    assert rows["OURS", "bf16"].figure == Spread(90, 60, 120)
    assert rows["PEER", "fp32"].figure == Spread(17.5, 15, 20)
    assert (rows["PEER", "fp32"].ratio, rows["PEER", "fp32"].against) == (Spread(2.5, 2, 3), "fp32")
    assert (rows["PEER", "bf16"].ratio, rows["PEER", "bf16"].against) == (Spread(1.5, 1, 2), "bf16")
    assert (rows["PEER", "int8"].ratio, rows["PEER", "int8"].against) == (Spread(3.5, 3, 4), "bf16")
    assert rows["PEER", "fp32"].difference == pytest.approx(5e-5)
    assert rows["OURS", "fp32"].ratio is rows["OURS", "fp32"].difference is None
    assert rows["WRONG", "bf16"].difference == pytest.approx(0.25)  # another precision may differ, and it is told
    # The best big product: 120 and 60 texts a second.  Ours: 60 and 30.
    assert rows["OURS", "fp32"].share == Spread(0.5, 0.5, 0.5)
    assert rows["OURS", "bf16"].share is None
    assert rows["CEILING", "shapes"].ratio is None
    assert {name for name, _ in rows} == {"OURS", "CEILING", "PEER", "WRONG"}

    told = {(one.contender, one.way): one.why for one in report.missing}
    assert told == {
        ("ABSENT", None): "not installed: no-such-package",
        ("BROKEN", None): "ModuleNotFoundError: No module named 'no_such_package'",
        ("REFUSING", None): "this model is too small",
        ("KILLED", None): "the process ended with code -6",
        ("DYING", "fp32"): "StopIteration",
        ("WRONG", "fp32"): "its answers lie up to 0.25 from ours: not the same function",
        ("ODD", "bf16"): "its answers lie up to inf from ours: not the same function",
    }
    assert report.missing[0] == Missing("serving", "ABSENT", None, "not installed: no-such-package")
    assert report.tokens == {"short": [5.5, 9]}
    assert list(report.versions) == ["pytest"]
    assert said[0] == "OURS: writing what the others need"
    assert said[-1] == "serving: as they come"
    assert workers_of(setup) == []


def test_the_report_is_plain_json(fakes, setup):
    fakes.add("ours", OURS, precisions=PRECISIONS)
    fakes.add("peer", {"fp32": [9, 2, 3]})
    report = measure(setup, sections=["latency"], peers=["peer"], command="kbz benchmark --json")
    told = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert list(told) == ["date", "command", "machine", "versions", "plan", "tokens", "rows", "missing"]
    assert set(told["machine"]) == {
        "processor", "instructions", "cores", "memory_gib", "system", "python", "others", "load_before",
    }  # fmt: skip
    assert 0 <= told["machine"]["others"] <= 1
    assert told["machine"]["cores"] == len(os.sched_getaffinity(0))
    assert told["plan"]["repeats"] == 2
    assert told["rows"][-1] == {
        "section": "latency",
        "workload": "as they come",
        "contender": "PEER",
        "way": "fp32",
        "precision": "fp32",
        "settings": "pretends",
        "figure": {"median": pytest.approx(1e3 / 25), "low": pytest.approx(1e3 / 30), "high": pytest.approx(1e3 / 20)},
        "ratio": {"median": 1.75, "low": 1.5, "high": 2.0},
        "against": "fp32",
        "share": None,
        "difference": 0.0,
    }


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"prepare": 'raise ConfigError("no room")'}, "keras-bert-zoo, serving: no room"),
        ({"before": "1 / 0"}, "keras-bert-zoo: the model could not be made: ZeroDivisionError: division by zero"),
        ({"answer": "1 / 0"}, "keras-bert-zoo, serving: TypeError: 'float' object is not iterable"),
    ],
)
def test_without_ours_there_is_nothing_to_compare(fakes, setup, fault, message):
    answer = fault.pop("answer", "[0.25, 0.75]").replace("1 / 0", "0.5")
    fakes.add("ours", OURS, precisions=PRECISIONS, answer=answer, **fault)
    fakes.add("peer", {"fp32": [9, 2, 3]})
    with pytest.raises(ConfigError, match=message):
        measure(setup, sections=["serving"], peers=["peer"])
    assert workers_of(setup) == []


def test_a_way_of_ours_may_be_missing(fakes, setup):
    before = "Way = __import__('functools').partial(Way, missing='not in this version')"
    fakes.add("ours", OURS, precisions=PRECISIONS, before=before)
    report = measure(setup, sections=["serving"], peers=[])
    assert report.rows == []
    assert [(one.way, one.why) for one in report.missing] == [
        ("fp32", "not in this version"),
        ("bf16", "not in this version"),
    ]


def test_a_worker_that_hangs_is_ended(fakes, setup, tmp_path):
    fakes.add("slow", {"fp32": [1]}, prepare="time.sleep(60)")
    worker = Worker("fake_slow", setup.write(), tmp_path / "log")
    worker.tell(do="prepare", section="serving")
    began = time.monotonic()
    assert worker.hear(patience=0.2) == {"failed": "no reply within 0.2 seconds"}
    assert worker.ask(do="turn", way="fp32", workload="x") == {"failed": "no reply within 0.2 seconds"}
    assert time.monotonic() - began < 30
    assert workers_of(setup) == []


def test_what_a_library_prints_is_no_reply(fakes, setup, tmp_path):
    fakes.add("loud", {"fp32": [1]}, before="print('hello'); os.system('echo there')")
    worker = Worker("fake_loud", setup.write(), tmp_path / "log")
    assert worker.ask(do="prepare", section="serving")["ways"][0]["name"] == "fp32"
    worker.end()
    assert "hello" in (tmp_path / "log").read_text()


def test_what_is_installed(fakes):
    fakes.add("here", {})
    fakes.add("absent", {}, packages=("no-such-package",))
    assert (absent("here"), absent("absent")) == (None, "no-such-package")


def test_difference():
    assert difference([[1.0, 2.0], [3.0]], [[1.0, 2.5], [2.75]]) == 0.5
    assert difference([[1.0], [2.0]], [[1.0, 2.0]]) == float("inf")
    assert difference([], []) == 0
