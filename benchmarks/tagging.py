"""How well names are found, by how many words were learnt from, measured through the exported model.

    python benchmarks/tagging.py TRAIN DEV

TRAIN and DEV are files of tagged words, a word a line (WikiANN's `en:word<TAB>tag` too).  For each size the first
sentences of TRAIN with that many words are learnt; each figure is the mean of the seeds ± their standard deviation.
The model is exported, its signature `words` answers every sentence of DEV, and the answers are scored; the figures of
the model in Python must be the same.  Printed is a Markdown table.
"""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import time
from typing import Any

import click

import keras_bert_zoo as kbz
from keras_bert_zoo.answers import plain
from keras_bert_zoo.data.sizes import order_by_size

FIGURES = ("f1", "precision", "recall", "accuracy")


@click.command(help=__doc__)
@click.argument("train", type=click.Path(exists=True, dir_okay=False))
@click.argument("dev", type=click.Path(exists=True, dir_okay=False))
@click.option("--source", default="minilm_l6_h384_uncased", show_default=True, help="A preset or a folder.")
@click.option("--words", default="20000,40000,80000,160000", show_default=True, help="Sizes, in words of TRAIN.")
@click.option("--seeds", default=3, show_default=True, help="Runs of each size.")
@click.option("--epochs", default=3, show_default=True)
@click.option("--learning-rate", default=2e-4, show_default=True)
@click.option("--batch-size", default=32, show_default=True)
@click.option("--rows", type=int, help="Sentences of DEV; all unless given.")
def main(
    train: str,
    dev: str,
    source: str,
    words: str,
    seeds: int,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    rows: int | None,
) -> None:
    from keras_bert_zoo.training.fit import Settings

    table, held_out = kbz.data.read_conll(train), kbz.data.read_conll(dev)
    held_out = held_out.select(range(min(rows or len(held_out), len(held_out))))
    labels = kbz.heads.TokenClassification.labels_in(table.labels)
    settings = Settings(epochs=epochs, learning_rate=learning_rate, batch_size=batch_size)
    click.echo(f"{source}, {epochs} epochs, learning rate {learning_rate}; {len(held_out):,} sentences of DEV.\n")
    click.echo(f"| words | sentences | {' | '.join(FIGURES)} | seconds a run |")
    click.echo("| --: " * (len(FIGURES) + 3) + "|")
    for size in map(int, words.split(",")):
        part = first_words(table, size)
        found: dict[str, list[float]] = {}
        for seed in range(seeds):
            begin = time.perf_counter()
            head = kbz.heads.TokenClassification(labels)
            run = kbz.finetune(source, head, part, settings=dataclasses.replace(settings, seed=seed), verbose=0)
            figures = {**measured(run.bundle, held_out), "seconds": time.perf_counter() - begin}
            for name, value in figures.items():
                found.setdefault(name, []).append(value)
        cells = [spread(found[name], 100) for name in FIGURES]
        count = sum(map(len, part.labels or ()))
        seconds = statistics.mean(found["seconds"])
        click.echo(f"| {count:,} | {len(part):,} | {' | '.join(cells)} | {seconds:.0f} |")


def first_words(table: kbz.data.Table, size: int) -> kbz.data.Table:
    """Return the first sentences that hold so many words."""
    count = taken = 0
    for row in table:
        if count >= size:
            break
        count += len(row.label)
        taken += 1
    return table.select(range(taken))


def measured(bundle: kbz.Bundle, table: kbz.data.Table) -> dict[str, float]:
    """Return the exported model's figures, which must be those of the model in Python."""
    import tensorflow as tf

    head = bundle.head
    with tempfile.TemporaryDirectory() as folder:
        path = kbz.export_saved_model(bundle.model, head, bundle.tokenizer, folder, max_length=bundle.max_length)
        answer = tf.saved_model.load(str(path)).signatures[head.scored_signature]
        served: list[dict[str, Any]] = [{}] * len(table)
        order = order_by_size(table.texts)
        for start in range(0, len(order), 32):
            places = order[start : start + 32]
            batch = {
                name: plain(x.numpy()) for name, x in answer(text=tf.constant([table.texts[i] for i in places])).items()
            }
            for number, place in enumerate(places):
                served[place] = head.trim({name: values[number] for name, values in batch.items()})
    figures, in_python = head.score(table, served), bundle.evaluate(table)
    for name, value in figures.items():
        if value != in_python[name]:
            raise SystemExit(f"{name} is {value} through the export, but {in_python[name]} in Python.")
    return figures


def spread(values: list[float], times: float) -> str:
    """Return mean ± standard deviation."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{times * statistics.mean(values):.2f} ± {times * deviation:.2f}"


if __name__ == "__main__":
    main()
