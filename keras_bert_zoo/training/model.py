"""The model that is trained: an encoder with a head on top."""

from __future__ import annotations

import inspect
from typing import Any

import keras


@keras.saving.register_keras_serializable("keras_bert_zoo")
class TaskModel(keras.Model):
    """A functional model from `input_word_ids`, `input_mask`, `input_type_ids` (int32 [B,T]) to a head's logits.

    It contains the encoder's own layers, not copies: several heads on one encoder share its weights, and
    variable paths are the encoder's.  `compile`, `evaluate` and `save` are Keras's.
    """

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Train as `keras.Model.fit` does; data that brings its own targets is not shuffled a second time."""
        if y is None and len(args) < _SHUFFLE_PLACE:
            kwargs.setdefault("shuffle", False)  # Keras's default of True only draws a warning there
        return super().fit(x, y, *args, **kwargs)


_SHUFFLE_PLACE = list(inspect.signature(keras.Model.fit).parameters).index("shuffle") - 2  # after self, x, y
