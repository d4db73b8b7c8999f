"""The scaling law, measured: time of a step and memory of training against batch, length, layers and width.

    python benchmarks/scaling.py            # measure, fit, check; about five minutes on two quiet cores
    python benchmarks/scaling.py --write    # also write keras_bert_zoo/estimate/measured.py, and the tables to
                                            # docs/scaling.md and benchmarks/RESULTS.md

Times are medians of 5; all points take turns.  Every memory figure comes from a process of its own: the peak of a
training step above what the process held after a step on a tiny batch, so that weights, optimizer and TensorFlow's
graph do not count: what is left are the activations.  The last table is the check: points that no constant was
fitted to.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.estimate import counts, measured

MEASURED = Path(measured.__file__)
PAGES = (MEASURED.parents[2] / "docs/scaling.md", MEASURED.parents[2] / "benchmarks/RESULTS.md")
TURNS = 5
LIMIT = 0.20  # a held-out point may be off by this share
_GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536"}  # bytes; glibc, mallopt(3)
TINY = (2, 8)  # rows and length of the batch that warms a process up


@dataclass(frozen=True)
class Point:
    """One measurement: what is measured, and of which model and batch."""

    what: str  # "forward" or "training": seconds; "memory": bytes
    layers: int
    hidden: int
    inner: int
    length: int
    rows: int
    vocabulary: int = 8000
    rematerialize: bool = False

    @property
    def config(self) -> BertConfig:
        return BertConfig(
            vocab_size=self.vocabulary,
            num_hidden_layers=self.layers,
            hidden_size=self.hidden,
            num_attention_heads=self.hidden // 64,
            intermediate_size=self.inner,
        )

    @property
    def batch(self) -> counts.Batch:
        return counts.Batch(self.rows, self.length, self.rows * self.length)

    @property
    def task(self) -> str:
        return "inference" if self.what == "forward" else "finetuning"

    def work(self) -> tuple[float, ...]:
        return counts.work(self.config, self.batch, self.task)


# layers, hidden, inner, length, rows
_TIMED = (
    (4, 256, 1024, 128, 8),
    (4, 256, 1024, 512, 4),
    (8, 256, 1024, 32, 32),
    (6, 384, 1536, 64, 16),
    (6, 384, 1536, 16, 1),
    (4, 512, 2048, 32, 16),
    (4, 512, 2048, 256, 4),
    (2, 512, 2048, 128, 1),
    (2, 768, 3072, 128, 8),
    (4, 768, 3072, 64, 8),
    (2, 768, 3072, 512, 2),
)
# Much text and few weights: gradients, which are counted apart, hardly show.
_KEPT = ((4, 256, 1024, 128, 24), (6, 256, 512, 384, 8), (4, 512, 2048, 64, 32), (3, 512, 512, 256, 12))
FIT = (
    *(Point(what, *sizes) for what in ("forward", "training") for sizes in _TIMED),
    Point("training", 4, 512, 2048, 32, 16, 30000),
    *(Point("memory", *sizes, 1000) for sizes in _KEPT),
    *(Point("memory", *sizes, 1000, rematerialize=True) for sizes in _KEPT[1:3]),
)
HELD_OUT = (
    Point("forward", 12, 768, 3072, 128, 8, 30522),  # BERT-base
    Point("forward", 6, 384, 1536, 128, 16, 30522),  # MiniLM
    Point("forward", 3, 640, 2560, 384, 3),
    Point("training", 12, 768, 3072, 64, 4, 30522),
    Point("training", 6, 384, 1536, 128, 16, 30522),
    Point("training", 3, 640, 2560, 384, 3),
    Point("training", 6, 512, 2048, 96, 8, 8000, rematerialize=True),
    Point("memory", 6, 384, 1536, 128, 40, 1000),
    Point("memory", 6, 384, 1536, 128, 40, 1000, rematerialize=True),
    Point("memory", 5, 256, 1024, 256, 24, 1000),
    Point("memory", 5, 256, 1024, 256, 24, 1000, rematerialize=True),
)


def predicted(point: Point) -> float:
    """Seconds or bytes by the law, with the constants of `measured`."""
    if point.what == "forward":
        return measured.FORWARD.seconds(point.work())
    if point.what == "training":
        again = measured.FORWARD.seconds(counts.work(point.config, point.batch, "inference"))
        return measured.TRAINING.seconds(point.work()) + point.rematerialize * again
    return counts.memory(point.config, point.batch, point.task, "float32", point.rematerialize).activations


# ---- measuring, in a process of its own -----------------------------------------------------------------------------


def build(point: Point) -> tuple[Any, Any]:
    """Return the encoder, and a model that trains all of it: a classifier that runs every block for every token."""
    import keras

    import keras_bert_zoo as kbz
    from keras_bert_zoo.training.model import TaskModel

    encoder = kbz.build_encoder(point.config)
    model = TaskModel(encoder.input, keras.layers.Dense(2, name="head_logits")(encoder.output["pooled_output"]))
    model = kbz.rematerialize(model) if point.rematerialize else model
    model.compile(kbz.adamw(1e-5, steps=1000), kbz.heads.Classification(["negative", "positive"]).loss())
    return encoder, model


def examples(rows: int, length: int) -> tuple[dict[str, Any], Any]:
    """Return rows without padding, and their labels."""
    words = np.random.default_rng(0).integers(0, 1000, (rows, length), dtype=np.int32)
    features = {"input_word_ids": words, "input_mask": np.ones_like(words), "input_type_ids": np.zeros_like(words)}
    return features, np.arange(rows, dtype=np.int32) % 2


def step_of(point: Point) -> Callable[[], object]:
    """Return one step of a point, ready to be timed."""
    import tensorflow as tf

    encoder, model = build(point)
    features, labels = examples(point.rows, point.length)
    if point.what == "training":
        return lambda: model.train_on_batch(features, labels)
    features = {name: tf.constant(value) for name, value in features.items()}
    forward = tf.function(lambda x: encoder(x, training=False)["pooled_output"], autograph=False)
    return lambda: forward(features).numpy()


def seconds_of(points: Sequence[Point]) -> list[float]:
    """Time all points in turn, `TURNS` times over, so that whatever else the machine does slows each alike."""
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")  # many functions are traced on purpose
    steps = [step_of(point) for point in points]
    took: list[list[float]] = [[] for _ in points]
    for turn in range(TURNS + 2):
        for step, times in zip(steps, took, strict=True):
            begin = time.perf_counter()
            step()
            if turn >= 2:  # two turns trace and warm up
                times.append(time.perf_counter() - begin)
    return [statistics.median(times) for times in took]


def bytes_of(point: Point) -> float:
    import tensorflow as tf

    _, model = build(point)
    kinds = tf.nest.map_structure(lambda x: tf.TensorSpec([None] * x.ndim, x.dtype), examples(*TINY))

    def steps(rows: int, length: int) -> None:  # one traced graph for every shape
        data = tf.data.Dataset.from_generator(lambda: [examples(rows, length)] * 2, output_signature=kinds)
        model.fit(data.apply(tf.data.experimental.assert_cardinality(2)), verbose=0)

    steps(*TINY)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far, see proc_pid_clear_refs(5)
    steps(point.rows, point.length)
    return resident("VmHWM") - before


def resident(name: str) -> float:
    status = Path("/proc/self/status").read_text()
    return 1024 * float(re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)[1])  # type: ignore[index]


def measure(points: Sequence[Point]) -> list[float]:
    """Measure points in one fresh process.  Large blocks go back to the system at once, so that peaks are tensors."""
    done = subprocess.run(
        [sys.executable, __file__, "--points", json.dumps([asdict(point) for point in points])],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **(_GIVE_BACK if points[0].what == "memory" else {})},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return list(json.loads(done.stdout.splitlines()[-1]))


def measure_all(points: Sequence[Point]) -> dict[Point, float]:
    timed = [point for point in points if point.what != "memory"]
    found = dict(zip(timed, measure(timed), strict=True))
    for point in points:
        if point.what == "memory":
            (found[point],) = measure([point])
    return found


# ---- fitting --------------------------------------------------------------------------------------------------------


def fit(rows: Sequence[Sequence[float]], wanted: Sequence[float]) -> list[float]:
    """Least squares of the relative errors; a factor that would be negative is 0."""
    a = np.asarray(rows, float) / np.asarray(wanted)[:, None]  # [points,factors]
    use = np.flatnonzero(a.any(axis=0))
    while True:
        scale = a[:, use].max(axis=0)
        found = np.linalg.lstsq(a[:, use] / scale, np.ones(len(a)), rcond=None)[0] / scale
        if (found > 0).all():
            break
        use = np.delete(use, int(np.argmin(found * scale)))
    whole = np.zeros(a.shape[1])
    whole[use] = found
    return [float(f"{value:.3g}") for value in whole]


def kept_row(point: Point) -> list[float]:
    """What the factors of `Kept` stand on, in bytes."""
    tokens = 4 * point.batch.tokens
    scores = 4 * point.rows * point.config.num_attention_heads * point.length**2
    blocks = 1 if point.rematerialize else point.layers
    whole = tokens * point.inner + scores
    return [blocks * tokens * point.hidden, blocks * tokens * point.inner, blocks * scores, whole]


def kept_beside(point: Point) -> float:
    """What rematerialised blocks keep that no factor stands for: their inputs, in bytes."""
    return point.rematerialize * 4 * point.batch.tokens * point.layers * point.hidden


def fit_all(found: dict[Point, float]) -> dict[str, str]:
    """Return the new constants as source, and use them from here on."""
    lines = {}
    for name, what in (("FORWARD", "forward"), ("TRAINING", "training")):
        points = [point for point in FIT if point.what == what]
        values = fit([point.work() for point in points], [found[point] for point in points])
        setattr(measured, name, measured.Law(*values))
    points = [point for point in FIT if point.what == "memory"]
    values = fit([kept_row(point) for point in points], [found[point] - kept_beside(point) for point in points])
    measured.KEPT = measured.Kept(*values)  # type: ignore[misc]
    for name in ("FORWARD", "TRAINING", "KEPT"):
        lines[name] = f"{name} = {getattr(measured, name)!r}"
    return lines


def table(points: Sequence[Point], found: dict[Point, float]) -> tuple[list[str], float]:
    """Return a Markdown table of what was predicted and measured, and the largest error."""
    lines = ["| | L | D | F | T | B | vocabulary | predicted | measured | error |", "|---|" + "--:|" * 9]
    errors = []
    for p in points:
        got, want = predicted(p), found[p]
        errors.append(got / want - 1)
        unit, scale = ("MB", 1e-6) if p.what == "memory" else ("ms", 1e3)
        lines.append(
            f"| {p.what}{', rematerialised' if p.rematerialize else ''} | {p.layers} | {p.hidden} | {p.inner} |"
            f" {p.length} | {p.rows} | {p.vocabulary:,} | {got * scale:,.1f} {unit} | {want * scale:,.1f} {unit} |"
            f" {errors[-1]:+.0%} |"
        )
    return lines, max(map(abs, errors))


def report(found: dict[Point, float], load: float) -> tuple[str, float]:
    """Return what the pages tell, and the largest error of a held-out point."""
    lines, worst = table(HELD_OUT, found)
    text = (
        f"{1e-9 / measured.FORWARD.flop:,.0f} GFLOP/s forward; the two cores' load was {load:.1f} at the end, so"
        f" {'other jobs slowed every figure' if load > 2.5 else 'little else ran'}. The check, on points that no"
        " constant was fitted to:\n\n"
    )
    return f"{text}{chr(10).join(lines)}\n\nLargest error: {worst:.0%}; allowed: {LIMIT:.0%}.\n", worst


def write_down(constants: dict[str, str], told: str) -> None:
    """Put the constants into the package and the check into the pages, between their marks."""
    text = MEASURED.read_text(encoding="utf-8")
    for name, line in constants.items():
        text = re.sub(rf"^{name} = .*$", line, text, flags=re.MULTILINE)
    MEASURED.write_text(text, encoding="utf-8")
    for page in PAGES:
        before, _, rest = page.read_text(encoding="utf-8").partition("<!-- measured -->\n")
        after = rest.partition("<!-- end -->\n")[2]
        page.write_text(f"{before}<!-- measured -->\n{told}<!-- end -->\n{after}", encoding="utf-8")


@click.command(help=__doc__)
@click.option("--write", is_flag=True, help="Write the fitted constants and the check into the package and pages.")
@click.option("--points", hidden=True)
def main(write: bool, points: str | None) -> None:
    if points is not None:
        wanted = [Point(**values) for values in json.loads(points)]
        click.echo(json.dumps([bytes_of(wanted[0])] if wanted[0].what == "memory" else seconds_of(wanted)))
        return
    found = measure_all((*FIT, *HELD_OUT))
    load = os.getloadavg()[0]
    constants = fit_all(found)
    told, worst = report(found, load)
    click.echo("\n".join((*constants.values(), "", "Fitted:", "", *table(FIT, found)[0], "", told)))
    if write:
        write_down(constants, told)
    sys.exit(worst > LIMIT)


if __name__ == "__main__":
    main()
