"""TensorFlow Model Garden: its BertEncoder in one compiled graph."""

from __future__ import annotations

import tensorflow as tf
import tf_keras
from official.nlp.modeling.networks import BertEncoder

from keras_bert_zoo.benchmark.contenders.tensorflow_peers import timed_calls
from keras_bert_zoo.benchmark.plan import Setup, gigaflop
from keras_bert_zoo.benchmark.ways import ENCODER, Way

POLICIES = {"fp32": "float32", "bf16": "mixed_bfloat16"}


def encoder(setup: Setup) -> list[Way]:
    """BertEncoder with random weights."""
    return [_way(setup, name) for name in POLICIES]


def _way(setup: Setup, name: str) -> Way:
    config, (batch, length) = setup.plan.encoder, setup.plan.grid
    tf_keras.mixed_precision.set_global_policy(POLICIES[name])
    network = BertEncoder(
        vocab_size=config["vocab_size"],
        hidden_size=config["hidden_size"],
        num_layers=config["num_hidden_layers"],
        num_attention_heads=config["num_attention_heads"],
        intermediate_size=config["intermediate_size"],
        dict_outputs=True,
    )
    ones = tf.ones([batch, length], tf.int32)
    inputs = {"input_word_ids": ones, "input_mask": ones, "input_type_ids": 0 * ones}
    forward = tf.function(lambda inputs: network(inputs, training=False)["sequence_output"])
    settings = f"BertEncoder in a tf.function, policy {POLICIES[name]}"
    return Way(name, name, settings, {ENCODER: timed_calls(lambda: forward(inputs), gigaflop(config, batch, length))})
