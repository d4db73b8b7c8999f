"""What the side-by-side scripts share: KerasHub's classifier of the size of ours, texts, and fair turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import click

import keras_bert_zoo as kbz

PRESET = "minilm_l6_h384_uncased"
DATASET = "movie_snippets"
LABELS = ("negative", "positive")


def keras_hub_classifier(bundle: Any, length: int, **options: Any) -> Any:
    """KerasHub's BERT text classifier with our sizes, our vocabulary and random weights (speed is the same)."""
    import keras_hub

    config = bundle.config
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=config.vocab_size,
        num_layers=config.num_hidden_layers,
        num_heads=config.num_attention_heads,
        hidden_dim=config.hidden_size,
        intermediate_dim=config.intermediate_size,
        max_sequence_length=config.max_position_embeddings,
    )
    tokenizer = keras_hub.models.BertTokenizer(list(bundle.tokenizer.vocabulary), lowercase=bundle.tokenizer.lower)
    preprocessor = keras_hub.models.BertTextClassifierPreprocessor(tokenizer, sequence_length=length)
    return keras_hub.models.BertTextClassifier(backbone, len(LABELS), preprocessor=preprocessor, **options)


def read_rows(file: str | None, part: str) -> tuple[list[str], list[str]]:
    """Texts and labels: of the file's lines (text, then a tab and 0 or 1), or of one part of `DATASET`."""
    if file is None:
        table = getattr(kbz.data.load_dataset(DATASET), part)
        return table.texts, [LABELS[rating > 0] for rating in table.labels]
    with open(file, encoding="utf-8") as lines:
        rows = [line.rstrip("\n").split("\t") for line in lines if line.strip()]
    return [row[0] for row in rows], [LABELS[row[1] == "1"] if len(row) > 1 else LABELS[0] for row in rows]


def seconds(call: Callable[[], object]) -> float:
    """How long one call takes."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def tell(name: str, counts: Sequence[int], times: Sequence[float], unit: str) -> None:
    """Print the speed over all turns, and between which bounds single turns lay."""
    single = [n / took for n, took in zip(counts, times, strict=True)]
    click.echo(f"{name:34s} {sum(counts) / sum(times):7.1f} {unit} ({min(single):.1f} to {max(single):.1f})")


def tell_ratio(name: str, ours: Sequence[float], theirs: Sequence[float]) -> None:
    """Print the median of the turns' ratios of speed, and between which bounds they lay."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    click.echo(f"{name:34s} {statistics.median(ratios):7.2f} × ({min(ratios):.2f} to {max(ratios):.2f})")
