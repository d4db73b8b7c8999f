"""What several commands share: options, progress and ways to print."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from keras_bert_zoo.data.corpus_files import INVALID
from keras_bert_zoo.data.glue import GLUE
from keras_bert_zoo.errors import DataError

_FILE_WIDTH = 2000  # a file has no edge to wrap a table's cells at


def together(*options: Callable[..., Any]) -> Callable[..., Any]:
    """Return several options as one decorator; help shows them in this order."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return add


# The names of a table's columns.
column_options = together(
    click.option("--text", default="text", show_default=True, help="Column of the text."),
    click.option("--text-pair", help="Column of the second text, for pairs."),
    click.option("--label", default="label", show_default=True, help="Column of the label."),
)


class _Setting(click.ParamType):
    """NAME=VALUE; the value is JSON where it reads as such, else text."""

    name = "NAME=VALUE"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        name, sign, text = value.partition("=")
        if not sign or not name.isidentifier():
            self.fail(f"{value!r} is not NAME=VALUE, such as doc_stride=64.", param, ctx)
        try:
            return name, json.loads(text)
        except ValueError:
            return name, text


set_option = click.option(
    "--set", "settings", type=_Setting(), multiple=True, help="An argument of the head, such as doc_stride=64."
)


def choice_option(name: str, choices: Sequence[str], text: str) -> Callable[..., Any]:
    """Return an option that takes one of some words; the first is what it is unless given."""
    return click.option(name, type=click.Choice(choices), default=choices[0], show_default=True, help=text)


invalid_option = choice_option("--invalid", INVALID, "What becomes of bytes that are not UTF-8.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
batch_size_option = click.option(
    "--batch-size", type=click.IntRange(1), default=32, show_default=True, help="Rows a batch."
)
glue_option = click.option(
    "--glue", type=click.Choice(list(GLUE)), help="Files are this GLUE task's, as they come; columns are known."
)


def no_columns(ctx: click.Context, *names: str) -> None:
    """Refuse names of columns beside --glue.  Raises: UsageError."""
    for name in names:
        if given(ctx, name):
            raise click.UsageError(f"--glue tells the columns: leave out --{name.replace('_', '-')}.")


def given(ctx: click.Context, name: str) -> bool:
    """Tell whether an option is on the command line, be it with its default."""
    return ctx.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT


def check_there(path: str) -> None:
    """Find out before TensorFlow is imported that a file is missing.  Raises: DataError."""
    if not Path(path).expanduser().exists():
        raise DataError(f"{path} does not exist.")


@contextmanager
def told_warnings() -> Iterator[None]:
    """Print each warning of the work inside as a line of its own, where it came from left out."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for warning in caught:
        click.echo(f"Note: {warning.message}", err=True)


@contextmanager
def working(what: str) -> Iterator[Callable[[str], None]]:
    """Show what is being done, on a terminal's standard error alone; the function handed out changes the words."""
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status(Text(f"{what} …")) as status:
        yield lambda words: status.update(Text(f"{words} …"))


@contextmanager
def downloading(what: str) -> Iterator[tuple[Callable[[str], None], Callable[[int, int | None], None]]]:
    """Show a download, on a terminal's standard error alone; the functions handed out are `fetch`'s own two."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
    )
    words = (SpinnerColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*words, console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task(f"{what} …", total=None)

        def say(sentence: str) -> None:
            shown.columns = words
            shown.update(task, description=f"{sentence} …")

        def meter(done: int, total: int | None) -> None:
            shown.columns = columns
            shown.update(task, completed=done, total=total)

        yield say, meter


def fetched(source: str) -> None:
    """Have a source's files on this machine before TensorFlow is imported: an unknown name fails at once."""
    from keras_bert_zoo.zoo import fetch

    with downloading(f"looking for {source}") as (say, meter):
        fetch(source, progress=say, meter=meter)


def fit_verbosity(as_json: bool) -> int | str:
    """Return Keras's `verbose`: a moving bar is for terminals, a file gets one line an epoch, JSON stands alone."""
    if as_json:
        return 0
    return "auto" if sys.stdout.isatty() else 2


def print_json(value: Any) -> None:
    """Print a value for a program to read."""
    click.echo(json.dumps(value, ensure_ascii=False))


def print_figures(title: str, figures: Mapping[str, float]) -> None:
    """Print named numbers as a table."""
    click.echo(title)
    print_table(("figure", "value"), [(name, f"{value:.4f}") for name, value in figures.items()])


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print cells as they stand: no cell is markup."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for name in header:
        table.add_column(Text(name))
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console()
    if not console.is_terminal:
        console.width = _FILE_WIDTH
    console.print(table)
