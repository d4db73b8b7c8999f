"""`kbz presets` and what `kbz quickstart` prints."""

from pathlib import Path

from command_line import json_lines, kbz, refused

import keras_bert_zoo.quickstart
from keras_bert_zoo.quickstart import SENTENCES, Outcome


def test_presets_are_listed():
    (listed,) = json_lines(kbz("presets", "list", "--json"))
    assert listed["minilm_l6_h384_uncased"]["parameters"] == 22_713_216
    assert "minilm_l6_h384_uncased" in kbz("presets", "list").stdout
    assert "22.7 M" in kbz("presets", "list").stdout


def test_a_preset_is_fetched_with_word_of_its_progress(monkeypatch):
    told = []

    def fetch(name, *, progress):
        told.append(name)
        progress("fetching [bold]")  # a file's name is no markup
        return Path("/cache") / name

    monkeypatch.setattr("keras_bert_zoo.zoo.fetch", fetch)
    assert kbz("presets", "fetch", "some_preset").stdout == "/cache/some_preset\n"
    assert json_lines(kbz("presets", "fetch", "other", "--json")) == [{"name": "other", "folder": "/cache/other"}]
    assert told == ["some_preset", "other"]


def test_an_unknown_preset():
    assert "Did you mean minilm_l6_h384_uncased?" in refused("presets", "fetch", "minilm_l6")


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
