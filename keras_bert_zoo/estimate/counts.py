"""What one step of BERT computes, keeps and sends: pure counts, no clock.

B rows, T tokens a row, N tokens the dense layers see, D hidden size, F inner size, H heads, L layers, V vocabulary,
M predictions a row.  The derivations are in docs/scaling.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.estimate import measured

TASKS = ("pretraining", "finetuning", "inference")
LABELS = 2  # of the classifier that fine-tuning and inference are counted with
MASKED = 0.15  # Devlin et al. 2019, section 3.1: the share of tokens that is predicted
LOGITS_KEPT = 3  # logits, their softmax and its gradient, each [predictions,V]

# Keras dtype policy -> (what matrices are multiplied in, bytes of that, bytes of a stored weight)
PRECISIONS: dict[str, tuple[str, int, int]] = {
    "float32": ("float32", 4, 4),
    "mixed_bfloat16": ("bfloat16", 2, 4),
    "mixed_float16": ("float16", 2, 4),
    "bfloat16": ("bfloat16", 2, 2),
}


@dataclass(frozen=True)
class Batch:
    """The rows that one accelerator computes at once; `tokens` are those the dense layers see, B·T if padded."""

    rows: float
    length: int
    tokens: float


@dataclass(frozen=True)
class Flops:
    """Floating-point operations of the matrix products alone; a multiply-add counts 2."""

    dense: float
    attention: float
    heads: float

    @property
    def total(self) -> float:
        return self.dense + self.attention + self.heads

    def times(self, factor: float) -> Flops:
        return Flops(self.dense * factor, self.attention * factor, self.heads * factor)


@dataclass(frozen=True)
class Memory:
    """Bytes on one accelerator."""

    weights: float
    gradients: float
    optimizer: float
    activations: float

    @property
    def total(self) -> float:
        return self.weights + self.gradients + self.optimizer + self.activations


def parameters(config: BertConfig, task: str) -> int:
    """Count all weights that `task` holds: the encoder and the task's head."""
    d = config.hidden_size
    if task == "pretraining":  # masked words: dense, norm, a bias a piece (the table is the encoder's); next sentence
        return config.parameters + (d * d + d) + 2 * d + config.vocab_size + 2 * d + 2
    return config.parameters + d * LABELS + LABELS


def predictions(length: int) -> int:
    """Return how many words of a row are predicted, at most: 20 of 128, 77 of 512.

    Source: google-research/bert README, `max_predictions_per_seq` is about `max_seq_length * masked_lm_prob`.
    """
    return math.ceil(MASKED * length)


def forward_flops(config: BertConfig, batch: Batch, task: str) -> Flops:
    """Count the matrix products of one forward pass."""
    d, f, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    dense = batch.tokens * layers * 2 * (4 * d * d + 2 * d * f)  # q, k, v, output [D,D]; inner [D,F]; outer [F,D]
    attention = batch.rows * layers * 2 * 2 * batch.length**2 * d  # scores and context, each 2·T²·D a row
    heads = batch.rows * config.pooler * 2 * d * d
    if task == "pretraining":
        heads += batch.rows * (predictions(batch.length) * 2 * (d * d + d * config.vocab_size) + 2 * 2 * d)
    else:
        heads += batch.rows * 2 * d * LABELS
    return Flops(dense, attention, heads)


def step_flops(config: BertConfig, batch: Batch, task: str, rematerialize: bool = False) -> Flops:
    """Count the matrix products of one whole step.

    Backwards, every product becomes two, one for its input's gradient and one for its weight's: 3 times the forward
    pass.  Rematerialised blocks run forward a second time: 4 times.
    """
    forward = forward_flops(config, batch, task)
    if task == "inference":
        return forward
    blocks = 4 if rematerialize else 3
    return Flops(blocks * forward.dense, blocks * forward.attention, 3 * forward.heads)


def work(config: BertConfig, batch: Batch, task: str, rematerialize: bool = False) -> tuple[float, ...]:
    """Count what a step's time on a processor grows with: blocks, operations, elements, scores, updated weights."""
    layers = config.num_hidden_layers
    elements = batch.tokens * layers * (config.hidden_size + config.intermediate_size)  # norms, activations, sums
    scores = batch.rows * layers * config.num_attention_heads * batch.length**2  # softmax
    updated = 0 if task == "inference" else parameters(config, task)
    return layers, step_flops(config, batch, task, rematerialize).total, elements, scores, updated


def kept_elements(config: BertConfig, batch: Batch) -> tuple[float, float]:
    """Count the numbers that one block keeps for its backward pass, and those the backward pass needs besides."""
    kept = measured.KEPT
    scores = batch.rows * config.num_attention_heads * batch.length**2
    inner = batch.tokens * config.intermediate_size
    block = kept.hidden * batch.tokens * config.hidden_size + kept.inner * inner + kept.score * scores
    return block, kept.back * (inner + scores)


def memory(config: BertConfig, batch: Batch, task: str, precision: str, rematerialize: bool = False) -> Memory:
    """Count the bytes one accelerator holds at its fullest moment, workspace of the libraries aside."""
    _, width, stored = PRECISIONS[precision]
    weights = parameters(config, task) * stored
    block, back = (numbers * width for numbers in kept_elements(config, batch))
    stream = batch.tokens * config.hidden_size * width  # a block's input
    if task == "inference":
        return Memory(weights, 0, 0, block + stream)  # one block at a time, nothing is kept
    layers = config.num_hidden_layers
    activations = (layers * stream + block if rematerialize else layers * block) + back
    if task == "pretraining":  # the loss is computed in float32, whatever the layers are
        activations += LOGITS_KEPT * batch.rows * predictions(batch.length) * config.vocab_size * 4
    return Memory(weights, weights, 2 * weights, activations)  # Adam keeps two numbers a weight, in the weight's dtype


def all_reduce_bytes(config: BertConfig, task: str, precision: str, devices: int) -> float:
    """Count the bytes each accelerator sends (and receives) a step to add up the gradients of all, in a ring.

    Source: Patarasuk & Yuan 2009, bandwidth-optimal all-reduce: 2·(n-1)/n times the data.
    """
    if task == "inference":
        return 0.0
    return 2 * (devices - 1) / devices * parameters(config, task) * PRECISIONS[precision][2]
