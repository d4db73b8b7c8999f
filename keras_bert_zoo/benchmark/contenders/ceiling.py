"""The ceiling: how quick this machine multiplies matrices through TensorFlow, at its best and at BERT's shapes."""

from __future__ import annotations

import math

import tensorflow as tf

from keras_bert_zoo.benchmark.contenders import BIG
from keras_bert_zoo.benchmark.plan import Setup
from keras_bert_zoo.benchmark.ways import ENCODER, Took, Turn, Way, seconds

DTYPES = {"fp32": tf.float32, "bf16": tf.bfloat16}
WORK, MOST = 250, 50  # GFLOP a turn, about; and products, where they are small


def encoder(setup: Setup) -> list[Way]:
    """Square products of the plan's sizes, and the products of one block of its encoder."""
    batch, length = setup.plan.grid
    hidden, inner = setup.plan.encoder["hidden_size"], setup.plan.encoder["intermediate_size"]
    rows = batch * length
    block = [(rows, hidden, 3 * hidden), (rows, hidden, hidden), (rows, hidden, inner), (rows, inner, hidden)]
    ways = []
    for name, dtype in DTYPES.items():
        for side in setup.plan.gemm:
            settings = f"tf.matmul, {side} x {side} x {side}"
            ways.append(_way(f"{BIG} {side}, {name}", name, settings, [(side, side, side)], dtype))
        told = ", ".join(f"{n} x {k} x {m}" for n, k, m in block)
        ways.append(_way(f"BERT's shapes, {name}", name, f"tf.matmul, {told}", block, dtype))
    return ways


def _way(name: str, precision: str, settings: str, sizes: list[tuple[int, int, int]], dtype: tf.DType) -> Way:
    pairs = [(tf.cast(tf.random.normal((n, k)), dtype), tf.cast(tf.random.normal((k, m)), dtype)) for n, k, m in sizes]
    once = sum(2 * n * k * m for n, k, m in sizes) / 1e9
    calls = min(math.ceil(WORK / once), MOST)

    def multiply() -> None:
        for _ in range(calls):
            for left, right in pairs:
                tf.matmul(left, right)

    def turn() -> Took:
        return Took(seconds(multiply), calls * once)

    turns: dict[str, Turn] = {ENCODER: turn}
    return Way(name, precision, settings, turns)
