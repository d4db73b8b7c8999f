"""Pretrained encoders by name: fetched, checked, cached."""

from keras_bert_zoo.zoo.sources import fetch, presets

__all__ = ["fetch", "presets"]
