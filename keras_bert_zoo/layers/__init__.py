"""The Keras layers of BERT: public, serialisable, written with `keras.ops` alone."""

from keras_bert_zoo.layers.attention import SelfAttention
from keras_bert_zoo.layers.block import Block
from keras_bert_zoo.layers.embeddings import Embeddings
from keras_bert_zoo.layers.fold import ChoiceLogits, Fold, Unfold
from keras_bert_zoo.layers.layout import Grid, ToGrid
from keras_bert_zoo.layers.masked_lm import MaskedLMBias, MaskedLMTransform
from keras_bert_zoo.layers.norm import Norm
from keras_bert_zoo.layers.pooling import Pooler
from keras_bert_zoo.layers.sentence import SentencePooling
from keras_bert_zoo.layers.spans import RealTokensOnly

__all__ = [
    "Block",
    "ChoiceLogits",
    "Embeddings",
    "Fold",
    "Grid",
    "MaskedLMBias",
    "MaskedLMTransform",
    "Norm",
    "Pooler",
    "RealTokensOnly",
    "SelfAttention",
    "SentencePooling",
    "ToGrid",
    "Unfold",
]
