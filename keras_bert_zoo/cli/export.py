"""`kbz export`: a SavedModel for TensorFlow Serving."""

from __future__ import annotations

from pathlib import Path

import click

from keras_bert_zoo.cli.options import fetched, json_option, print_json, working


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
    kind: str,
    folder: str | None,
    version: int | None,
    max_length: int | None,
    dtype: str,
    as_json: bool,
) -> None:
    """Export a SavedModel that takes raw text.

    SOURCE is a run or a Hugging Face folder with a head.  What is printed is the folder of the new version.  With
    --as encoder it may be any encoder, and there are two folders: the preprocessor's and the encoder's, in float32,
    with TF Hub's interface for text.

    \b
    Examples:
      kbz export runs/mood --to saved_models/mood
      kbz export runs/mood --to saved_models/mood-fast --dtype bfloat16
      kbz export minilm_l6_h384_uncased --as encoder --to saved_models/minilm
    """
    if kind == "encoder" and dtype != "float32":
        raise click.UsageError("--as encoder is float32, to be trained on: leave out --dtype.")
    fetched(source)
    target = folder or Path("saved_models") / Path(source).resolve().name
    with working(f"exporting {source}"):
        if kind == "encoder":
            from keras_bert_zoo.serving.encoder_models import export_encoder

            folders = export_encoder(source, target, version=version, seq_length=max_length)._asdict()
        else:
            from keras_bert_zoo.serving.saved_model import export_bundle

            path = export_bundle(source, target, version=version, max_length=max_length, dtype=dtype)
            folders = {"folder": path}
    if as_json:
        print_json({name: str(path) for name, path in folders.items()})
    else:
        click.echo("\n".join(map(str, folders.values())))
