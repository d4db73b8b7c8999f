"""Heads that exist for tests alone: one that reads windows, one that reads lists of strings, one without a pooler."""

from typing import ClassVar

import keras
import numpy as np
import tensorflow as tf

from keras_bert_zoo.data.tables import Table
from keras_bert_zoo.encoder import encode, encoder_config
from keras_bert_zoo.heads.head import Head, dense_logits
from keras_bert_zoo.text.packing import pack
from keras_bert_zoo.training.model import TaskModel

STRIDE = 3  # tokens from the beginning of one window to that of the next


class Plain(Head):
    """Gives two numbers a text; whatever a head may leave to `Head` is left."""

    name: ClassVar[str] = "plain"
    monitor: ClassVar[str] = "loss"

    def __init__(self, *, pair=False, dropout=0.1, new_pooler=False):
        super().__init__(2, pair=pair, dropout=dropout, new_pooler=new_pooler)

    def targets(self, labels, where):
        return np.array(labels, "float32")

    def loss(self):
        return keras.losses.MeanSquaredError()

    def metrics(self):
        return []

    def decode(self, outputs, features):
        return {"numbers": outputs}


class Windowed(Plain):
    """Reads a text in overlapping windows; targets are a dict of an array and a ragged tensor."""

    name: ClassVar[str] = "windowed"
    windowed: ClassVar[bool] = True

    def row_counts(self, lengths, length):
        return np.maximum(1, -(-(lengths["text"] - (length - 2)) // STRIDE) + 1)

    def pack(self, tokenizer, length):
        ids = {"cls_id": tokenizer.cls_id, "sep_id": tokenizer.sep_id, "pad_id": tokenizer.pad_id}

        def features(columns, targets=None, *, window):
            tokens = tokenizer.tokenize(columns["text"])
            place = tf.ragged.range(tokens.row_lengths()) - tf.cast(window[:, None] * STRIDE, tokens.row_splits.dtype)
            seen = tf.ragged.boolean_mask(tokens, (place >= 0) & (place < length - 2))
            return pack([seen], **ids, max_length=length), targets

        return features

    def targets(self, labels, where):
        return {"number": np.array(labels, "int32"), "many": tf.ragged.constant([[n] * (n % 3) for n in labels])}


class Chooser(Plain):
    """Reads a text and a list of them, and gives back the list, joined and counted."""

    name: ClassVar[str] = "chooser"
    ranks: ClassVar[dict[str, int]] = {"choices": 2}
    scored_by: ClassVar[str] = "answers"
    monitor: ClassVar[str] = "joined"

    @property
    def columns(self):
        return ("text", "choices")

    def pack(self, tokenizer, length):
        inner = Plain().pack(tokenizer, length)

        def features(columns, targets=None):
            packed, _ = inner({"text": columns["text"]})
            return {**packed, "choices": columns["choices"]}, targets

        return features

    def decode(self, outputs, features):
        choices = features["choices"]  # [B,C]
        return {
            "choices": choices,
            "first": outputs[:, 0],
            "joined": tf.strings.reduce_join(choices, axis=1, separator="+"),
        }

    def trim(self, answer):
        return {**answer, "choices": [choice for choice in answer["choices"] if choice]}

    def score(self, table: Table, answers):
        right = [answer["choices"] == label for answer, label in zip(answers, table.labels, strict=True)]
        return {"joined": sum(right) / len(right)}


class FirstToken(Plain):
    """Puts its dense layer on the first token itself: it needs no pooler."""

    name: ClassVar[str] = "first_token"
    architecture: ClassVar[str] = "BertForFirstToken"

    def attach(self, encoder):
        first = encode(encoder, first_only=True)[:, 0]
        logits = dense_logits(encoder_config(encoder), self.outputs, self.dropout, first)
        return TaskModel(encoder.input, logits, name="bert_first_token")


def read_chooser(path, *, text, label, text_pair):
    """Read what the chooser learns from: a line is a text and its choices, parted by bars."""
    with open(path, encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("|") for line in file]
    assert (text, label, text_pair) == ("text", None, None)
    return Table.from_lists([row[0] for row in rows], pairs=[row[1:] for row in rows])
