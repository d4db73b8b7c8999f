"""BERT on Keras and TensorFlow: exact, whole, fast and clear.

Public names resolve on first use, because importing TensorFlow takes seconds and `kbz --help` needs none of it.
"""

from importlib import import_module
from typing import Any

from keras_bert_zoo._version import __version__

# public name -> the module it lives in, or None for a submodule
_PUBLIC: dict[str, str | None] = {
    "BertConfig": "keras_bert_zoo.config",
    "build_encoder": "keras_bert_zoo.encoder",
    "with_layout": "keras_bert_zoo.encoder",
    "rematerialize": "keras_bert_zoo.rematerialization",
    "Tokenizer": "keras_bert_zoo.text.tokenizer",
    "Bundle": "keras_bert_zoo.bundle",
    "load": "keras_bert_zoo.bundle",
    "save": "keras_bert_zoo.bundle",
    "convert": "keras_bert_zoo.conversion",
    "adamw": "keras_bert_zoo.training.optimizer",
    "strategy": "keras_bert_zoo.training.strategy",
    "finetune": "keras_bert_zoo.recipe",
    "finetune_seeds": "keras_bert_zoo.seeds",
    "learn_vocabulary": "keras_bert_zoo.data.vocabulary",
    "write_pretraining_data": "keras_bert_zoo.data.pretraining",
    "Phase": "keras_bert_zoo.training.recipes",
    "Recipe": "keras_bert_zoo.training.recipes",
    "pretrain": "keras_bert_zoo.pretraining",
    "export_saved_model": "keras_bert_zoo.serving.saved_model",
    "export_encoder": "keras_bert_zoo.serving.encoder_models",
    "data": None,
    "errors": None,
    "heads": None,
    "layers": None,
    "serving": None,
    "text": None,
    "weights": None,
    "zoo": None,
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'keras_bert_zoo' has no attribute '{name}'")
    module = _PUBLIC[name]
    value = getattr(import_module(module), name) if module else import_module(f"keras_bert_zoo.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
