"""The model that is trained: an encoder with a head on top."""

from __future__ import annotations

import inspect
from typing import Any

import keras

from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.training.xla import check_xla


@keras.saving.register_keras_serializable("keras_bert_zoo")
class TaskModel(keras.Model):
    """A functional model from `input_word_ids`, `input_mask`, `input_type_ids` (int32 [B,T]) to a head's logits.

    It contains the encoder's own layers, not copies: several heads on one encoder share its weights, and
    variable paths are the encoder's.  `evaluate`, `predict` and `save` are Keras's.

    Under TensorFlow XLA is off unless `compile(jit_compile=True)` asks for it: it would compile anew for every
    length of batch, and Keras's "auto" turns it on wherever there is a GPU.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if keras.backend.backend() == "tensorflow":
            self.jit_compile = False

    def compile(self, *args: Any, jit_compile: bool | str = "auto", **kwargs: Any) -> None:
        """Prepare for `fit` as `keras.Model.compile` does, with XLA only where it is asked for.

        Raises: ConfigError on XLA for a packed model, and on several replicas that are no TPU's.
        """
        if jit_compile is True and any(getattr(layer, "layout", None) == "packed" for layer in self.layers):
            raise ConfigError(
                f"{self.name}: jit_compile=True needs shapes that stay, but the model is packed, with as many tokens as"
                " the batch has. Compile without it, or lay the model out anew: with_layout(model, 'padded')."
            )
        if jit_compile is True:
            check_xla(self)
        if jit_compile == "auto" and keras.backend.backend() == "tensorflow":
            jit_compile = False
        super().compile(*args, jit_compile=jit_compile, **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile again as a saved model was; Keras asks for this where `compile` is overridden."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built:
            self.optimizer.build(self.trainable_variables)

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Train as `keras.Model.fit` does; data that brings its own targets is not shuffled a second time."""
        if y is None and len(args) < _SHUFFLE_PLACE:
            kwargs.setdefault("shuffle", False)  # Keras's default of True only draws a warning there
        return super().fit(x, y, *args, **kwargs)


_SHUFFLE_PLACE = list(inspect.signature(keras.Model.fit).parameters).index("shuffle") - 2  # after self, x, y
