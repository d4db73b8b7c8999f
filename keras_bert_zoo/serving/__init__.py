"""Exports and what serves them.  Names resolve on first use: a client over REST needs no TensorFlow."""

from importlib import import_module
from typing import Any

# public name -> the module it lives in
_PUBLIC = {
    "Client": "keras_bert_zoo.serving.client",
}

__all__ = [*_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'keras_bert_zoo.serving' has no attribute '{name}'")
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
