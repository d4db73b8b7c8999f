"""The model as an export holds it: packed, in one precision, each weight once."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from keras_bert_zoo.encoder import serving_copy
from keras_bert_zoo.errors import ExportError
from keras_bert_zoo.layers.kernels import using
from keras_bert_zoo.serving.kernels import TENSORFLOW

PRECISIONS = ("float32", "bfloat16")
# Which weights are constants of the graph.  TensorFlow's CPU kernels lay constant dense weights out once, in the order
# the processor likes.  In bfloat16 that saves a tenth of the time; in float32 the order depends on the number of
# tokens, and a single text after a batch takes twice as long.  Measured: benchmarks/RESULTS.md.
CONSTANTS = {"float32": (), "bfloat16": ("kernel", "bias")}
# A graph is written as one protocol buffer, which must stay below 2 GiB.
LARGEST_GRAPH = 1_500 * 2**20


class Frozen(tf.Module):
    """A task model to be exported: called with the int32 [B,T] inputs by name, it gives float32 logits.

    `precision`, of weights and layers, is "float32" or "bfloat16", which halves the bytes and the time where the
    processor knows it.  Weights that are no constants, embedding tables among them, are variables: each weight is held
    once.
    Raises: ExportError on another precision.
    """

    def __init__(self, model: keras.Model, precision: str = "float32") -> None:
        super().__init__(name="frozen")
        if precision not in PRECISIONS:
            raise ExportError(f"precision is {precision!r}, an export can have {' or '.join(PRECISIONS)}.")
        served = serving_copy(model, precision)
        weights = served.trainable_variables
        frozen = [weight for weight in weights if weight.name in CONSTANTS[precision]]
        if sum(weight.value.shape.num_elements() * weight.value.dtype.size for weight in frozen) > LARGEST_GRAPH:
            frozen = []
        names = {weight.path for weight in frozen}
        self.weights = [weight.value for weight in weights if weight.path not in names]
        values = [weight.numpy() for weight in frozen]

        def logits(inputs: dict[str, tf.Tensor]) -> tf.Tensor:
            constants = map(tf.constant, values)
            with keras.StatelessScope(state_mapping=list(zip(frozen, constants, strict=True))), using(TENSORFLOW):
                return tf.nest.map_structure(lambda x: tf.cast(x, tf.float32), served(inputs, training=False))

        # One concrete function, called by every signature: traced twice, the constants would be stored twice.
        self.inputs = {name: tf.TensorSpec(x.shape, x.dtype, name=name) for name, x in served.input.items()}
        self._logits: Any = tf.function(logits, autograph=False).get_concrete_function(self.inputs)

    def __call__(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        return self._logits(inputs)
