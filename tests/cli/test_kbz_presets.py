"""`kbz presets`: the table, one entry, a fetch and its bar."""

import dataclasses
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import json_lines, kbz, refused
from rich.console import Console

from keras_bert_zoo.cli import options
from keras_bert_zoo.zoo import checksums, entries
from keras_bert_zoo.zoo.checksums import Record
from keras_bert_zoo.zoo.presets import PRESETS


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, so that what this machine holds does not show."""
    monkeypatch.setenv("KBZ_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def listed(*arguments):
    (found,) = json_lines(kbz("presets", "list", "--json", *arguments))
    return found


def pretend(name, cache):
    """Put an entry's files into the cache."""
    preset = PRESETS[name]
    if preset.members:
        folder = cache / entries._entry(preset)
        for target in preset.members.values():
            (folder / target).parent.mkdir(parents=True, exist_ok=True)
            (folder / target).touch()
    else:
        folder = cache / "hub" / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        record = Record(preset.source.address, {"config.json": "ab12"}, {"config.json": 2}, "c" * 40, str(folder))
        checksums.write(name, record)
    return folder


def test_the_list_for_programs(cache):
    found = listed()
    assert list(found) == list(PRESETS)
    minilm = found["minilm_l6_h384_uncased"]
    assert minilm["parameters"] == 22_713_216
    assert minilm["memory"] == {"float32": 4 * 22_713_216, "bfloat16": 2 * 22_713_216}
    assert (minilm["casing"], minilm["verified"], minilm["cached"]) == ("uncased", True, None)
    assert [name for name, values in found.items() if values["verified"]] == ["minilm_l6_h384_uncased"]
    assert found["LaBSE"]["config"]["vocab_size"] == 501_153
    assert found["bert-base-uncased"]["source"] == "hf://google-bert/bert-base-uncased"
    assert found["bert-base-uncased"]["config"]["hidden_act"] == "gelu_erf"
    assert found["uncased_L-12_H-768_A-12"]["config"]["hidden_act"] == "gelu_tanh"


def test_the_list_for_people(cache):
    pretend("uncased_L-2_H-128_A-2", cache)
    lines = [[cell.strip() for cell in line.split("│")] for line in kbz("presets", "list").stdout.splitlines()]
    rows = {cells[1]: cells[2:-1] for cells in lines if len(cells) > 2}
    assert rows["minilm_l6_h384_uncased"] == ["22.7 M", "87 MiB", "43 MiB", "uncased", "Apache-2.0", "yes", "-"]
    assert rows["uncased_L-2_H-128_A-2"] == ["4.4 M", "17 MiB", "8 MiB", "uncased", "Apache-2.0", "-", "yes"]
    assert rows["bert-large-cased"] == ["333.6 M", "1.2 GiB", "636 MiB", "cased", "Apache-2.0", "-", "-"]
    assert len(rows) == len(PRESETS)


def test_some_of_the_list(cache):
    assert list(listed("BGE_*")) == ["bge-small-en-v1.5", "bge-base-en-v1.5", "bge-large-en-v1.5"]
    assert list(listed("scibert")) == ["scibert_scivocab_uncased", "scibert_scivocab_cased"]
    assert list(listed("allenai/*_cased")) == ["scibert_scivocab_cased"]
    assert listed("no such thing") == listed("--cached") == {}
    assert kbz("presets", "list", "--cached").stdout == "No preset is like that.\n"
    for name in ("e5-small", "uncased_L-2_H-128_A-2"):
        folder = pretend(name, cache)
        assert listed(name)[name]["cached"] == str(folder)
    assert list(listed("--cached")) == ["uncased_L-2_H-128_A-2", "e5-small"]
    assert list(listed("e5", "--cached")) == ["e5-small"]
    (folder / "vocab.txt").unlink()
    (cache / "hub/e5-small/config.json").write_text("{ }")
    assert listed("--cached") == {}
    (cache / "hub/e5-small/config.json").unlink()
    assert listed("--cached") == {}


def test_one_entry(cache):
    (values,) = json_lines(kbz("presets", "show", "BERT_base_uncased", "--json"))
    assert values == {"name": "bert-base-uncased", **listed("google-bert/bert-base-uncased")["bert-base-uncased"]}
    pretend("bert-base-uncased", cache)
    output = kbz("presets", "show", "google-bert/bert-base-uncased").stdout
    for told in ("109,482,240", "418 MiB in float32, 209 MiB in bfloat16", "hidden_act gelu_erf", "never fetched by"):
        assert told in output
    assert "config.json ab12" in output
    assert f"{cache}/hub/bert-base-uncased" in output
    assert "There is no preset 'bert-bas-uncased'. Did you mean bert-base-uncased, " in refused(
        "presets", "show", "bert-bas-uncased"
    )
    assert refused("presets", "show", "§") == "There is no preset '§'. See kbz presets list."
    assert "'bert-large' may mean uncased_L-24_H-1024_A-16, " in refused("presets", "show", "bert-large")


def test_a_preset_is_fetched_with_word_of_its_progress(monkeypatch):
    told = []

    def fetch(name, *, progress, meter, accept_changed):
        told.append((name, accept_changed))
        progress("fetching [bold]")  # a file's name is no markup
        meter(3, None)
        meter(7, 9)
        return Path("/cache") / name

    monkeypatch.setattr("keras_bert_zoo.zoo.fetch", fetch)
    result = kbz("presets", "fetch", "some_preset")
    assert (result.stdout, result.stderr) == ("/cache/some_preset\n", "")  # this is no terminal
    assert json_lines(kbz("presets", "fetch", "other", "--json", "--accept-changed")) == [
        {"name": "other", "folder": "/cache/other"}
    ]
    assert told == [("some_preset", False), ("other", True)]


def test_the_bar_on_a_terminal(monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(
        "rich.console.Console", lambda **options: Console(file=screen, force_terminal=True, width=110, **{})
    )
    with options.downloading("looking for x") as (say, meter):
        say("fetching [bold]x.zip")
        meter(3 * 2**20, 4 * 2**20)
    shown = screen.getvalue()
    assert "looking for x …" in shown
    assert "fetching [bold]x.zip …" in shown
    assert "3.0/4.0 MiB" in shown
    assert "━" in shown


def test_an_unknown_preset():
    assert "Did you mean minilm_l6_h384_uncased, " in refused("presets", "fetch", "minilm_l6")
    assert "when the list was made, ProsusAI/finbert was published as pickles alone" in refused(
        "presets", "fetch", "FinBERT"
    )


def test_it_imports_no_framework():
    script = (
        "import sys; from keras_bert_zoo.cli import main\n"
        "main(sys.argv[1:], standalone_mode=False)\n"
        "heavy = ('tensorflow', 'keras', 'numpy', 'requests', 'huggingface_hub')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    arguments = ["presets", "list", "--json"]
    run = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    table, heavy = run.stdout.splitlines()
    assert (heavy, len(json.loads(table))) == ("[]", len(PRESETS))


def test_a_preset_with_a_plain_table(monkeypatch):
    """No cell of the table is markup."""
    preset = dataclasses.replace(PRESETS["e5-small"], name="[bold]x", license="[red]")
    monkeypatch.setitem(PRESETS, "[bold]x", preset)
    assert "[bold]x" in kbz("presets", "list", "[bold]").stdout
