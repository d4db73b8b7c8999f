"""Batches made ahead of the model, for `tf.data`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf

_MOST_AT_ONCE = 8  # batches that are made at a time: a batch may be large, and making one is quick
_AHEAD = 8  # batches that wait for the model


def made_ahead(rows: tf.data.Dataset, make: Callable[..., Any]) -> tf.data.Dataset:
    """Return what `make` gives of each element, in their order, a few of them ready before they are asked for.

    TensorFlow's autotuning is off: there is nothing left to tune, and whoever lets go of an iterator waits for the
    thread that tunes, which may sleep for half a minute; so a run took that much longer to end.
    """
    at_once = min(_MOST_AT_ONCE, os.cpu_count() or 1)
    made = rows.map(make, num_parallel_calls=at_once, deterministic=True).prefetch(_AHEAD)
    options = tf.data.Options()
    options.autotune.enabled = False
    return made.with_options(options)
