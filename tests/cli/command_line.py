"""Runs `kbz` inside this process."""

import json
import os
import re
import sys
from pathlib import Path

from click.testing import CliRunner

from keras_bert_zoo.cli import main

SCRIPT = Path(sys.executable).with_name("kbz")


def shell():
    """Return a user's environment: importing JAX or TensorFlow in this process may have set how loud TensorFlow is."""
    return {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}


def own_words(errors):
    """Return what a command wrote on standard error, without the notices that TensorFlow 2.21 cannot keep to itself."""
    notice = r"(WARNING: All log messages before absl.*|[IWE]0000 .*|To enable the following instructions.*)\n"
    return re.sub(notice, "", errors)


def kbz(*arguments, stdin=None, exit_code=0):
    """Run a command and return its click result, which must have this exit code and no traceback."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == exit_code, result.output
    return result


def refused(*arguments, exit_code=1, stdin=None):
    """Run a command that must fail with one clear line, and return that line."""
    result = kbz(*arguments, exit_code=exit_code, stdin=stdin)
    assert result.stdout == ""
    lines = result.stderr.strip().split("\n")
    assert lines[-1].startswith("Error: ")
    assert len(lines) == 1 or lines[0].startswith("Usage: "), lines
    return lines[-1].removeprefix("Error: ")


def json_lines(result):
    return [json.loads(line) for line in result.stdout.splitlines()]
