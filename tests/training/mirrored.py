"""Run as a script in a process of its own: trains on one device and on two logical CPUs, prints the difference."""

import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
sys.path.insert(0, str(Path(__file__).parent.parent))

import tiny  # noqa: E402

import keras_bert_zoo as kbz  # noqa: E402
from keras_bert_zoo.training.layouts import laid_out  # noqa: E402

CONFIG = tiny.CONFIG.replace(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


def train(strategy, layout):
    head = kbz.heads.Classification(["bad", "good"], dropout=0.0)
    with strategy.scope():
        bundle = tiny.bundle(head, config=CONFIG)
    model = laid_out(bundle.model, layout)
    with strategy.scope():
        model.compile(kbz.adamw(1e-2, steps=9, warmup=2, global_clipnorm=0.5), head.loss(), metrics=head.metrics())
    rows = tiny.mood_table(3).batches(head, bundle.tokenizer, 8, length=9)
    history = model.fit(rows, epochs=2, verbose=0).history
    return history, [variable.numpy() for variable in model.trainable_variables]


TWO = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
one, one_weights = train(tf.distribute.get_strategy(), "padded")
two, two_weights = train(TWO, "auto")
packed, packed_weights = train(TWO, "packed")
largest = max(np.abs(weight).max() for weight in one_weights)


def apart(weights):
    return float(max(np.abs(a - b).max() for a, b in zip(one_weights, weights, strict=True)) / largest)


told = {"one": one, "two": two, "packed": packed, "apart": apart(two_weights), "packed_apart": apart(packed_weights)}
json.dump(told, sys.stdout)
