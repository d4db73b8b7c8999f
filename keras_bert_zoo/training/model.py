"""The model that is trained: an encoder with a head on top."""

from __future__ import annotations

import keras


@keras.saving.register_keras_serializable("keras_bert_zoo")
class TaskModel(keras.Model):
    """A functional model from `input_word_ids`, `input_mask`, `input_type_ids` (int32 [B,T]) to a head's logits.

    It contains the encoder's own layers, not copies: several heads on one encoder share its weights, and
    variable paths are the encoder's.  `compile`, `fit`, `evaluate` and `save` are Keras's.
    """
