"""Pretrained encoders by name: fetched, checked, cached."""

from keras_bert_zoo.zoo.sources import fetch, find, lowers, presets

__all__ = ["fetch", "find", "lowers", "presets"]
