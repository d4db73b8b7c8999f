"""What was measured rather than derived: `python benchmarks/scaling.py --write` rewrites the values below.

Machine: 2 cores of an AMD EPYC with AVX-512, float32, this package's own layers on TensorFlow.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Law:
    """Seconds that one unit of work takes on the processor `cpu`; `work` in counts.py says what is counted."""

    block: float
    flop: float
    element: float
    score: float
    weight: float

    def seconds(self, work: tuple[float, ...]) -> float:
        """Return the time of one step that does this work."""
        prices = (self.block, self.flop, self.element, self.score, self.weight)
        return sum(price * amount for price, amount in zip(prices, work, strict=True))


@dataclass(frozen=True)
class Kept:
    """How many numbers a block keeps for its backward pass: a token and unit of D, a token and unit of F, a score.

    `back` is what the one block that is being gone back through needs besides, a token and unit of F and a score.
    """

    hidden: float
    inner: float
    score: float
    back: float


FORWARD = Law(block=9.7e-4, flop=5.6e-12, element=5.6e-11, score=4.0e-10, weight=0.0)
TRAINING = Law(block=6.9e-3, flop=6.8e-12, element=7.7e-9, score=1.4e-9, weight=6.9e-10)
KEPT = Kept(hidden=13.6, inner=4.33, score=2.42, back=1.5)
