"""Fair turns and what they tell: whatever else the machine does, it slows all sides alike.  R repeats."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

Side = TypeVar("Side", bound=Hashable)


@dataclasses.dataclass(frozen=True)
class Spread:
    """The median over repeats, the lowest and the highest."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Sum up the repeats."""
    return Spread(statistics.median(values), min(values), max(values))


def ratios(speeds: Sequence[float], others: Sequence[float]) -> Spread:
    """Sum up how many times as quick the one was as the other, repeat by repeat."""
    return spread([one / other for one, other in zip(speeds, others, strict=True)])


def take_turns(sides: Mapping[Side, Callable[[], float | None]], repeats: int) -> dict[Side, list[float]]:
    """Let every side work once a round and return its speeds, R each.

    A first round, which is not counted, warms up.  Each round another side begins.  A side that returns None has
    failed: it is left out from then on.
    """
    speeds: dict[Side, list[float]] = {side: [] for side in sides}
    for number in range(repeats + 1):
        order = list(speeds)
        first = number % max(len(order), 1)
        for side in order[first:] + order[:first]:
            speed = sides[side]()
            if speed is None:
                del speeds[side]
            elif number:
                speeds[side].append(speed)
    return speeds
