"""KerasHub: in one compiled graph, its own tokenizer in it, padded as its guide shows or to the batch's longest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import keras_hub
import numpy as np
import tensorflow as tf
from safetensors.numpy import load_file

from keras_bert_zoo.benchmark.contenders.tensorflow_peers import fit_turn, timed_calls
from keras_bert_zoo.benchmark.plan import Setup, gigaflop
from keras_bert_zoo.benchmark.ways import (
    ENCODER,
    MIXED,
    SHORT,
    TRAINING,
    Turn,
    Way,
    latency_turns,
    serving_turns,
    tokenizer_turns,
)
from keras_bert_zoo.text.settings import read_settings

DTYPES = {"fp32": "float32", "bf16": "bfloat16"}
LENGTHS = (64, 128)  # that training pads to
SHARE = 3  # padded to a constant, each example costs the same: a third of the rows tell the speed
TANH = "same weights, but GELU by tanh, the only one it knows"


def tokenizer(setup: Setup) -> list[Way]:
    """Its BertTokenizer."""
    made = _tokenizer(setup)
    cut = tf.function(made.tokenize, input_signature=[tf.TensorSpec([None], tf.string)])

    def answer(texts: Sequence[str]) -> list[list[int]]:
        ids = cut(tf.constant(texts))
        return [list(row) for row in ids.to_list()]

    return [Way("BertTokenizer", "ids", "in a tf.function", tokenizer_turns(setup, cut, tf.constant), answer, False)]


def encoder(setup: Setup) -> list[Way]:
    """BertBackbone with random weights."""
    return [_encoder(setup, name) for name in DTYPES]


def serving(setup: Setup) -> list[Way]:
    """Strings to probabilities."""
    return [_padded(setup), *(_dynamic(setup, "serving", name) for name in DTYPES)]


def latency(setup: Setup) -> list[Way]:
    """One sentence."""
    return [_dynamic(setup, "latency", name) for name in DTYPES]


def training(setup: Setup) -> list[Way]:
    """`fit` with its preprocessor in the tf.data pipeline, as its guide shows."""
    return [_training(setup, f"{name}, padded to {length}", name, length) for length in LENGTHS for name in DTYPES]


def _tokenizer(setup: Setup) -> Any:
    tokens = (setup.model / "vocab.txt").read_text(encoding="utf-8").splitlines()
    return keras_hub.models.BertTokenizer(tokens, lowercase=read_settings(setup.model)["lower"])


def _classifier(setup: Setup, dtype: str) -> Any:
    """Its classifier with our weights, the head's included, which its converter leaves out."""
    made = keras_hub.models.BertTextClassifier.from_preset(
        str(setup.model), num_classes=2, preprocessor=None, dtype=dtype
    )
    weights = load_file(setup.model / "model.safetensors")
    made.output_dense.kernel.assign(weights["classifier.weight"].T)
    made.output_dense.bias.assign(weights["classifier.bias"])
    return made


def _encoder(setup: Setup, name: str) -> Way:
    config, (batch, length) = setup.plan.encoder, setup.plan.grid
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=config["vocab_size"],
        num_layers=config["num_hidden_layers"],
        num_heads=config["num_attention_heads"],
        hidden_dim=config["hidden_size"],
        intermediate_dim=config["intermediate_size"],
        max_sequence_length=512,
        dtype=DTYPES[name],
    )
    ones = tf.ones([batch, length], tf.int32)
    inputs = {"token_ids": ones, "padding_mask": ones, "segment_ids": 0 * ones}
    forward = tf.function(lambda inputs: backbone(inputs, training=False)["sequence_output"])
    turns: dict[str, Turn] = {ENCODER: timed_calls(lambda: forward(inputs), gigaflop(config, batch, length))}
    return Way(name, name, f"BertBackbone in a tf.function, weights in {DTYPES[name]}", turns)


def _padded(setup: Setup) -> Way:
    """Padded to one length, the smallest power of two that holds every text."""
    made, cut = _classifier(setup, "float32"), _tokenizer(setup)
    turns: dict[str, Turn] = {}
    lengths = {}
    for workload, texts in ((SHORT, setup.workloads["short"]), (MIXED, setup.workloads["mixed"])):
        longest = min(max(len(row) for row in cut(texts)) + 2, setup.length)
        length = lengths[workload] = 1 << (longest - 1).bit_length()
        preprocessor = keras_hub.models.BertTextClassifierPreprocessor(cut, sequence_length=length)
        turns[workload] = serving_turns(setup, _whole_graph(preprocessor, made))[workload]
    told = ", ".join(map(str, lengths.values()))
    return Way("fp32, padded", "fp32", f"one tf.function, its preprocessor pads to {told} tokens; {TANH}", turns)


def _whole_graph(preprocessor: Any, made: Any) -> Callable[[list[str]], np.ndarray]:
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def function(texts: tf.Tensor) -> tf.Tensor:
        return tf.nn.softmax(made(preprocessor(texts), training=False))

    return lambda texts: np.asarray(function(tf.constant(texts)))


def _dynamic(setup: Setup, section: str, name: str) -> Way:
    """Its tokenizer and its model, padded to the batch's longest by hand."""
    made, cut = _classifier(setup, DTYPES[name]), _tokenizer(setup)
    room = setup.length - 2

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def function(texts: tf.Tensor) -> tf.Tensor:
        ids = cut(texts)[:, :room]  # [B, ragged]
        ends = tf.ones([tf.shape(texts)[0], 1], ids.dtype)
        whole = tf.concat([ends * cut.cls_token_id, ids, ends * cut.sep_token_id], axis=1)
        grid = whole.to_tensor(cut.pad_token_id)  # [B,T]
        mask = tf.sequence_mask(whole.row_lengths(), tf.shape(grid)[1])
        inputs = {"token_ids": grid, "padding_mask": mask, "segment_ids": tf.zeros_like(grid)}
        return tf.nn.softmax(tf.cast(made(inputs, training=False), tf.float32))

    def answer(texts: Sequence[str]) -> np.ndarray:
        return np.asarray(function(tf.constant(texts)))

    turns = (serving_turns if section == "serving" else latency_turns)(setup, answer)
    settings = f"one tf.function, padded to the batch's longest by hand, weights in {DTYPES[name]}; {TANH}"
    return Way(name, name, settings, turns, answer, exact=False)


def _training(setup: Setup, way: str, name: str, length: int) -> Way:
    texts, labels = (column[: max(len(column) // SHARE, setup.plan.batch_size)] for column in setup.rows)
    made = _classifier(setup, {"fp32": "float32", "bf16": "mixed_bfloat16"}[name])
    optimizer = keras.optimizers.AdamW(5e-5, weight_decay=0.01, epsilon=1e-6, global_clipnorm=1.0)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    made.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    preprocessor = keras_hub.models.BertTextClassifierPreprocessor(_tokenizer(setup), sequence_length=length)
    rows = tf.data.Dataset.from_tensor_slices((texts, labels)).shuffle(len(texts), seed=setup.plan.seed)
    rows = rows.batch(setup.plan.batch_size, drop_remainder=True)
    rows = rows.map(preprocessor, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
    turns: dict[str, Turn] = {TRAINING: fit_turn(made, rows, setup.plan.batch_size)}
    settings = f"fit, preprocessor in tf.data, AdamW, {'mixed_bfloat16' if name == 'bf16' else 'float32'}"
    return Way(way, name, settings, turns)
