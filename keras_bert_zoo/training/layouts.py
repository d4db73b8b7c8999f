"""In which layout a model is trained.

Both give the same numbers.  `packed` runs the dense layers on real tokens alone, but its shapes change with every
batch, so XLA and JAX cannot have it.  "auto" takes it for one device under TensorFlow, and `padded` elsewhere.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras

from keras_bert_zoo.encoder import with_layout
from keras_bert_zoo.layers.layout import LAYOUTS

CHOICES = ("auto", *LAYOUTS)


def choose_layout(wanted: str, replicas: int = 1) -> str:
    """Return the layout that one of `CHOICES` means for a model on so many replicas."""
    if wanted != "auto":
        return wanted
    return "packed" if keras.backend.backend() == "tensorflow" and replicas == 1 else "padded"


def laid_out(model: keras.Model, wanted: str) -> keras.Model:
    """Return the model itself where it has the wanted layout, else a model that has it and shares all its layers.

    The new model is not compiled.  Raises: ConfigError where the backend cannot have the layout.
    """
    if keras.backend.backend() != "tensorflow":
        return _laid_out(model, choose_layout(wanted))
    with place_of(model):
        return _laid_out(model, choose_layout(wanted, model.distribute_strategy.num_replicas_in_sync))


def place_of(model: keras.Model) -> AbstractContextManager[Any]:
    """Return the scope of the strategy that a model's variables live in, where more of them are to be made."""
    return model.distribute_strategy.scope() if keras.backend.backend() == "tensorflow" else nullcontext()


def _laid_out(model: keras.Model, layout: str) -> keras.Model:
    return model if model.get_layer("grid").layout == layout else with_layout(model, layout)
