"""`kbz export`: a SavedModel for TensorFlow Serving."""

from __future__ import annotations

from pathlib import Path

import click

from keras_bert_zoo.cli.options import fetched, json_option, print_json, working


@click.command()
@click.argument("source")
@click.option("--to", "folder", type=click.Path(), help="Model folder; saved_models/<name of SOURCE> unless given.")
@click.option("--version", type=click.IntRange(1), help="Version number; the next free one unless given.")
@click.option("--max-length", type=click.IntRange(3), help="Limit in tokens; that of the run unless given.")
@click.option(
    "--dtype",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="Precision of weights and layers; bfloat16 halves both size and time where the processor knows it.",
)
@json_option
def command(
    source: str,
    folder: str | None,
    version: int | None,
    max_length: int | None,
    dtype: str,
    as_json: bool,
) -> None:
    """Export a SavedModel that takes raw text.

    SOURCE is a run or a Hugging Face folder with a head.  What is printed is the folder of the new version.

    \b
    Examples:
      kbz export runs/mood --to saved_models/mood
      kbz export runs/mood --to saved_models/mood-fast --dtype bfloat16
    """
    fetched(source)
    target = folder or Path("saved_models") / Path(source).resolve().name
    with working(f"exporting {source}"):
        from keras_bert_zoo.serving.saved_model import export_bundle

        path = export_bundle(source, target, version=version, max_length=max_length, dtype=dtype)
    if as_json:
        print_json({"folder": str(path)})
    else:
        click.echo(path)
