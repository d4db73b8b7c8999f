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


FORWARD = Law(block=0.00129, flop=5.91e-12, element=3.64e-10, score=4.03e-10, weight=0.0)
TRAINING = Law(block=0.00308, flop=5.65e-12, element=3.92e-09, score=7.63e-09, weight=1.89e-09)
KEPT = Kept(hidden=12.9, inner=4.23, score=1.95, back=1.67)
