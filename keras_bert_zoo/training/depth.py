"""Layers by their depth in an encoder: lower ones learn more slowly, or not at all."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import keras

from keras_bert_zoo.errors import ConfigError

_BLOCK = re.compile(r"(?:^|/)block_(\d+)/")
_EMBEDDINGS = re.compile(r"(?:^|/)embeddings/")


def check_layer_decay(layer_decay: float) -> None:
    """Raises: ConfigError unless it lies above 0 and at 1 at most."""
    if not 0 < layer_decay <= 1:
        raise ConfigError(f"layer_decay is {layer_decay}, it must be above 0 and at most 1, which is no decay.")


def layer_scales(paths: Sequence[str], layer_decay: float) -> list[float]:
    """Return what each variable's learning rate is multiplied by, from the variables' paths.

    It is 1 for the head and the pooler, `layer_decay` for the last block, its square for the one before, and so on down
    to the embeddings.
    Source: Howard & Ruder 2018, "discriminative fine-tuning"; Zhang et al. 2021, "Revisiting Few-sample BERT
    Fine-tuning", whose numbers these are.  ELECTRA's code (Clark et al. 2020) has one factor more below its head.
    """
    blocks = [int(found[1]) if (found := _BLOCK.search(path)) else None for path in paths]
    count = 1 + max((block for block in blocks if block is not None), default=-1)

    def steps(path: str, block: int | None) -> int:
        if block is not None:
            return count - block
        return count + 1 if _EMBEDDINGS.search(path) else 0

    return [layer_decay ** steps(path, block) for path, block in zip(paths, blocks, strict=True)]


@contextmanager
def frozen(model: keras.Model, layers: int) -> Iterator[None]:
    """Hold the embeddings and the first `layers` blocks fixed while the block runs; with 0 nothing is.

    They give no gradient, and the way back ends above them.  Raises: ConfigError where the model has fewer blocks.
    Source: Lee et al. 2019, "What Would Elsa Do? Freezing Layers During Transformer Fine-Tuning".
    """
    names = [layer.name for layer in model.layers]
    blocks = sum(_BLOCK.match(f"{name}/") is not None for name in names)
    if not 0 <= layers <= blocks:
        raise ConfigError(f"freeze_layers is {layers}, it must be from 0 to the model's {blocks} blocks.")
    held = [*(["embeddings"] if layers else []), *(f"block_{i}" for i in range(layers))]
    before = {name: model.get_layer(name).trainable for name in held}
    try:
        for name in held:
            model.get_layer(name).trainable = False
        yield
    finally:
        for name, trainable in before.items():
            model.get_layer(name).trainable = trainable
