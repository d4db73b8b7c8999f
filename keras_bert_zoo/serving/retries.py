"""Asking again, where a server says that it cannot answer now."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from keras_bert_zoo.errors import ServingError

T = TypeVar("T")
_FIRST, _MOST = 0.1, 5.0  # seconds before the second try, doubled each time, up to the most


class Unavailable(ServingError):
    """The server is not there or has too much to do; `after` is how many seconds it asks to wait, if it says so.

    Nothing else is asked again: another trouble would be the same, and a request that ran out of time may still run.
    """

    def __init__(self, message: str, status: int | str | None = None, after: float | None = None) -> None:
        super().__init__(message, status)
        self.after = after


def persist(call: Callable[[], T], tries: int) -> T:
    """Return what a call gives, tried up to `tries` times while it raises `Unavailable`, with growing pauses.

    Pauses are drawn from half of their length up, so that many clients do not come back at once.
    """
    for number in range(1, tries):
        try:
            return call()
        except Unavailable as error:
            pause = min(_FIRST * 2 ** (number - 1), _MOST) * random.uniform(0.5, 1)
            time.sleep(max(pause, min(error.after or 0.0, _MOST)))
    return call()
