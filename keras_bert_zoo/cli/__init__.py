"""The `kbz` command.  One command is its options plus one public call; TensorFlow is imported only to work."""

from __future__ import annotations

import os
import warnings
from importlib import import_module
from typing import Any

import click

from keras_bert_zoo._version import __version__
from keras_bert_zoo.errors import ZooError
from keras_bert_zoo.stopping import end_on_interrupt, ended_at_once_if_broken

COMMANDS = (
    *("quickstart", "presets", "train", "evaluate", "predict", "export", "convert"),
    *("serve", "vocabulary", "pretraining-data", "pretrain", "benchmark", "estimate"),
)


class _Commands(click.Group):
    """Loads a command's module when it is asked for, and prints our own errors as one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return import_module(f"keras_bert_zoo.cli.{cmd_name.replace('-', '_')}").command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ZooError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="kbz")
def main() -> None:
    """BERT from raw text to a served model.

    \b
    Start here:
      kbz quickstart            fine-tune real weights on real data, export, answer
      kbz train --help          fine-tune on your own table
    """
    # TensorFlow's own notices, and its complaint where there is no GPU, are no news: errors arrive as exceptions.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")


def run() -> None:
    """Be the `kbz` script: `main`, which Ctrl-C ends at once and whose warnings are notes of one line."""
    end_on_interrupt()
    warnings.formatwarning = lambda message, *where, **line: f"Note: {message}\n"
    with ended_at_once_if_broken():
        main()
