"""keras-bert-zoo: a SavedModel loaded from disk, file prediction, the encoder, the tokenizer, `model.fit`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_bert_zoo.benchmark.contenders.tensorflow_peers import fit_turn, timed_calls
from keras_bert_zoo.benchmark.plan import Setup, gigaflop
from keras_bert_zoo.benchmark.ways import (
    ENCODER,
    TRAINING,
    Turn,
    Way,
    latency_turns,
    serving_turns,
    tokenizer_turns,
)
from keras_bert_zoo.bundle import load, save
from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.data.tables import Table
from keras_bert_zoo.encoder import build_encoder
from keras_bert_zoo.heads.classification import Classification
from keras_bert_zoo.serving.frozen import Frozen
from keras_bert_zoo.serving.saved_model import export_bundle
from keras_bert_zoo.text.tokenizer import Tokenizer
from keras_bert_zoo.training.layouts import laid_out
from keras_bert_zoo.training.optimizer import adamw

LENGTH = 128  # that training cuts texts to
LABELS = ("negative", "positive")
DTYPES = {"fp32": "float32", "bf16": "bfloat16"}


def make(setup: Setup) -> dict[str, Any]:
    """Write the classifier all sides run: the source's encoder and a head with random weights.

    Returns how many tokens the texts have: mean and longest by workload.
    """
    keras.utils.set_random_seed(setup.plan.seed)
    bundle = load(setup.source, encoder_only=True).attach(Classification(LABELS))
    length = min(setup.plan.max_length, bundle.config.max_position_embeddings)
    bundle = dataclasses.replace(bundle, max_length=length)
    assert bundle.model is not None
    kernel = bundle.model.get_layer("head_logits").kernel
    kernel.assign(keras.random.normal(kernel.shape, stddev=0.3, seed=setup.plan.seed))  # answers that differ
    save(bundle, setup.model, overwrite=True)
    counts = {name: bundle.tokenizer.tokenize(texts).row_lengths() + 2 for name, texts in setup.workloads.items()}
    return {name: [float(np.mean(count)), int(np.max(np.minimum(count, length)))] for name, count in counts.items()}


def serving(setup: Setup) -> list[Way]:
    """Strings to probabilities, batch by batch through `serving_default`; a whole list through `Bundle.predict`."""
    return [_answering(setup, name, latency=False) for name in DTYPES]


def latency(setup: Setup) -> list[Way]:
    """One sentence through `serving_default`."""
    return [_answering(setup, name, latency=True) for name in DTYPES]


def tokenizer(setup: Setup) -> list[Way]:
    """Strings to ids, called as a user would, from outside a graph."""
    made = Tokenizer.from_folder(setup.model)

    def answer(texts: Sequence[str]) -> list[list[int]]:
        return [list(row) for row in made.tokenize(tf.constant(texts)).to_list()]

    return [Way("tokenize", "ids", "Tokenizer.tokenize", tokenizer_turns(setup, made.tokenize, tf.constant), answer)]


def encoder(setup: Setup) -> list[Way]:
    """`build_encoder` with random weights, as an export holds it."""
    return [_encoder(setup, name) for name in DTYPES]


def _encoder(setup: Setup, name: str) -> Way:
    config, (batch, length) = setup.plan.encoder, setup.plan.grid
    made = build_encoder(BertConfig.from_dict(config))
    forward = Frozen(keras.Model(made.input, made.output["sequence_output"]), DTYPES[name])
    ones = tf.ones([batch, length], tf.int32)
    inputs = {"input_word_ids": ones, "input_mask": ones, "input_type_ids": 0 * ones}
    turns: dict[str, Turn] = {ENCODER: timed_calls(lambda: forward(inputs), gigaflop(config, batch, length))}
    return Way(name, name, f"the encoder as an export holds it, weights in {DTYPES[name]}", turns)


def training(setup: Setup) -> list[Way]:
    """`fit` on batches by length, as `kbz train` does it."""
    return [_training(setup, name, {"bf16": "mixed_bfloat16"}.get(name, dtype)) for name, dtype in DTYPES.items()]


def _training(setup: Setup, name: str, dtype: str) -> Way:
    bundle = load(str(setup.model), dtype=dtype)
    head = bundle.head
    assert head is not None
    texts, labels = setup.rows
    table = Table.from_lists(texts, [LABELS[label] for label in labels])
    length = min(LENGTH, bundle.max_length)
    size = setup.plan.batch_size
    rows = table.batches(head, bundle.tokenizer, size, length=length, shuffle=True, drop_remainder=True)
    model = laid_out(bundle.model, "auto")
    optimizer = adamw(5e-5, steps=10_000, warmup=1_000)
    model.compile(optimizer, head.loss(), metrics=head.metrics())
    settings = f"fit on Table.batches by length, kbz.adamw, layout auto, {dtype}"
    return Way(name, name, settings, {TRAINING: fit_turn(model, rows, size)})


def _given(name: str) -> dict[str, Any]:
    return {} if name == "fp32" else {"precision": DTYPES[name]}


def _answering(setup: Setup, name: str, *, latency: bool) -> Way:
    settings = f"SavedModel from disk, serving_default{'' if latency else '; sorted: Bundle.predict on the whole list'}"
    folder = Path(setup.folder) / f"ours_{name}"
    if not folder.exists():
        export_bundle(str(setup.model), folder, version=1, **_given(name))
    loaded = tf.saved_model.load(str(folder / "1"))
    function = loaded.signatures["serving_default"]

    def answer(texts: Sequence[str], keep: Any = loaded) -> np.ndarray:
        return np.asarray(function(text=tf.constant(texts))["probabilities"])

    turns: dict[str, Turn]
    if latency:
        turns = latency_turns(setup, answer)
    else:
        bundle = load(str(setup.model), **_given(name))
        size = setup.plan.batch_size
        turns = serving_turns(setup, answer, whole_list=lambda texts: bundle.predict(texts, batch_size=size))
    return Way(name, name, settings, turns, answer)
