"""Weights in the formats of others, read and written with every tensor accounted for."""

# The name of a format -> its module, imported when it is asked for.
FORMATS = {"huggingface": "keras_bert_zoo.weights.huggingface"}

__all__ = ["FORMATS"]
