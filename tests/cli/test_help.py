"""What a newcomer reads first: help, wrong arguments, and how long they take."""

import itertools
import resource
import subprocess
import sys

import click
import pytest
from command_line import SCRIPT, kbz, refused

from keras_bert_zoo.cli import COMMANDS, main

PAGES = [*([name] for name in COMMANDS), *(["presets", name] for name in ("list", "show", "fetch"))]


def test_the_overview_tells_every_command_in_a_whole_sentence():
    text = kbz("--help").stdout
    width = max(map(len, COMMANDS))
    for name in COMMANDS:
        line = main.get_command(click.Context(main), name).help.split("\n")[0]
        assert f"  {name:{width}}  {line}\n" in text  # not cut to "..."
        assert line.endswith(".")


@pytest.mark.parametrize("page", PAGES, ids=" ".join)
def test_every_page_has_an_example(page):
    text = kbz(*page, "--help").stdout
    assert f"Usage: main {' '.join(page)}" in text
    assert "Example" in text
    assert f"  kbz {page[0]} " in text or f"  kbz {page[0]}\n" in text
    options = text.split("Options:\n")[1].split("\nCommands:")[0]
    lines = [*options.splitlines(), ""]
    for line, after in itertools.pairwise(lines):  # no option without a word about it, beside it or below
        assert not line.startswith("  --") or "  " in line.strip() or after.startswith(" " * 20), line


def test_the_short_form_and_the_version():
    assert kbz("-h").stdout == kbz("--help").stdout
    assert kbz("--version").stdout == "kbz, version 0.1.0\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bogus"], "No such command 'bogus'."),
        (["train"], "Missing argument 'SOURCE'."),
        (["train", "minilm_l6_h384_uncased", "--out", "runs/a"], "Missing option '--train'."),
        (["train", "x", "--epohcs", "y"], "No such option '--epohcs'. Did you mean '--epochs'?"),
        (["predict"], "Missing argument 'SOURCE'."),
        (["predict", "mood", "a text", "--file", "b.txt"], "Give texts or --file, not both."),
        (["export", "mood", "--version", "0"], "Invalid value for '--version': 0 is not in the range x>=1."),
    ],
)
def test_usage_errors_exit_2(arguments, message):
    assert message in refused(*arguments, exit_code=2)


def test_without_a_command_there_is_help():
    result = kbz(exit_code=2)
    assert "Start here:" in result.stderr


@pytest.mark.parametrize(
    "arguments", [[], ["train"], ["predict"], ["convert"]], ids=["kbz", "train", "predict", "convert"]
)
def test_help_is_quick_and_imports_no_tensorflow(arguments):
    def once():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([SCRIPT, *arguments, "--help"], check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime

    assert min(once() for _ in range(3)) < 0.5  # seconds of processor: others may be busy on this machine
    script = (
        "import sys; from keras_bert_zoo.cli import main\n"
        "main(sys.argv[1:], standalone_mode=False)\n"
        "print([name for name in ('tensorflow', 'keras', 'numpy', 'matplotlib') if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, *arguments, "--help"], capture_output=True, text=True, check=True
    )
    assert run.stdout.splitlines()[-1] == "[]"
