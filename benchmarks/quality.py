"""How good a fine-tuned model is, told by its export: accuracy on held-out sentences, mean and spread of the seeds.

    python benchmarks/quality.py TRAIN DEV

TRAIN and DEV hold lines of a text, a tab and 0 or 1, without a header.  For every seed the weights are fine-tuned on
TRAIN with `kbz.finetune`, the model of the last epoch is exported, and the SavedModel answers the raw sentences of DEV.
That accuracy is what is told; it must be the one that `bundle.evaluate` gives in Python.  DEV chooses nothing: neither
epoch nor settings.  To choose settings, hold out a share of TRAIN in place of DEV:

    python benchmarks/quality.py TRAIN --hold-out 0.2 --seeds 0 --learning-rate 1e-4
"""

from __future__ import annotations

import shlex
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

LABELS = ("0", "1")


def read(path: str) -> Any:
    """Return the table of a file of texts and labels without a header."""
    from keras_bert_zoo.data import read_table

    return read_table(path, format="tsv", columns=["text", "label"])


def served_accuracy(folder: Path, texts: list[str], labels: list[str], batch_size: int) -> float:
    """Return the share of raw texts that the SavedModel in a version's folder labels as the data do."""
    import tensorflow as tf

    answer = tf.saved_model.load(str(folder)).signatures["serving_default"]
    right = 0
    for start in range(0, len(texts), batch_size):
        told = answer(text=tf.constant(texts[start : start + batch_size]))["label"].numpy()
        right += sum(a.decode() == b for a, b in zip(told, labels[start : start + batch_size], strict=True))
    return right / len(texts)


@click.command(help=__doc__)
@click.argument("train_file", metavar="TRAIN", type=click.Path(exists=True, dir_okay=False))
@click.argument("dev_file", metavar="[DEV]", required=False, type=click.Path(exists=True, dir_okay=False))
@click.option("--hold-out", type=click.FloatRange(0, 1, min_open=True, max_open=True), help="Share of TRAIN, for DEV.")
@click.option("--source", default="minilm_l6_h384_uncased", show_default=True, help="Preset or folder of the weights.")
@click.option("--seeds", default="0,1,2", show_default=True)
@click.option("--epochs", default=3, show_default=True)
@click.option("--learning-rate", default=1e-4, show_default=True)
@click.option("--warmup", default=0.1, show_default=True, help="Share of the updates.")
@click.option("--batch-size", default=32, show_default=True)
@click.option("--length", default=64, show_default=True, help="Limit in tokens.")
def main(
    train_file: str,
    dev_file: str | None,
    hold_out: float | None,
    source: str,
    seeds: str,
    epochs: int,
    learning_rate: float,
    warmup: float,
    batch_size: int,
    length: int,
) -> None:
    if (dev_file is None) == (hold_out is None):
        raise click.UsageError("Give DEV or --hold-out, one of them.")
    import keras_bert_zoo as kbz
    from keras_bert_zoo.serving.saved_model import export_bundle
    from keras_bert_zoo.training.fit import Settings

    train = read(train_file)
    train, dev = (train, read(dev_file)) if dev_file else train.split([1 - hold_out, hold_out], seed=0)
    found = []
    for seed in map(int, seeds.split(",")):
        began = time.perf_counter()
        settings = Settings(
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            warmup=warmup,
            length=length,
            seed=seed,
        )
        bundle = kbz.finetune(source, kbz.heads.Classification(LABELS), train, settings=settings, verbose=2).bundle
        with tempfile.TemporaryDirectory() as folder:
            exported = export_bundle(bundle, Path(folder) / "model")
            accuracy = served_accuracy(exported, dev.texts, dev.labels, batch_size)
        own = bundle.evaluate(dev)["accuracy"]
        if abs(own - accuracy) > 0.5 / len(dev):  # the metric adds up in float32; less than one sentence apart
            raise click.ClickException(f"seed {seed}: the SavedModel has {accuracy:.4%} right, Python {own:.4%}.")
        found.append(accuracy)
        click.echo(f"seed {seed}: {accuracy:.2%} after {time.perf_counter() - began:.0f} s", err=True)
    spread = f" ± {statistics.stdev(found) * 100:.2f}" if len(found) > 1 else ""
    click.echo(f"`{shlex.join(['python', *sys.argv])}`\n")
    click.echo(
        f"{source}; {len(train):,} sentences to learn from, {len(dev):,} asked; {epochs} epochs,"
        f" batches of {batch_size}, learning rate {learning_rate:g}, warmup {warmup:g}, at most {length} tokens.\n"
    )
    click.echo(f"| {' | '.join(f'seed {seed}' for seed in seeds.split(','))} | mean ± std |")
    click.echo(f"|{'--:|' * (len(found) + 1)}")
    click.echo(
        f"| {' | '.join(f'{value * 100:.2f}' for value in found)} | **{statistics.mean(found) * 100:.2f}**{spread} |"
    )


if __name__ == "__main__":
    main()
