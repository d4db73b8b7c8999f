"""Train BERT with Keras on JAX, and export what it learnt with TensorFlow.

pip install 'keras-bert-zoo[jax]'
python examples/train_with_jax.py --table reviews.tsv --out runs/jax --export-to saved_models/jax
KERAS_BACKEND=tensorflow python examples/train_with_jax.py --table reviews.tsv --out runs/tf --no-dropout

Encoder, head, loss and optimizer are plain Keras; TensorFlow's tf.data makes the same batches for either backend.
Without dropout, which each backend draws in its own way, both give the same losses.  JAX compiles a step for each
shape, so batches are padded to few lengths and the last rows that fill no batch wait for another epoch.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")  # before Keras is imported

import keras
import numpy as np

import keras_bert_zoo as kbz


def without_dropout(bert):
    """Return an encoder with the same weights."""
    config = bert.config.replace(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    encoder = kbz.build_encoder(config)
    encoder.set_weights(bert.encoder.get_weights())
    return encoder


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--table", required=True, help="tsv, csv or jsonl with the columns text and label")
    options.add_argument("--weights", default="minilm_l6_h384_uncased", help="a preset, a folder, hf://org/name")
    options.add_argument("--out", required=True, help="folder of the trained bundle")
    options.add_argument("--epochs", type=int, default=2)
    options.add_argument("--batch-size", type=int, default=32)
    options.add_argument("--learning-rate", type=float, default=5e-5)
    options.add_argument("--lengths", default="32,64,128", help="what batches are padded to, in tokens")
    options.add_argument("--no-dropout", action="store_true")
    options.add_argument("--export-to", help="folder of the SavedModel")
    given = options.parse_args()

    table = kbz.data.read_table(given.table)
    bert = kbz.load(given.weights, encoder_only=True)
    encoder = without_dropout(bert) if given.no_dropout else bert.encoder
    head = kbz.heads.Classification(sorted(set(table.labels)), dropout=0.0 if given.no_dropout else 0.1)
    model = head.attach(encoder)
    kernel = model.get_layer("head_logits").kernel  # each backend would draw other first weights
    kernel.assign(np.random.default_rng(0).normal(0, bert.config.initializer_range, kernel.shape))

    lengths = [int(length) for length in given.lengths.split(",")]
    how = {"length": max(lengths), "pad_to": lengths, "drop_remainder": True}
    steps = given.epochs * (len(table) // given.batch_size)
    model.compile(kbz.adamw(given.learning_rate, steps=steps, warmup=steps // 10), head.loss(), metrics=head.metrics())
    for epoch in range(given.epochs):
        batches = table.shuffled(epoch).batches(head, bert.tokenizer, given.batch_size, **how)
        told = model.fit(batches, epochs=epoch + 1, initial_epoch=epoch, verbose=0).history
        print(f"Epoch {epoch + 1}, {keras.backend.backend()}: loss {told['loss'][0]:.6f}", flush=True)

    kbz.save(kbz.Bundle(encoder, bert.tokenizer, head, model, max_length=max(lengths)), given.out, overwrite=True)
    if given.export_to:  # exports are TensorFlow's: a process of its own, for Keras keeps to one backend
        export = [Path(sys.executable).with_name("kbz"), "export", given.out, "--to", given.export_to]
        subprocess.run(export, check=True, env={**os.environ, "KERAS_BACKEND": "tensorflow"})


if __name__ == "__main__":
    main()
