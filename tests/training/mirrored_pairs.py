"""Run as a script in a process of its own: heads with several texts an example, on one device and on two."""

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

CONFIG = tiny.CONFIG.replace(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_hidden_layers=1)
HEADS = {
    "similarity": (kbz.heads.SentenceEmbedding(loss="similarity"), [0.1, 0.9, 0.5, 0.3, 0.2, 0.7], tiny.BAD),
    "choice": (
        kbz.heads.MultipleChoice(dropout=0.0),
        [0, 1, 0, 2, 1, 0],
        [["a", "b"], ["a film", "c"], ["d"], ["it", "is", "x"], ["q", "the end"], ["so", "z"]],
    ),
}


def train(strategy, name):
    head, labels, seconds = HEADS[name]
    with strategy.scope():
        bundle = tiny.bundle(head, config=CONFIG)
        before = [variable.numpy() for variable in bundle.model.trainable_variables]
    model = laid_out(bundle.model, "auto")
    with strategy.scope():
        model.compile(kbz.adamw(1e-2, steps=9, warmup=2, global_clipnorm=0.5), head.loss(), metrics=head.metrics())
    table = kbz.data.Table.from_lists(tiny.GOOD, labels, seconds)
    model.fit(table.batches(head, bundle.tokenizer, 4, length=9), epochs=2, verbose=0)  # half a batch each
    return before, [variable.numpy() for variable in model.trainable_variables]


def apart(some, others):
    return float(max(np.abs(a - b).max() for a, b in zip(some, others, strict=True)))


TWO = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])  # one for all: a second one would reuse the first's keys
told = {}
for name in HEADS:
    before, one = train(tf.distribute.get_strategy(), name)
    _, two = train(TWO, name)
    told[name] = {"apart": apart(one, two), "moved": apart(one, before)}
json.dump(told, sys.stdout)
