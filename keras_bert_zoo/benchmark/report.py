"""What a run found, as plain data."""

from __future__ import annotations

import dataclasses
from typing import Any

from keras_bert_zoo.benchmark.turns import Spread


@dataclasses.dataclass(frozen=True)
class Section:
    """A part of the run: its title, and the unit of its speeds (or, for `time`, of its times)."""

    title: str
    unit: str
    time: bool = False


SECTIONS = {
    "tokenizer": Section("Tokenizer: strings to token ids", "MB/s"),
    "encoder": Section("Encoder alone, and the ceiling: the best matrix product", "GFLOP/s"),
    "serving": Section("End to end: strings to probabilities", "texts/s"),
    "latency": Section("Latency: one sentence to its probabilities", "ms", time=True),
    "training": Section("Fine-tuning", "examples/s"),
}


@dataclasses.dataclass(frozen=True)
class Row:
    """One way of one contender at one workload.

    `figure` is in the section's unit.  `ratio` says how many times as quick as this way ours is, taken against our
    way `against`; `share` how much of the ceiling it reaches; `difference` how far, at most, its probabilities lie
    from ours in fp32.
    """

    section: str
    workload: str
    contender: str
    way: str
    precision: str
    settings: str
    figure: Spread
    ratio: Spread | None = None
    against: str | None = None
    share: Spread | None = None
    difference: float | None = None


@dataclasses.dataclass(frozen=True)
class Missing:
    """A contender, or one way of it, that was not measured, and why."""

    section: str
    contender: str
    way: str | None
    why: str


@dataclasses.dataclass(frozen=True)
class Report:
    """A whole run.  `tokens` maps a workload to the mean and the highest number of tokens of its texts."""

    date: str
    command: str
    machine: dict[str, Any]
    versions: dict[str, str]
    plan: dict[str, Any]
    tokens: dict[str, list[float]]
    rows: list[Row]
    missing: list[Missing]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return dataclasses.asdict(self)
