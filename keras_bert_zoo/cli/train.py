"""`kbz train`: fine-tune on a table."""

from __future__ import annotations

import shlex
import sys
from contextlib import nullcontext
from typing import Any

import click

from keras_bert_zoo.cli.options import (
    batch_size_option,
    column_options,
    fetched,
    fit_verbosity,
    json_option,
    print_figures,
    print_json,
    set_option,
    working,
)
from keras_bert_zoo.files import check_absent
from keras_bert_zoo.heads import HEADS
from keras_bert_zoo.training.strategy import STRATEGIES


@click.command()
@click.argument("source")
@click.option("--head", type=click.Choice(list(HEADS)), default="classification", show_default=True, help="Task.")
@click.option("--train", "train_file", required=True, help="Table to learn from, or movie_snippets.")
@click.option("--validation", "validation_file", help="Table that tells the best epoch.")
@click.option("--test", "test_file", help="Table measured once, at the end.")
@column_options
@set_option
@click.option("--labels", help="The labels, parted by commas, in their order; unless given, those in the table.")
@click.option("--out", required=True, type=click.Path(), help="Folder of the run.")
@click.option("--overwrite", is_flag=True, help="Replace the folder if it is there.")
@click.option("--epochs", type=click.IntRange(1), default=3, show_default=True, help="Passes over the table.")
@batch_size_option
@click.option("--learning-rate", type=float, default=5e-5, show_default=True, help="Highest learning rate.")
@click.option("--warmup", type=float, default=0.1, show_default=True, help="Share of the updates it rises in.")
@click.option("--max-length", type=click.IntRange(3), help="Limit in tokens; 128 unless given, for questions 384.")
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
@click.option(
    "--strategy",
    type=click.Choice(STRATEGIES),
    default="default",
    show_default=True,
    help="One device, or all GPUs of this host.",
)
@json_option
def command(
    source: str,
    head: str,
    train_file: str,
    validation_file: str | None,
    test_file: str | None,
    text: str,
    text_pair: str | None,
    label: str,
    settings: tuple[tuple[str, Any], ...],
    labels: str | None,
    out: str,
    overwrite: bool,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    warmup: float,
    max_length: int | None,
    patience: int | None,
    class_weight: str | None,
    dropout: float | None,
    seed: int,
    layout: str,
    strategy: str,
    as_json: bool,
) -> None:
    """Fine-tune on a table, or on plain text.

    SOURCE is a preset, a folder or hf://organisation/name.  Tables are tsv, csv or jsonl files, for questions SQuAD
    files (json); the data set movie_snippets brings its own validation and test rows; plain text is a txt file with one
    text a line.  The run's folder holds the model of the best epoch, its history and a model card, and appears when
    all is done.

    \b
    Examples:
      kbz train minilm_l6_h384_uncased --train train.tsv --validation dev.tsv --out runs/mood
      kbz train minilm_l6_h384_uncased --train movie_snippets --head regression --out runs/rating
      kbz train hf://google-bert/bert-base-uncased --head masked_lm --train notes.txt --out runs/notes
      kbz train minilm_l6_h384_uncased --train squad.json --head question_answering --out runs/answers
    """
    from keras_bert_zoo.data import read_splits

    check_absent(out, overwrite=overwrite)
    with working("reading"):
        train, validation, test = read_splits(
            train_file,
            validation_file,
            test_file,
            text=text,
            label=label,
            text_pair=text_pair,
            kind=HEADS[head].reader,
        )
    if patience and validation is None:
        raise click.UsageError("--patience watches the validation table: give --validation too.")
    fetched(source)
    with working("starting TensorFlow"):
        from keras_bert_zoo import heads
        from keras_bert_zoo.recipe import finetune
        from keras_bert_zoo.training.fit import Settings

        pair = {"pair": True} if text_pair and heads.takes(head, "pair") else {}
        config: dict[str, Any] = {**pair, **({} if dropout is None else {"dropout": dropout}), **dict(settings)}
        if labels is not None:
            config["labels"] = [name.strip() for name in labels.split(",")]
        made = heads.for_labels(head, train.labels or [], config)
    with working("fine-tuning") if as_json else nullcontext():  # else Keras shows its own bar
        run = finetune(
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
                length=max_length or HEADS[head].length,
                patience=patience,
                class_weight=class_weight,
                seed=seed,
                layout=layout,
            ),
            devices=strategy,
            command=shlex.join(["kbz", *sys.argv[1:]]),
            verbose=fit_verbosity(as_json),
        )
    figures = {**run.history.epochs[run.history.best], **{f"test_{k}": v for k, v in (run.test or {}).items()}}
    if as_json:
        print_json({"folder": out, "best_epoch": run.history.best + 1, "figures": figures})
    else:
        print_figures(f"{out}: epoch {run.history.best + 1} of {len(run.history.epochs)} was kept", figures)
