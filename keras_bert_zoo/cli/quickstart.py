"""`kbz quickstart`: the main job on real weights and real data."""

from __future__ import annotations

import click

from keras_bert_zoo.cli.options import json_option, print_json


@click.command()
@click.option("--out", default="runs/quickstart", show_default=True, type=click.Path(), help="Folder of the run.")
@click.option(
    "--to", "export_to", default="saved_models/movie_mood", show_default=True, type=click.Path(), help="Model folder."
)
@json_option
def command(out: str, export_to: str, as_json: bool) -> None:
    """Fine-tune real weights on real film reviews, export the model, and let it answer raw sentences.

    \b
    Example:
      kbz quickstart
    """
    from keras_bert_zoo.quickstart import SENTENCES, quickstart

    outcome = quickstart(
        out, export_to, say=lambda line: click.echo(line, err=as_json), verbose=0 if as_json else "auto"
    )
    if as_json:
        print_json(
            {
                "run": str(outcome.run),
                "exported": str(outcome.exported),
                "accuracy": outcome.accuracy,
                "majority": outcome.majority,
                "answers": outcome.answers,
            }
        )
        return
    for sentence, answer in zip(SENTENCES, outcome.answers, strict=True):
        click.echo(f"  {answer['label']:8} {answer['score']:.2f}  {sentence}")
    click.echo(f'\nGo on: kbz predict {out} "your own sentence"')
