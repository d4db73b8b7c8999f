"""What a contender hands to its worker: the ways it can do a section's work."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from keras_bert_zoo.benchmark.plan import Setup

SHORT, SHORT_SORTED = "short texts as they come", "short texts, sorted"
MIXED, MIXED_SORTED = "short and long texts as they come", "short and long texts, sorted"

TOKENIZER, ENCODER, LATENCY, TRAINING = "lines of text", "forward", "one sentence", "an epoch"
LINES = 1024  # that tokenizers are given at once


@dataclasses.dataclass(frozen=True)
class Took:
    """One turn: `seconds` of work, and how much of it there was, in the section's unit."""

    seconds: float
    amount: float


Turn = Callable[[], Took]


@dataclasses.dataclass(frozen=True)
class Way:
    """One way to do a section's work: a turn for each workload.

    `precision` is "fp32", "bf16" or "int8"; ratios are taken against ours of that precision.  `settings` tell what
    a reader needs to do the same.  `answer` maps texts to probabilities [N,C], where sides are compared; `exact` is
    whether they must agree with ours.  `missing` tells why a way is not there; it has no turns then.
    """

    name: str
    precision: str
    settings: str
    turns: Mapping[str, Turn] = dataclasses.field(default_factory=dict)
    answer: Callable[[Sequence[str]], Any] | None = None
    exact: bool = True
    missing: str = ""


def seconds(call: Callable[[], object]) -> float:
    """Return how long one call takes."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def batches(texts: Sequence[str], size: int) -> list[list[str]]:
    """Cut texts into batches in their order."""
    return [list(texts[i : i + size]) for i in range(0, len(texts), size)]


def serving_turns(setup: Setup, answer: Callable[[list[str]], Any], **sorted_by: Any) -> dict[str, Turn]:
    """Return the turns of serving: all texts of a workload in batches, as they come and sorted by length.

    `answer` takes one batch.  `sorted_by(texts)` replaces it, and our sorting, for the sorted workloads.
    """
    whole = sorted_by.get("whole_list")

    def in_order(texts: list[str]) -> Turn:
        def work() -> None:
            for batch in batches(texts, setup.plan.batch_size):
                answer(batch)

        return lambda: Took(seconds(work), len(texts))

    def in_length(texts: list[str]) -> Turn:
        def work() -> None:
            for batch in batches(sorted(texts, key=len, reverse=True), setup.plan.batch_size):
                answer(batch)

        return lambda: Took(seconds(work if whole is None else lambda: whole(texts)), len(texts))

    short, mixed = setup.workloads["short"], setup.workloads["mixed"]
    return {
        SHORT: in_order(short),
        SHORT_SORTED: in_length(short),
        MIXED: in_order(mixed),
        MIXED_SORTED: in_length(mixed),
    }


def latency_turns(setup: Setup, answer: Callable[[list[str]], Any]) -> dict[str, Turn]:
    """Return the turn of latency: one sentence a call, the median of many."""

    def turn() -> Took:
        return Took(statistics.median(seconds(lambda: answer([setup.sentence])) for _ in range(setup.plan.calls)), 1)

    return {LATENCY: turn}


def answering_turns(section: str, setup: Setup, answer: Callable[[list[str]], Any]) -> dict[str, Turn]:
    """Return the turns of "serving" or "latency" for a side that answers batches."""
    return (serving_turns if section == "serving" else latency_turns)(setup, answer)


def tokenizer_turns(
    setup: Setup, cut: Callable[[Any], object], given: Callable[[list[str]], Any] = list
) -> dict[str, Turn]:
    """Return the turn of a tokenizer: all lines in big batches, in MB; `given` makes the argument beforehand."""
    ready = [given(batch) for batch in batches(setup.lines, LINES)]
    megabytes = sum(len(line.encode()) for line in setup.lines) / 1e6

    def work() -> None:
        for batch in ready:
            cut(batch)

    return {TOKENIZER: lambda: Took(seconds(work), megabytes)}
