"""Fine-tuning on sentences as long as they are: ours beside KerasHub at a fixed length, examples a second.

    python benchmarks/finetuning.py [FILE]

FILE holds lines of a text, a tab and 0 or 1; without it the train sentences of movie_snippets are used.  Both
models have the size of MiniLM-L6 and its vocabulary, and both go through `model.fit` with AdamW, clipping and the
same batch size.  Ours reads `table.batches(...)`, by length; KerasHub reads a `tf.data` pipeline with its
preprocessor in it, as its guide shows.

They take turns of some steps each, so that a busy machine slows both; a pair of turns gives one ratio.  The first
step of a turn, when `fit` sets itself up, is not counted.
"""

from __future__ import annotations

import time
from typing import Any

import click
from peer import LABELS, PRESET, keras_hub_classifier, read_rows, tell, tell_ratio

import keras_bert_zoo as kbz


@click.command(help=__doc__)
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False))
@click.option("--batch-size", default=32, show_default=True)
@click.option("--length", default=128, show_default=True, help="Tokens KerasHub pads to; our limit.")
@click.option("--steps", default=10, show_default=True, help="Counted steps a turn.")
@click.option("--turns", default=6, show_default=True, help="Turns of each, one ratio a pair.")
def main(file: str | None, batch_size: int, length: int, steps: int, turns: int) -> None:
    import keras
    import tensorflow as tf

    class Clock(keras.callbacks.Callback):
        """Seconds from the end of the first step to the end of the last."""

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            now = time.perf_counter()
            self.begin = now if batch == 0 else self.begin
            self.took = now - self.begin

    def turn(model: keras.Model, rows: tf.data.Dataset) -> float:
        clock = Clock()
        model.fit(rows, epochs=1, steps_per_epoch=steps + 1, callbacks=[clock], shuffle=False, verbose=0)
        return clock.took

    keras.utils.set_random_seed(0)
    texts, labels = read_rows(file, "train")
    bundle = kbz.load(PRESET, encoder_only=True).attach(kbz.heads.Classification(LABELS))
    ours, head = bundle.model, bundle.head
    ours.compile(kbz.adamw(5e-5, steps=10_000, warmup=1_000), head.loss(), metrics=head.metrics())
    table = kbz.data.Table.from_lists(texts, labels)
    our_rows = table.batches(head, bundle.tokenizer, batch_size, length=length, shuffle=True, drop_remainder=True)

    theirs = keras_hub_classifier(bundle, length)
    optimizer = keras.optimizers.AdamW(5e-5, weight_decay=0.01, epsilon=1e-6, global_clipnorm=1.0)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    theirs.compile(optimizer)
    preprocessor, theirs.preprocessor = theirs.preprocessor, None  # once, in the pipeline
    numbers = [LABELS.index(label) for label in labels]
    their_rows = tf.data.Dataset.from_tensor_slices((texts, numbers)).shuffle(len(texts)).repeat().batch(batch_size)
    their_rows = their_rows.map(preprocessor, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)

    click.echo(f"{len(texts):,} sentences, batches of {batch_size}; KerasHub pads to {length}.")
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    for number in range(turns + 1):
        took = {"ours": turn(ours, our_rows.repeat()), "theirs": turn(theirs, their_rows)}
        for name, value in took.items() if number else ():  # the first turn traces and warms up
            times[name].append(value)
    counts = [steps * batch_size] * turns
    tell("ours, by length", counts, times["ours"], "examples/s")
    tell(f"KerasHub, padded to {length}", counts, times["theirs"], "examples/s")
    tell_ratio("ours / KerasHub", times["theirs"], times["ours"])


if __name__ == "__main__":
    main()
