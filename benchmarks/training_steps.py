"""Where the time of a training step goes, and whether it ever waits for its input.

    python benchmarks/training_steps.py [FILE]

FILE holds lines of a text, a tab and 0 or 1; without it the train sentences of movie_snippets are used.  The model is
MiniLM-L6 under `model.fit` with AdamW, clipping and dropout.  Told are:

- the time of the input pipeline alone, of `fit` on batches that lie ready, and of `fit` on the pipeline;
- `fit` with several steps a call (`steps_per_execution`), in turns;
- from TensorFlow's profiler: how long steps waited for the next batch, and the kinds of operation that took most.
"""

from __future__ import annotations

import collections
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

import keras_bert_zoo as kbz
from keras_bert_zoo.benchmark.texts import dataset_texts, read_labelled

PRESET, LABELS = "minilm_l6_h384_uncased", ("negative", "positive")
WAIT = "IteratorGetNextOp::DoCompute"  # what TensorFlow's profiler calls a step's wait for its batch


@click.command(help=__doc__)
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False))
@click.option("--layout", default="packed", show_default=True, type=click.Choice(["padded", "packed"]))
@click.option("--dtype", default="float32", show_default=True, help="A Keras dtype policy, such as mixed_bfloat16.")
@click.option("--batch-size", default=32, show_default=True)
@click.option("--length", default=128, show_default=True, help="Limit in tokens.")
@click.option("--steps", default=16, show_default=True, help="Counted steps of each.")
@click.option("--turns", default=3, show_default=True, help="Turns of each.")
@click.option("--calls", default="1,4,8,16", show_default=True, help="Steps a call that are tried.")
def main(
    file: str | None, layout: str, dtype: str, batch_size: int, length: int, steps: int, turns: int, calls: str
) -> None:
    import keras

    from keras_bert_zoo.encoder import with_layout

    keras.utils.set_random_seed(0)
    texts, numbers = read_labelled(file) if file else dataset_texts()[1]
    labels = [LABELS[number] for number in numbers]
    bundle = kbz.load(PRESET, encoder_only=True, dtype=dtype).attach(kbz.heads.Classification(LABELS))
    head = bundle.head
    table = kbz.data.Table.from_lists(texts, labels)
    rows = table.batches(head, bundle.tokenizer, batch_size, length=length, shuffle=True, drop_remainder=True)

    def compiled(steps_a_call: int) -> Any:
        """A model of its own training state that shares the layers, warm after its first steps."""
        model = with_layout(bundle.model, layout)
        optimizer = kbz.adamw(5e-5, steps=10_000, warmup=1_000)
        model.compile(optimizer, head.loss(), metrics=head.metrics(), steps_per_execution=steps_a_call)
        model.fit(few, verbose=0)
        return model

    few = rows.take(steps)
    ready = few.cache()
    collections.deque(ready, maxlen=0)  # all of it is read, and stays in memory
    models = {steps_a_call: compiled(steps_a_call) for steps_a_call in map(int, calls.split(","))}
    model = next(iter(models.values()))
    took: dict[Any, list[float]] = collections.defaultdict(list)
    for _ in range(turns):
        took["input pipeline alone"].append(_seconds(lambda: collections.deque(rows, maxlen=0)) / len(rows))
        took["fit, batches lie ready"].append(_fit(model, ready))
        took["fit"].append(_fit(model, few))
        for steps_a_call, each in models.items():
            took[f"fit, {steps_a_call} steps a call"].append(_fit(each, ready))
    click.echo(
        f"{len(texts):,} sentences, batches of {batch_size}, {layout}, {dtype}; ms a batch, median of {turns} turns."
    )
    for name, values in took.items():
        click.echo(
            f"{name:32s} {statistics.median(values) * 1e3:8.2f} ({min(values) * 1e3:.2f} to {max(values) * 1e3:.2f})"
        )

    with tempfile.TemporaryDirectory() as folder:
        waited, kinds = _profiled(lambda: model.fit(few, verbose=0), Path(folder))
    first, *later = (seconds * 1e3 for seconds in waited)
    click.echo(
        f"Under the profiler fit waited {first:.2f} ms for its first batch, then {statistics.median(later):.2f} a step"
    )
    click.echo(f"({max(later):.2f} at most).")
    click.echo("Operations, ms a step summed over the threads that ran them:")
    total = sum(kinds.values())
    for name, seconds in kinds.most_common(16):
        click.echo(f"{name:32s} {seconds / steps * 1e3:8.2f} {seconds / total:6.1%}")


def _fit(model: Any, rows: Any) -> float:
    """Seconds a step of `fit`, from its first step's beginning to its end."""
    clock = _clock()
    model.fit(rows, callbacks=[clock], verbose=0)
    return clock.took / len(rows)


def _clock() -> Any:
    import keras

    class Clock(keras.callbacks.Callback):
        """Seconds from the first step's beginning to the end of training."""

        def on_train_begin(self, logs: Any = None) -> None:
            self.begin = time.perf_counter()

        def on_train_end(self, logs: Any = None) -> None:
            self.took = time.perf_counter() - self.begin

    return Clock()


def _seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def _profiled(call: Callable[[], object], folder: Path) -> tuple[list[float], collections.Counter[str]]:
    """Seconds waited for each batch during the call, and seconds of each kind of operation that ran on the CPU."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tf.profiler.experimental.Profile(str(folder)):
        call()
    space = xplane_pb2.XSpace()
    (file,) = folder.rglob("*.xplane.pb")
    space.ParseFromString(file.read_bytes())
    waited, kinds = [], collections.Counter[str]()
    for plane in space.planes:
        if plane.name != "/host:CPU":
            continue
        names = {number: metadata.name for number, metadata in plane.event_metadata.items()}
        for line in plane.lines:
            for event in line.events:
                name = names[event.metadata_id]
                waited += [event.duration_ps / 1e12] if name == WAIT else []
                where, _, kind = name.rpartition(":")  # an operation is told as "where/it/stands:Kind"
                if "/" in where and kind.isidentifier():
                    kinds[kind.removeprefix("_")] += event.duration_ps / 1e12
    return waited, kinds


if __name__ == "__main__":
    main()
