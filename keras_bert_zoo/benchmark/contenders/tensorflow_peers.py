"""Turns of whatever runs under TensorFlow and Keras, ours among them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import keras

from keras_bert_zoo.benchmark.ways import Took, Turn, seconds

CALLS = 2  # forward passes a turn


def timed_calls(call: Callable[[], Any], gigaflops: float) -> Turn:
    """Return a turn of some forward passes, after one that warms up."""

    def work() -> None:
        for _ in range(CALLS):
            call()

    def turn() -> Took:
        call()
        return Took(seconds(work), CALLS * gigaflops)

    return turn


class _Clock(keras.callbacks.Callback):
    """Seconds from the begin of the first step to the end of the last: `fit` setting itself up is not counted."""

    begin = end = 0.0
    steps = 0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.begin = time.perf_counter() if batch == 0 else self.begin

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.end, self.steps = time.perf_counter(), batch + 1


def fit_turn(model: keras.Model, rows: Any, batch_size: int) -> Turn:
    """Return a turn of one epoch through `model.fit`."""

    def turn() -> Took:
        clock = _Clock()
        model.fit(rows, epochs=1, callbacks=[clock], shuffle=False, verbose=0)
        return Took(clock.end - clock.begin, clock.steps * batch_size)

    return turn
