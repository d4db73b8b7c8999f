"""Training with less memory: blocks keep their input alone and run again in the backward pass."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.layers import Block


@keras.saving.register_keras_serializable("keras_bert_zoo")
class Rematerialized(keras.layers.Layer):
    """A block that keeps nothing but its input: ([N,D], grid) -> [N,D], by the weights of `block`.

    Keras's own `RematScope` cannot do this on TensorFlow: `tf.recompute_grad` takes no keywords in a graph, and the
    second run would draw other dropouts.  Here it replays the first run's seeds.
    """

    def __init__(self, block: Block, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.block = block
        self.built = True

    def call(self, x: Any, grid: dict[str, Any], first_only: bool = False, training: bool | None = None) -> Any:
        seeds = [(seed, ops.copy(seed.value)) for seed in self.block.non_trainable_variables]
        ends: list[list[Any]] = []  # of the seeds, run by run

        def run(x: Any) -> Any:
            with keras.StatelessScope(state_mapping=seeds) as scope:
                y = self.block(x, grid, first_only=first_only, training=training)  # [N,D]
            ends.append([scope.get_current_value(seed) for seed, _ in seeds])
            return y

        y = keras.remat(run)(x)  # [N,D]
        for (seed, _), end in zip(seeds, ends[0], strict=True):
            seed.assign(end)
        # `recompute_grad` takes no sparse gradient, which is what a packed grid sends back; a reshape makes it dense.
        return ops.reshape(y, ops.shape(y))

    def compute_output_spec(
        self, x: Any, grid: dict[str, Any], first_only: bool = False, training: bool | None = None
    ) -> Any:
        return self.block.compute_output_spec(x, grid, first_only=first_only, training=training)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "block": keras.saving.serialize_keras_object(self.block)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Rematerialized:
        return cls(**{**config, "block": keras.saving.deserialize_keras_object(config["block"])})


def rematerialize(model: keras.Model) -> keras.Model:
    """Return an encoder or task model that shares all layers of `model` but computes its blocks again going back.

    Train the one and save the other: the weights are the same.  It costs a third more compute and keeps the
    activations of one block in place of all.

    Raises: ConfigError under another backend than TensorFlow, or where the model has no blocks.
    """
    if keras.backend.backend() != "tensorflow":
        raise ConfigError(f"rematerialize works on TensorFlow; the backend is {keras.backend.backend()}.")
    if not any(isinstance(layer, Block) for layer in model.layers):
        raise ConfigError(f"Model '{model.name}' has no blocks to rematerialise: hand in an encoder or a task model.")

    def shared(layer: keras.layers.Layer) -> keras.layers.Layer:
        return Rematerialized(layer, name=layer.name, dtype=layer.dtype_policy) if isinstance(layer, Block) else layer

    return keras.models.clone_model(model, clone_function=shared)
