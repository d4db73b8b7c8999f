"""Options that several commands share."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click


def column_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the names of a table's columns."""
    for option in reversed(
        (
            click.option("--text", default="text", show_default=True, help="Column of the text."),
            click.option("--text-pair", help="Column of the second text, for pairs."),
            click.option("--label", default="label", show_default=True, help="Column of the label."),
        )
    ):
        function = option(function)
    return function


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
batch_size_option = click.option(
    "--batch-size", type=click.IntRange(1), default=32, show_default=True, help="Rows a batch."
)


def print_json(value: Any) -> None:
    """Print a value for a program to read."""
    click.echo(json.dumps(value, ensure_ascii=False))


def print_figures(title: str, figures: dict[str, float]) -> None:
    """Print named numbers as a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table("figure", "value", title=title, title_justify="left")
    for name, value in figures.items():
        table.add_row(name, f"{value:.4f}")
    Console().print(table)
