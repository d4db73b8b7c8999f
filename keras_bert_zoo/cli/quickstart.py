"""`kbz quickstart`: the main job on real weights and real data."""

from __future__ import annotations

import click

from keras_bert_zoo.cli.options import fit_verbosity, json_option, print_json
from keras_bert_zoo.cli.places import end_stopped
from keras_bert_zoo.stopping import Stopped


@click.command()
@click.option("--out", default="runs/quickstart", show_default=True, type=click.Path(), help="Folder of the run.")
@click.option(
    "--to", "export_to", default="saved_models/movie_mood", show_default=True, type=click.Path(), help="Model folder."
)
@json_option
def command(out: str, export_to: str, as_json: bool) -> None:
    """Fine-tune on film reviews, export, answer.

    Real weights (MiniLM) learn to tell negative from positive sentences on real data (movie_snippets); the run
    folder is replaced, the export gets the next version number.  Some minutes on a laptop.

    \b
    Example:
      kbz quickstart
    """
    from keras_bert_zoo.quickstart import SENTENCES, quickstart

    try:
        outcome = quickstart(
            out, export_to, say=lambda line: click.echo(line, err=as_json), verbose=fit_verbosity(as_json)
        )
    except Stopped as stopped:
        end_stopped(stopped, "default")
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
