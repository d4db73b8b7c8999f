"""`kbz presets` and what `kbz quickstart` prints."""

import sys
from pathlib import Path

from command_line import json_lines, kbz

import keras_bert_zoo.quickstart
from keras_bert_zoo.cli import places
from keras_bert_zoo.quickstart import SENTENCES, Outcome
from keras_bert_zoo.stopping import Stopped


def test_what_the_quickstart_prints(monkeypatch):
    answers = [{"label": "positive", "score": 0.875} for _ in SENTENCES]
    asked = []

    def quickstart(out, export_to, *, say, verbose):
        asked.append((out, export_to, verbose))
        say("Data: …")
        return Outcome(Path(out), Path(export_to) / "1", 0.75, 0.5, 8, answers)

    monkeypatch.setattr(keras_bert_zoo.quickstart, "quickstart", quickstart)
    result = kbz("quickstart", "--out", "runs/q")
    lines = result.stdout.splitlines()
    assert lines[0] == "Data: …"
    assert lines[1 : 1 + len(SENTENCES)] == [f"  positive 0.88  {sentence}" for sentence in SENTENCES]
    assert lines[-1] == 'Go on: kbz predict runs/q "your own sentence"'
    result = kbz("quickstart", "--json", "--to", "elsewhere")
    assert json_lines(result) == [
        {"run": "runs/quickstart", "exported": "elsewhere/1", "accuracy": 0.75, "majority": 0.5, "answers": answers}
    ]
    assert result.stderr == "Data: …\n"  # JSON stands alone on standard output
    assert asked == [("runs/q", "saved_models/movie_mood", 2), ("runs/quickstart", "elsewhere", 0)]


def test_a_quickstart_that_control_c_stops(monkeypatch):
    def quickstart(*arguments, **options):
        raise Stopped(2, 1234)

    monkeypatch.setattr(keras_bert_zoo.quickstart, "quickstart", quickstart)
    monkeypatch.setattr(places.os, "_exit", sys.exit)
    result = kbz("quickstart", exit_code=130)
    assert result.stderr == "Stopped after step 1,234. The same command goes on from there.\n"
