"""Where a training step can be compiled with XLA."""

from __future__ import annotations

import keras

from keras_bert_zoo.errors import ConfigError


def check_xla(model: keras.Model) -> None:
    """Raises: ConfigError where TensorFlow cannot compile the model's training step: on several replicas.

    A step compiled for one device cannot reach the weights of another's replica.  A TPU compiles by itself.
    Source: https://www.tensorflow.org/xla/known_issues, "tf.Variable on a different device".
    """
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    strategy = model.distribute_strategy
    if strategy.num_replicas_in_sync > 1 and not isinstance(strategy, tf.distribute.TPUStrategy):
        raise ConfigError(
            f"{model.name}: jit_compile=True works on one device; here are {strategy.num_replicas_in_sync} replicas,"
            " and TensorFlow compiles a step for one of them, which cannot reach the others' weights. Train without it."
        )


def check_compiled(model: keras.Model) -> None:
    """Raises: ConfigError where Keras gave up XLA with no more than a warning: where TensorFlow is deterministic."""
    if not model.jit_compile:
        raise ConfigError(
            f"{model.name}: Keras cannot have jit_compile=True here: TensorFlow compiles nothing once"
            " tf.config.experimental.enable_op_determinism() was called, as kbz.pretrain and kbz.finetune do where"
            " there is no GPU. Compile in another process, or train with determinism='off' before."
        )
