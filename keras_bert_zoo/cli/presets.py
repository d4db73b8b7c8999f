"""`kbz presets`: which weights are known by name, and fetching them."""

from __future__ import annotations

import click

from keras_bert_zoo.cli.options import json_option, print_json, print_table, working


@click.group()
def command() -> None:
    """List and fetch weights known by name.

    \b
    Example:
      kbz presets list
    """


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
        print_json(
            {
                name: {"description": preset.description, "parameters": preset.parameters, "license": preset.license}
                for name, preset in PRESETS.items()
            }
        )
    else:
        rows = [
            (name, preset.description, f"{preset.parameters / 1e6:.1f} M", preset.license)
            for name, preset in PRESETS.items()
        ]
        print_table(("preset", "what it is", "weights", "license"), rows)


@command.command()
@click.argument("name")
@json_option
def fetch(name: str, as_json: bool) -> None:
    """Fetch weights into the cache and print their folder.

    NAME is a preset or hf://organisation/name[@revision].

    \b
    Example:
      kbz presets fetch minilm_l6_h384_uncased
    """
    from keras_bert_zoo.zoo import fetch

    with working(f"looking for {name}") as say:
        folder = fetch(name, progress=say)
    if as_json:
        print_json({"name": name, "folder": str(folder)})
    else:
        click.echo(folder)
