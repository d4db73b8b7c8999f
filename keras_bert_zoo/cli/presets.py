"""`kbz presets`: which weights are known by name, and fetching them."""

from __future__ import annotations

import click

from keras_bert_zoo.cli.options import json_option, print_json


@click.group()
def command() -> None:
    """List and fetch weights that are known by name."""


@command.command("list")
@json_option
def list_presets(as_json: bool) -> None:
    """List the presets.

    \b
    Example:
      kbz presets list
    """
    from keras_bert_zoo.zoo.presets import PRESETS

    if as_json:
        print_json({name: {"description": p.description, "license": p.license} for name, p in PRESETS.items()})
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("preset", "what it is", "license")
    for name, preset in PRESETS.items():
        table.add_row(name, preset.description, preset.license)
    Console().print(table)


@command.command()
@click.argument("name")
@json_option
def fetch(name: str, as_json: bool) -> None:
    """Fetch NAME (a preset or hf://org/name) into the cache and print its folder.

    \b
    Example:
      kbz presets fetch minilm_l6_h384_uncased
    """
    from rich.console import Console

    from keras_bert_zoo.zoo import fetch

    with Console(stderr=True).status(f"Fetching {name} …"):
        folder = fetch(name)
    if as_json:
        print_json({"name": name, "folder": str(folder)})
    else:
        click.echo(folder)
