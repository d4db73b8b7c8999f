"""Where a model is trained: `tf.distribute` strategies by name."""

from __future__ import annotations

from typing import Any

from keras_bert_zoo.errors import ConfigError

STRATEGIES = ("default", "mirrored")


def strategy(name: str = "default") -> Any:
    """Return a `tf.distribute.Strategy`: "default" (one device) or "mirrored" (every GPU of this host).

    Build and compile the model inside `strategy(...).scope()`.  Raises: ConfigError on another name.
    """
    if name not in STRATEGIES:
        raise ConfigError(f"strategy is {name!r}, it must be one of {', '.join(STRATEGIES)}.")
    import tensorflow as tf

    return tf.distribute.MirroredStrategy() if name == "mirrored" else tf.distribute.get_strategy()
