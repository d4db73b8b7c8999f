"""`kbz train`: fine-tune on a table."""

from __future__ import annotations

import functools
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from keras_bert_zoo.cli.options import (
    batch_size_option,
    column_options,
    fetched,
    fit_verbosity,
    given,
    glue_option,
    json_option,
    no_columns,
    print_figures,
    print_json,
    set_option,
    told_warnings,
    working,
)
from keras_bert_zoo.cli.places import chosen_strategy, end_stopped, is_chief, strategy_options
from keras_bert_zoo.cli.tuning import (
    checkpoint_options,
    compiling_options,
    print_repeats,
    tuning_options,
    usual_length,
)
from keras_bert_zoo.data.glue import GLUE, Task
from keras_bert_zoo.heads import HEADS, summaries
from keras_bert_zoo.stopping import Stopped


class _Train(click.Command):
    """Tells below the options what each head does."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Heads"):
            formatter.write_dl(list(summaries().items()))


@click.command(cls=_Train)
@click.argument("source")
@click.option(
    "--head",
    type=click.Choice(list(HEADS)),
    default="classification",
    show_default=True,
    metavar="NAME",
    help="What is learnt: one of the heads below.",
)
@click.option("--train", "train_file", required=True, help="File to learn from, or movie_snippets.")
@click.option("--validation", "validation_file", help="File that tells the best epoch.")
@click.option("--test", "test_file", help="File measured once, at the end.")
@column_options
@glue_option
@set_option
@click.option("--labels", help="The labels, parted by commas, in their order; unless given, those in the table.")
@click.option("--out", required=True, type=click.Path(), help="Folder of the run.")
@click.option("--overwrite", is_flag=True, help="Replace what the folder holds, unless it is this run, unfinished.")
@click.option("--epochs", type=click.IntRange(1), default=3, show_default=True, help="Passes over the table.")
@batch_size_option
@click.option("--learning-rate", type=float, default=5e-5, show_default=True, help="Highest learning rate.")
@click.option("--warmup", type=float, default=0.1, show_default=True, help="Share of the updates it rises in.")
@click.option("--max-length", type=click.IntRange(3), help="Limit in tokens; 128 unless given, for questions 384.")
@click.option("--monitor", help="Figure that tells the best epoch, or several: accuracy+f1; the head's unless given.")
@click.option("--patience", type=click.IntRange(1), help="Stop after so many epochs without a better one.")
@click.option("--class-weight", type=click.Choice(["balanced"]), help="Let every label count the same in sum.")
@click.option("--dropout", type=float, help="Dropout before the head; its own unless given: 0.1, for questions 0.")
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same numbers.")
@click.option(
    "--layout",
    type=click.Choice(["auto", "padded", "packed"]),
    default="auto",
    show_default=True,
    help="Packed skips padding; same numbers. Auto: packed on one device.",
)
@strategy_options
@tuning_options
@compiling_options
@checkpoint_options
@click.option(
    "--seeds", type=click.IntRange(1), default=1, show_default=True, help="Train so often, with seeds in a row."
)
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    source: str,
    head: str,
    train_file: str,
    validation_file: str | None,
    test_file: str | None,
    text: str,
    text_pair: str | None,
    label: str,
    glue: str | None,
    settings: tuple[tuple[str, Any], ...],
    labels: str | None,
    out: str,
    overwrite: bool,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    warmup: float,
    max_length: int | None,
    monitor: str | None,
    patience: int | None,
    class_weight: str | None,
    dropout: float | None,
    seed: int,
    layout: str,
    strategy: str,
    device: tuple[str, ...],
    worker_timeout: float | None,
    seeds: int,
    as_json: bool,
    **tuning: Any,
) -> None:
    """Fine-tune on labelled data, or on plain text.

    SOURCE is a preset, a folder or hf://organisation/name.  Files are tables (tsv, csv, jsonl), or what the head
    below reads; the data set movie_snippets brings its own validation and test rows.  --glue chooses columns, head,
    labels and monitor of a GLUE task.  The run's folder ends up with the model of the best epoch, its history and a
    model card.  While it goes on the folder holds checkpoints: after a kill the same command goes on where it stood and
    ends with the very same weights.  Ctrl-C saves a checkpoint first.

    \b
    Examples:
      kbz train minilm_l6_h384_uncased --train train.tsv --validation dev.tsv --out runs/mood
      kbz train minilm_l6_h384_uncased --train movie_snippets --head regression --out runs/rating
      kbz train hf://google-bert/bert-base-uncased --head masked_lm --train notes.txt --out runs/notes
      kbz train minilm_l6_h384_uncased --train squad.json --head question_answering --out runs/answers
      kbz train minilm_l6_h384_uncased --train train.tsv --validation dev.tsv --seeds 5 --out runs/five
      srun kbz train minilm_l6_h384_uncased --strategy multi_worker --train train.tsv --out runs/mood
      kbz train minilm_l6_h384_uncased --glue mrpc --train MRPC/train.tsv --validation MRPC/dev.tsv --out runs/mrpc
    """
    from keras_bert_zoo.data import DATASETS, read_splits
    from keras_bert_zoo.training.workplace import check_free

    check_free(Path(out).expanduser(), overwrite)
    for option, value in (("patience", patience), ("monitor", monitor)):
        if value is not None and validation_file is None and train_file not in DATASETS:
            raise click.UsageError(f"--{option} watches the validation data: give --validation too.")
    task = GLUE[glue] if glue else None
    config: dict[str, Any] = {}
    if task is not None:
        no_columns(ctx, "text", "text_pair", "label")
        head = head if given(ctx, "head") else task.head
        if HEADS[head].reader != "table":
            raise click.UsageError(f"The head '{head}' does not learn from tables: leave out --glue.")
        config = task.arguments if head == task.head else {"pair": task.pair is not None}
        monitor = monitor or (task.monitor if head == task.head else None)
    if class_weight is not None and head != "classification":
        raise click.UsageError(f"--class-weight belongs to the head 'classification', not to '{head}'.")
    with working("reading"), told_warnings():
        files = {"train": train_file, "validation": validation_file, "test": test_file}
        how = {"text": text, "label": label, "text_pair": text_pair, "kind": HEADS[head].reader, "glue": glue}
        train, validation, test = read_splits(**files, **how)
    fetched(source)
    place = chosen_strategy(strategy, device, worker_timeout)
    with working("starting TensorFlow"):
        from keras_bert_zoo.recipe import finetune
        from keras_bert_zoo.training.fit import Settings

        learn: Any = finetune
        if seeds > 1:
            from keras_bert_zoo.seeds import finetune_seeds

            learn = functools.partial(finetune_seeds, seeds=range(seed, seed + seeds))
        named = None if labels is None else [name.strip() for name in labels.split(",")]
        options = {"labels": named, "dropout": dropout, "pair": True if text_pair else None}
        made = _head(head, config, options, dict(settings), train.labels or [])
    with working("fine-tuning") if as_json else nullcontext():  # else Keras shows its own bar
        try:
            done = learn(
                source,
                made,
                train,
                validation,
                test=test,
                out=out,
                overwrite=overwrite,
                settings=Settings(
                    epochs=epochs,
                    batch_size=batch_size,
                    learning_rate=learning_rate,
                    warmup=warmup,
                    length=max_length or usual_length(HEADS[head].length, tuning["pad_to"]),
                    monitor=monitor,
                    patience=patience,
                    class_weight=class_weight,
                    seed=seed,
                    layout=layout,
                    **tuning,
                ),
                devices=place,
                read={**files, **how},
                command=shlex.join(["kbz", *sys.argv[1:]]),
                verbose=fit_verbosity(as_json),
            )
        except Stopped as stopped:
            end_stopped(stopped, place)
    if not is_chief(place):
        return
    run = done.run if seeds > 1 else done
    figures = {**run.history.epochs[run.history.best], **{f"test_{k}": v for k, v in (run.test or {}).items()}}
    if task is not None:
        figures.update(_glue_scores(task, figures))
    if seeds > 1:
        every = [{**one, **(_glue_scores(task, one) if task else {})} for one in done.figures]
        print_repeats(out, run.history, figures, done.seeds, done.kept, every, as_json=as_json)
    elif as_json:
        print_json({"folder": out, "best_epoch": run.history.best + 1, "figures": figures})
    else:
        print_figures(f"{out}: epoch {run.history.best + 1} of {len(run.history.epochs)} was kept", figures)


def _glue_scores(task: Task, figures: Mapping[str, float]) -> dict[str, float]:
    """Return the task's place in GLUE's average, for each part of the data that was measured by its figures."""
    parts = ("val_", "test_")
    found = {part: {name: figures[part + name] for name in task.metrics if part + name in figures} for part in parts}
    return {f"{part}glue": task.score(own) for part, own in found.items() if len(own) == len(task.metrics)}


def _head(
    name: str, config: dict[str, Any], options: dict[str, Any], settings: dict[str, Any], values: Sequence[Any]
) -> Any:
    """Make the head of a run: what a GLUE task says, over it the options, over them what --set says.

    Raises: UsageError on an option that the head has no use for.
    """
    from keras_bert_zoo import heads

    takes = heads.arguments(name)
    options = {option: value for option, value in options.items() if value is not None}
    for option in options:
        if option not in takes and option != "pair":
            raise click.UsageError(f"The head '{name}' takes no --{option}.")
    known = {option: value for option, value in options.items() if option in takes}
    made = heads.for_labels(name, values, {**config, **known, **settings})
    if "pair" in options and len(made.train_columns) == 1:
        raise click.UsageError(f"The head '{name}' reads single texts: leave out --text-pair.")
    return made
