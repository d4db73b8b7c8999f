"""Pretraining on short texts: a row for each, or several sequences a row, in either layout.

    python benchmarks/sequences.py [FILE]

FILE holds a text a line; without it the train sentences of movie_snippets are used.  A sequence is a pair of
neighbouring lines, with masks drawn.  Told are:

- how full rows get, by sequences a row and by sequences packed at once, beside one sequence a row;
- one training step of the same sequences with the head `pretraining`, random weights, AdamW and dropout, in turns.
"""

from __future__ import annotations

import collections
import statistics
import time
from typing import Any

import click
import numpy as np

import keras_bert_zoo as kbz
from keras_bert_zoo.benchmark.texts import dataset_texts, read_lines, repeated

PRESET = "minilm_l6_h384_uncased"


@click.command(help=__doc__)
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False))
@click.option("--length", default=128, show_default=True, help="Tokens a row.")
@click.option("--sequences", default=8, show_default=True, help="The most sequences a row, in the steps.")
@click.option("--batch-size", default=64, show_default=True, help="Sequences a step.")
@click.option("--steps", default=3, show_default=True, help="Counted steps of each in a turn.")
@click.option("--turns", default=3, show_default=True, help="Turns of each.")
def main(file: str | None, length: int, sequences: int, batch_size: int, steps: int, turns: int) -> None:
    import keras

    from keras_bert_zoo.encoder import with_layout
    from keras_bert_zoo.text.sequences import pack_sequences

    keras.utils.set_random_seed(0)
    bundle = kbz.load(PRESET, encoder_only=True).attach(kbz.heads.Pretraining(new_pooler=True))
    texts = read_lines(file) if file else dataset_texts()[1][0]
    texts = repeated(texts, 4097)
    batch = _drawn(bundle, texts, length)

    sizes = (2, 4, 8, 16)
    click.echo(f"Real tokens in {batch_size:,} and in 4,096 sequences, packed at once into rows of {length}:")
    for name, lengths in _lengths(bundle.tokenizer, texts[:-1], batch[0], length).items():
        click.echo(f"  {name}: {lengths.mean() / length:.1%} with one a row")
        for size in sizes:
            fills = [_fill(lengths[:many], length, size) for many in (batch_size, len(lengths))]
            click.echo(f"    up to {size:2d} a row {fills[0]:8.1%} {fills[1]:8.1%}")

    batches = [_part(batch, slice(i * batch_size, (i + 1) * batch_size)) for i in range(steps)]
    rows = [pack_sequences(*each, length, sequences=sequences) for each in batches]
    cut = [({**features, **_cut(features)}, targets) for features, targets in batches]
    sides = {
        "padded, rows of the full length": ("padded", 1, batches),
        "padded, rows of the batch's longest": ("padded", 1, cut),
        "padded, several sequences a row": ("padded", sequences, rows),
        "packed": ("packed", 1, cut),
        "packed, several sequences a row": ("packed", sequences, rows),
    }
    models = {}
    for name, (layout, many, data) in sides.items():
        models[name] = with_layout(bundle.model, layout, sequences=many)
        models[name].compile(kbz.adamw(1e-5, steps=1_000), bundle.head.loss())
        _seconds(models[name], data)  # every shape once
    took: dict[str, list[float]] = collections.defaultdict(list)
    for _ in range(turns):
        for name, (_, _, data) in sides.items():
            took[name].append(_seconds(models[name], data) / steps)
    click.echo(f"{batch_size} sequences a step, {sequences} a row at most; sequences/s, median of {turns} turns:")
    whole = took["padded, rows of the full length"]
    for name, seconds in took.items():
        ratio = statistics.median(one / other for one, other in zip(whole, seconds, strict=True))
        shape = "x".join(map(str, sides[name][2][0][0]["input_mask"].shape))
        click.echo(f"{name:38s} {batch_size / statistics.median(seconds):8.1f} {ratio:6.2f}x   [{shape}]")


def _drawn(bundle: Any, texts: list[str], length: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """One large batch of neighbouring lines as pairs, with masks, its rows all of the full length."""
    import tensorflow as tf

    pairs = {"text": tf.constant(texts[:-1]), "text_pair": tf.constant(texts[1:])}
    seeds = tf.stack([tf.zeros(len(texts) - 1, tf.int64), tf.range(len(texts) - 1, dtype=tf.int64)], axis=1)
    follows = tf.zeros(len(texts) - 1, tf.int32)
    features, targets = bundle.head.pack(bundle.tokenizer, length)(pairs, follows, seeds)
    for name in ("input_word_ids", "input_mask", "input_type_ids"):
        features[name] = tf.pad(features[name], [[0, 0], [0, length - features[name].shape[1]]])
    return features, targets


def _part(batch: tuple[dict[str, Any], dict[str, Any]], rows: slice) -> tuple[dict[str, Any], dict[str, Any]]:
    features, targets = ({name: values[rows] for name, values in part.items()} for part in batch)
    return features, targets


def _cut(features: dict[str, Any]) -> dict[str, Any]:
    longest = int(features["input_mask"].numpy().sum(1).max())
    return {name: values[:, :longest] for name, values in features.items() if name != "masked_lm_positions"}


def _lengths(tokenizer: Any, texts: list[str], features: dict[str, Any], length: int) -> dict[str, np.ndarray]:
    """Lengths of sequences: those of the texts and of their pairs, and what Google's pretraining data are made of."""
    random = np.random.default_rng(0)
    pairs = features["input_mask"].numpy().sum(1)
    # create_pretraining_data.py: all rows are full but for short_seq_prob = 0.1 of them, of any length
    recipe = np.where(random.random(len(pairs)) < 0.1, random.integers(5, length + 1, len(pairs)), length)
    single = np.minimum(np.array(tokenizer.tokenize(texts).row_lengths()) + 2, length)
    return {"the texts": single, "the texts' pairs": pairs, "short_seq_prob 0.1": recipe}


def _fill(lengths: np.ndarray, length: int, sequences: int) -> float:
    from keras_bert_zoo.text.sequences import pack_sequences

    mask = (np.arange(length) < lengths[:, None]).astype("int32")
    features = dict.fromkeys(("input_word_ids", "input_mask", "input_type_ids"), mask)
    features["masked_lm_positions"] = mask[:, :1]
    rows, _ = pack_sequences(features, np.ones((len(lengths), 1, 2), "float32"), length, sequences=sequences)
    return float((rows["input_mask"].numpy() > 0).mean())


def _seconds(model: Any, batches: list[Any]) -> float:
    begin = time.perf_counter()
    for features, targets in batches:
        model.train_on_batch(features, targets)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
