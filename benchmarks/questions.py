"""Exact match and F1 of question answering on a SQuAD-format file, through the exported model.

    python benchmarks/questions.py FILE --epochs 10 --learning-rate 2e-4

For each seed a fifth of the paragraphs is held out, a model is trained on the rest and exported, and the export is
asked through TensorFlow's loader.  Its figures must be those of the same model in Python, or the script fails.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from typing import Any

import click

import keras_bert_zoo as kbz

BATCH = 16  # questions asked of the export at a time


@click.command(help=__doc__)
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--weights", default="minilm_l6_h384_uncased", show_default=True, help="A preset, a folder, hf://org/name."
)
@click.option("--seeds", default="0,1,2", show_default=True, help="Each draws its own split and training.")
@click.option("--fraction", default=1.0, show_default=True, help="Share of the paragraphs that is used at all.")
@click.option("--epochs", default=10, show_default=True)
@click.option("--learning-rate", default=2e-4, show_default=True)
@click.option("--batch-size", default=16, show_default=True)
@click.option("--length", default=384, show_default=True, help="Limit in tokens.")
@click.option("--verbose", default=2, show_default=True, help="Keras's: 0 is silent, 2 tells every epoch.")
def main(
    file: str,
    weights: str,
    seeds: str,
    fraction: float,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    length: int,
    verbose: int,
) -> None:
    from keras_bert_zoo.training.fit import Settings

    table = kbz.data.read_squad(file)
    rows = []
    for seed in map(int, seeds.split(",")):
        train, held = split(table, fraction, seed)
        head = kbz.heads.QuestionAnswering(no_answer=any(label.is_impossible for label in train.labels or []))
        settings = Settings(epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, length=length, seed=seed)
        begin = time.perf_counter()
        run = kbz.finetune(weights, head, train, settings=settings, verbose=verbose)  # the last epoch is kept
        took = time.perf_counter() - begin
        figures = run.bundle.evaluate(held, batch_size=BATCH)
        with tempfile.TemporaryDirectory() as folder:
            model, tokenizer, limit = run.bundle.model, run.bundle.tokenizer, run.bundle.max_length
            path = kbz.export_saved_model(model, head, tokenizer, folder, max_length=limit)
            served = head.score(held, ask(path, head, held))
        for name, value in figures.items():
            if abs(served[name] - value) > 1e-6:
                raise click.ClickException(f"seed {seed}: the export's {name} is {served[name]}, in Python {value}.")
        rows.append({"seed": seed, "train": len(train), "held out": len(held), **served, "minutes": took / 60})
        click.echo(f"seed {seed}: " + ", ".join(f"{name} {value:.4g}" for name, value in rows[-1].items()), err=True)
    print_table(rows, [name for name in ("exact_match", "f1") if name in rows[0]])


def split(table: Any, fraction: float, seed: int) -> tuple[Any, Any]:
    """Return the questions of four fifths of the paragraphs, and those of the others."""
    contexts = sorted(set(table.pairs))
    random.Random(seed).shuffle(contexts)
    used = contexts[: max(2, round(fraction * len(contexts)))]
    held = set(used[: max(1, round(0.2 * len(used)))])
    learned = set(used) - held
    return table.where(lambda row: row.pair in learned), table.where(lambda row: row.pair in held)


def ask(path: Any, head: Any, table: Any) -> list[dict[str, Any]]:
    """Return the export's answers, as TensorFlow's loader gives them."""
    import tensorflow as tf

    from keras_bert_zoo.answers import plain

    function = tf.saved_model.load(str(path)).signatures["serving_default"]
    answers = []
    for start in range(0, len(table), BATCH):
        end = start + BATCH
        told = function(question=tf.constant(table.texts[start:end]), context=tf.constant(table.pairs[start:end]))
        columns = {name: plain(values.numpy()) for name, values in told.items()}
        many = len(columns["answer"])
        answers += [head.trim({name: values[i] for name, values in columns.items()}) for i in range(many)]
    return answers


def print_table(rows: list[dict[str, Any]], figures: list[str]) -> None:
    """Print every seed, then mean and standard deviation, in Markdown."""
    click.echo("| seed | paragraph split | EM | F1 | minutes |")
    click.echo("| --- | --- | --- | --- | --- |")
    for row in rows:
        told = " | ".join(f"{100 * row[name]:.1f}" for name in figures)
        click.echo(
            f"| {row['seed']} | {row['train']:,} / {row['held out']:,} questions | {told} | {row['minutes']:.1f} |"
        )
    if len(rows) > 1:
        values = [[100 * row[name] for row in rows] for name in figures]
        told = " | ".join(f"{statistics.mean(each):.1f} ± {statistics.stdev(each):.1f}" for each in values)
        click.echo(f"| mean ± std | | {told} | |")


if __name__ == "__main__":
    main()
