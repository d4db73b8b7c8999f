"""`kbz pretrain`: learn a BERT from pretraining records."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from contextlib import nullcontext
from typing import Any

import click

from keras_bert_zoo.cli.options import (
    choice_option,
    fit_verbosity,
    given,
    json_option,
    print_figures,
    print_json,
    working,
)
from keras_bert_zoo.cli.places import chosen_strategy, end_stopped, is_chief, strategy_options
from keras_bert_zoo.cli.tuning import checkpoint_options, compiling_options
from keras_bert_zoo.stopping import Stopped
from keras_bert_zoo.training import recipes
from keras_bert_zoo.training.recipes import Phase, Recipe
from keras_bert_zoo.training.shares import SHARINGS

_DEFAULTS = {field.name: field.default for field in dataclasses.fields(Recipe)}
_NOT_TOLD = ("step", "phase", "steps", "learning_rate")
_PHASE = ("train", "steps", "batch_size")  # what a recipe's phases say


def _choice(name: str, choices: tuple[str, ...], help: str) -> Any:
    default = _DEFAULTS[name]
    return click.option(
        f"--{name.replace('_', '-')}", type=click.Choice(choices), default=default, show_default=True, help=help
    )


def _number(name: str, kind: Any, help: str) -> Any:
    default = _DEFAULTS[name]
    shown = default is not None
    metavar = "FLOAT" if kind is float else "INTEGER"  # shorter than what click says of a range
    option = f"--{name.replace('_', '-')}"
    return click.option(option, type=kind, default=default, show_default=shown, metavar=metavar, help=help)


_COUNT = click.IntRange(1)


@click.command()
@click.argument("model")
@click.option("--train", multiple=True, help="Folder of kbz pretraining-data, or files by name or pattern.")
@click.option("--validation", multiple=True, help="The same of rows held out.")
@click.option(
    "--vocabulary", type=click.Path(), help="A vocab.txt or a tokenizer's folder, where MODEL begins from nothing."
)
@click.option("--uncased/--cased", "lower", default=None, help="Whether texts are lower-cased; the data usually tell.")
@click.option("--out", required=True, type=click.Path(), help="Folder of the run.")
@click.option("--overwrite", is_flag=True, help="Delete what the folder holds, unless it is this run, unfinished.")
@click.option("--recipe", type=click.Path(), help="JSON file with phases and settings; other options go over it.")
@click.option("--steps", type=_COUNT, help="Updates in all.")
@click.option("--batch-size", type=_COUNT, default=32, show_default=True, help="Rows a batch.")
@_choice("optimizer", recipes.OPTIMIZERS, "LAMB is for batches of thousands.")
@_number("learning_rate", float, "Highest learning rate.")
@_number("warmup", click.IntRange(0), "Updates it rises in; unless given a tenth of them all, 10,000 at most.")
@_number("power", float, "How it falls: 1 in a straight line, 0.5 late.")
@_number("end_learning_rate", float, "Learning rate at the end.")
@_number("weight_decay", float, "Decay of all weights but biases and norms.")
@_number("clip_norm", float, "Limit of the gradients' norm.")
@_choice("precision", recipes.PRECISIONS, "What is computed in; weights are float32.")
@_number("gradient_accumulation", _COUNT, "Parts of a batch that follow one another, for less memory.")
@_choice("masks", recipes.MASKS, "New masks each epoch, or those in the records; auto: theirs if any.")
@_number("mask_share", float, "Share of the tokens that is asked about.")
@_number("max_predictions", _COUNT, "Most tokens of a row that are; unless given, as the data say.")
@click.option("--whole-words", is_flag=True, help="Mask all pieces of a word or none.")
@_choice("shapes", recipes.SHAPES, "Cut batches to their longest row, or leave all alike, as auto does for XLA.")
@_number("pack_sequences", _COUNT, "Most sequences that share a row; 8 suits short texts.")
@_choice("layout", recipes.LAYOUTS, "Packed skips padding; same numbers. Auto: packed on one device.")
@click.option("--skip-corrupt", is_flag=True, help="Count damaged rows and go on, instead of ending.")
@compiling_options
@_number("seed", click.IntRange(0), "Same seed, same numbers.")
@_number("log_every", _COUNT, "Updates between figures.")
@_number("validate_every", _COUNT, "Updates between measuring held-out rows.")
@checkpoint_options
@strategy_options
@choice_option("--share-by", SHARINGS, "What a worker reads: its rows of every batch, or files of its own.")
@click.option("--tensorboard", type=click.Path(), help="Folder for TensorBoard's files.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    model: str,
    train: tuple[str, ...],
    validation: tuple[str, ...],
    vocabulary: str | None,
    lower: bool | None,
    out: str,
    overwrite: bool,
    recipe: str | None,
    steps: int | None,
    batch_size: int,
    whole_words: bool,
    skip_corrupt: bool,
    strategy: str,
    device: tuple[str, ...],
    worker_timeout: float | None,
    share_by: str,
    tensorboard: str | None,
    as_json: bool,
    **settings: Any,
) -> None:
    """Pretrain on records of kbz pretraining-data, or Google's.

    MODEL is a size (tiny, mini, small, medium, base, large) or a config.json, to begin from nothing with a
    vocabulary; or a preset, a folder or hf://organisation/name, to go on with.  While it goes on, the run's folder
    holds checkpoints: after a kill the same command goes on where it stood and ends with the very same weights.
    Ctrl-C saves a checkpoint first.  A recipe file has phases one after another, such as short rows and then long.

    \b
    Examples:
      kbz pretrain tiny --vocabulary vocab.txt --train data/train --steps 20000 --out runs/tiny
      kbz pretrain base --vocabulary vocab.txt --recipe recipe.json --validation data/held --out runs/base
      kbz pretrain hf://google-bert/bert-base-uncased --train 'records/*.tfrecord' --steps 5000 --out runs/domain
    """
    settings["whole_words"] = whole_words
    settings["corrupt"] = "skip" if skip_corrupt else "refuse"
    settings["validation"] = validation or None
    if recipe is None:
        if not train or steps is None:
            raise click.UsageError("Give --train and --steps, or a --recipe.")
        made = Recipe([Phase(train, steps, batch_size)], **_fitting(ctx, settings, steps))
    else:
        if told := [name for name in _PHASE if given(ctx, name)]:
            raise click.UsageError(f"The recipe's phases tell: leave out --{told[0].replace('_', '-')}.")
        own = {"skip_corrupt": "corrupt"}
        over = {own.get(name, name) for name in ctx.params if given(ctx, name)}
        read = Recipe.from_file(recipe)
        made = dataclasses.replace(read, **{name: value for name, value in settings.items() if name in over})
    place = chosen_strategy(strategy, device, worker_timeout)
    with working("starting TensorFlow"):
        from keras_bert_zoo.pretraining import pretrain
    with working("pretraining") if as_json else nullcontext():
        try:
            run = pretrain(
                model,
                made,
                vocabulary=vocabulary,
                lower=lower,
                out=out,
                overwrite=overwrite,
                devices=place,
                share_by=share_by,
                command=shlex.join(["kbz", *sys.argv[1:]]),
                tensorboard=tensorboard,
                verbose=fit_verbosity(as_json),
            )
        except Stopped as stopped:
            end_stopped(stopped, place)
    if not is_chief(place):
        return
    last = {name: value for name, value in run.rows[-1].items() if name not in _NOT_TOLD}
    if as_json:
        whole = {"folder": out, "steps": made.steps, "seconds": run.seconds, "figures": last, "damaged": run.damaged}
        print_json(whole)
    else:
        print_figures(f"{out}: {made.steps:,} updates", last)


def _fitting(ctx: click.Context, settings: dict[str, Any], steps: int) -> dict[str, Any]:
    """Have the intervals that nobody named go with the one that somebody did: all are multiples of --log-every."""
    every = settings["log_every"]
    for name in ("validate_every", "checkpoint_every"):
        if not given(ctx, name):
            settings[name] = max(settings[name] // every, 1) * every
    return settings
