"""`kbz export`: a SavedModel for TensorFlow Serving."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from keras_bert_zoo.cli.options import (
    batch_size_option,
    check_there,
    choice_option,
    column_options,
    fetched,
    given,
    json_option,
    print_json,
    print_table,
    working,
)
from keras_bert_zoo.serving.versions import OLDEST, TEXT

# Figures by name, by precision.
Figures = dict[str, dict[str, float]]
# What says how rows are read; each is for --data alone.
_OF_DATA = ("text", "text_pair", "label", "batch_size")


@click.command()
@click.argument("source")
@click.option(
    "--as",
    "kind",
    type=click.Choice(["answers", "encoder"]),
    default="answers",
    show_default=True,
    help="What answers raw text with the head, or the encoder and its preprocessor for others to build on.",
)
@click.option("--to", "folder", type=click.Path(), help="Model folder; saved_models/<name of SOURCE> unless given.")
@click.option("--version", type=click.IntRange(1), help="Version number; the next free one unless given.")
@click.option("--max-length", type=click.IntRange(3), help="Limit in tokens: the run's; an encoder's rows are 128.")
@choice_option(
    "--precision",
    ["float32", "bfloat16"],
    "Of weights and layers; bfloat16 halves both size and time where the processor knows it.",
)
@click.option(
    "--serving-version",
    type=click.Choice(list(TEXT)),
    default=OLDEST,
    show_default=True,
    help="TensorFlow Serving it is for; an operation which that lacks is refused. Newer ones run it too.",
)
@click.option("--data", type=click.Path(), help="Your own rows: tells what bfloat16 costs on them, beside float32.")
@column_options
@batch_size_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    source: str,
    kind: str,
    folder: str | None,
    version: int | None,
    max_length: int | None,
    precision: str,
    serving_version: str,
    data: str | None,
    text: str,
    text_pair: str | None,
    label: str,
    batch_size: int,
    as_json: bool,
) -> None:
    """Export a SavedModel that takes raw text.

    SOURCE is a run or a Hugging Face folder with a head.  What is printed is the folder of the new version.  With
    --as encoder it may be any encoder, and there are two folders: the preprocessor's and the encoder's, in float32,
    with TF Hub's interface for text.

    \b
    Examples:
      kbz export runs/mood --to saved_models/mood
      kbz export runs/mood --to saved_models/mood-fast --precision bfloat16 --data dev.tsv
      kbz export minilm_l6_h384_uncased --as encoder --to saved_models/minilm
    """
    _check_usage(ctx, kind, precision, data)
    fetched(source)
    target = folder or Path("saved_models") / Path(source).resolve().name
    figures: Figures = {}
    with working(f"exporting {source}") as say:
        options: dict[str, Any] = {"version": version, "serving_version": serving_version}
        if kind == "encoder":
            from keras_bert_zoo.serving.encoder_models import export_encoder

            folders = export_encoder(source, target, seq_length=max_length, **options)._asdict()
        else:
            from keras_bert_zoo.serving.saved_model import export_bundle

            if data is not None:
                say(f"measuring {source} on {data}, in float32 and {precision}")
                columns = {"text": text, "text_pair": text_pair, "label": label}
                figures = _measured(source, data, columns, precision, batch_size)
                say(f"exporting {source}")
            path = export_bundle(source, target, max_length=max_length, precision=precision, **options)
            folders = {"folder": path}
    told = {name: str(path) for name, path in folders.items()}
    if as_json:
        print_json({**told, **({"figures": figures} if figures else {})})
        return
    if figures:
        click.echo(f"{source} on {data}")
        _print_difference(figures)
    click.echo("\n".join(told.values()))


def _check_usage(ctx: click.Context, kind: str, precision: str, data: str | None) -> None:
    """Refuse options that say nothing together.  Raises: UsageError; DataError where the data is not there."""
    if kind == "encoder" and data is not None:
        raise click.UsageError("--data measures a head, which --as encoder leaves out: leave out --data.")
    if kind == "encoder" and precision != "float32":
        raise click.UsageError("--as encoder is float32, to be trained on: leave out --precision.")
    if data is None:
        for name in _OF_DATA:
            if given(ctx, name):
                raise click.UsageError(f"--{name.replace('_', '-')} is about --data, which is not given.")
        return
    if precision == "float32":
        raise click.UsageError("--data compares a smaller precision with float32: add --precision bfloat16.")
    check_there(data)


def _measured(source: str, data: str, columns: Mapping[str, str | None], precision: str, batch_size: int) -> Figures:
    """Return the figures of a model on the rows of a file, by precision."""
    from keras_bert_zoo.bundle import load
    from keras_bert_zoo.data.reading import reader
    from keras_bert_zoo.heads import reader_of
    from keras_bert_zoo.serving.precision import precision_figures

    bundle = load(source)
    rows = reader(reader_of(None if bundle.head is None else bundle.head.name))(data, **columns)
    return precision_figures(bundle, rows, precision, batch_size=batch_size)


def _print_difference(figures: Figures) -> None:
    """Print the figures of both precisions, and by how much the second one's differ."""
    (first, whole), (second, smaller) = figures.items()
    cells = [
        (name, f"{value:.4f}", f"{smaller[name]:.4f}", f"{smaller[name] - value:+.4f}") for name, value in whole.items()
    ]
    print_table(("figure", first, second, "difference"), cells)
