"""The one call behind `kbz benchmark`."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import Callable, Sequence

from keras_bert_zoo.benchmark.measure import measure
from keras_bert_zoo.benchmark.plan import QUICK, Plan, Setup
from keras_bert_zoo.benchmark.report import Report
from keras_bert_zoo.benchmark.texts import dataset_texts, read_labelled, read_lines, repeated, short_and_long
from keras_bert_zoo.files import cleared

PROBE = 16  # texts whose answers are compared


def benchmark(
    source: str,
    *,
    sections: Sequence[str],
    peers: Sequence[str],
    file: str | None = None,
    mixed_file: str | None = None,
    train_file: str | None = None,
    repeats: int | None = None,
    quick: bool = False,
    command: str = "",
    say: Callable[[str], None] = lambda words: None,
) -> Report:
    """Measure `sections` of ours and of `peers` on texts of the user, or of our data set.

    `source` is the encoder that all sides run.  Files are read as `texts.py` says.  `say` is told each step.
    Raises: DataError on a file; ConfigError where ours fails.
    """
    plan = QUICK if quick else Plan()
    plan = plan if repeats is None else dataclasses.replace(plan, repeats=repeats)
    own = read_lines(file) if file else None
    rows = read_labelled(train_file) if train_file else None
    if own is None or rows is None:
        say("reading the data set")
        texts, labelled = dataset_texts()
        own, rows = own or texts, rows or labelled
    mixed = read_lines(mixed_file)[: plan.mixed] if mixed_file else short_and_long(own, plan.mixed, plan.seed)
    folder = tempfile.mkdtemp(prefix="kbz-benchmark-")
    with cleared(lambda: shutil.rmtree(folder, ignore_errors=True)):
        setup = Setup(
            folder=folder,
            source=source,
            plan=plan,
            workloads={"short": own[: plan.texts], "mixed": mixed},
            lines=repeated(own, plan.lines),
            rows=(repeated(rows[0], plan.rows), repeated(rows[1], plan.rows)),
            probe=repeated(mixed, PROBE),
        )
        return measure(setup, sections=sections, peers=peers, command=command, say=say)
