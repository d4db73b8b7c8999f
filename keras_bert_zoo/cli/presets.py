"""`kbz presets`: which weights are known by name, and fetching them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from keras_bert_zoo.cli.options import downloading, json_option, print_json, print_table
from keras_bert_zoo.cli.showing import bytes_shown
from keras_bert_zoo.errors import DownloadError

if TYPE_CHECKING:
    from keras_bert_zoo.zoo.preset import Preset

_WIDTHS = {"float32": 4, "bfloat16": 2}  # bytes of a weight


@click.group()
def command() -> None:
    """List and fetch weights known by name.

    \b
    Example:
      kbz presets list
    """


@command.command("list")
@click.argument("pattern", default="")
@click.option("--cached", "only_cached", is_flag=True, help="Only those that were fetched before.")
@json_option
def list_presets(pattern: str, only_cached: bool, as_json: bool) -> None:
    """List the presets, or those one of whose names holds PATTERN.

    "verified" tells which were fetched and checked by those who wrote this list; the others are as their publishers
    describe them, and are checked when they are fetched.

    \b
    Examples:
      kbz presets list
      kbz presets list "bge-*"
      kbz presets list uncased --cached
    """
    from keras_bert_zoo.zoo import names

    found = [values for preset in names.matching(pattern) if (values := _values(preset))["cached"] or not only_cached]
    if as_json:
        print_json({values.pop("name"): values for values in found})
    elif found:
        rows = [
            (
                values["name"],
                f"{values['parameters'] / 1e6:.1f} M",
                *map(bytes_shown, values["memory"].values()),
                values["casing"],
                values["license"].partition(" ")[0].rstrip(","),
                *("yes" if values[name] else "-" for name in ("verified", "cached")),
            )
            for values in found
        ]
        print_table(("preset", "weights", "fp32", "bf16", "casing", "license", "verified", "cached"), rows)
    else:
        click.echo("No preset is like that.")


@command.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show all that is known of one preset.

    \b
    Example:
      kbz presets show bert-base-uncased
    """
    from keras_bert_zoo.zoo import names

    preset = names.find(name)
    if preset is None:
        close = names.close(name)
        raise DownloadError(
            f"There is no preset '{name}'.{f' Did you mean {close}?' if close else ''} See kbz presets list."
        )
    values = _values(preset)
    if as_json:
        print_json(values)
        return
    values |= {
        "parameters": f"{preset.parameters:,}",
        "memory": ", ".join(f"{bytes_shown(value)} in {name}" for name, value in values["memory"].items()),
        "config": ", ".join(f"{name} {value}" for name, value in values["config"].items()),
        "aliases": ", ".join(preset.aliases),
        "verified": "yes" if preset.verified else "no, it was never fetched by those who wrote this down",
    }
    values["checksums"] = ", ".join(f"{name} {value}" for name, value in values["checksums"].items())
    print_table(("preset", values.pop("name")), [(name, str(value or "-")) for name, value in values.items()])


@command.command()
@click.argument("name")
@click.option(
    "--accept-changed", is_flag=True, help="Fetch a preset anew and record the checksums that its source has now."
)
@json_option
def fetch(name: str, accept_changed: bool, as_json: bool) -> None:
    """Fetch weights into the cache and print their folder.

    NAME is a preset or hf://organisation/name[@revision].  What broke off is taken up where it stopped.

    \b
    Example:
      kbz presets fetch minilm_l6_h384_uncased
    """
    from keras_bert_zoo.zoo import fetch

    with downloading(f"looking for {name}") as (say, meter):
        folder = fetch(name, progress=say, meter=meter, accept_changed=accept_changed)
    if as_json:
        print_json({"name": name, "folder": str(folder)})
    else:
        click.echo(folder)


def _values(preset: Preset) -> dict[str, Any]:
    """Return a preset as plain values."""
    from keras_bert_zoo.zoo import checksums, entries

    folder = entries.cached(preset)
    record = checksums.read(preset.name, preset.source.address)
    return {
        "name": preset.name,
        "description": preset.description,
        "source": preset.source.address,
        "parameters": preset.parameters,
        "memory": {name: preset.parameters * width for name, width in _WIDTHS.items()},
        "casing": preset.casing,
        "license": preset.license,
        "citation": preset.citation,
        "verified": preset.verified,
        "cached": str(folder) if folder else None,
        "config": preset.config.to_dict(),
        "aliases": list(preset.aliases),
        "checksums": dict(record.sha256) if record else {},
    }
