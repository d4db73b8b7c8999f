"""PyTorch with transformers: fused attention (SDPA), inference mode, weights stored in the precision that is run."""

from __future__ import annotations

import random
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import transformers

from keras_bert_zoo.benchmark.contenders.peers import INPUTS, TOKENIZING, Tokenizing
from keras_bert_zoo.benchmark.plan import Setup, gigaflop
from keras_bert_zoo.benchmark.ways import ENCODER, TRAINING, Took, Way, answering_turns, seconds

CALLS = 2  # forward passes a turn
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def classifier(setup: Setup, dtype: torch.dtype, attention: str = "sdpa") -> Any:
    """Load the classifier for inference."""
    transformers.utils.logging.set_verbosity_error()
    return transformers.BertForSequenceClassification.from_pretrained(
        str(setup.model), attn_implementation=attention, dtype=dtype
    ).eval()


def make(setup: Setup) -> dict[str, Any]:
    """Write the classifier as ONNX.  Attention is spelled out: ONNX Runtime's optimizer knows that pattern."""
    ids = torch.ones((2, 8), dtype=torch.long)
    free = {name: {0: "batch", 1: "length"} for name in INPUTS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            classifier(setup, torch.float32, "eager"),
            (ids, ids, ids * 0),
            str(setup.onnx),
            input_names=list(INPUTS),
            output_names=["logits"],
            dynamic_axes={**free, "logits": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
    return {}


def serving(setup: Setup) -> list[Way]:
    """Strings to probabilities, batch by batch."""
    return [_answering(setup, "serving", name) for name in DTYPES]


def latency(setup: Setup) -> list[Way]:
    """One sentence."""
    return [_answering(setup, "latency", name) for name in DTYPES]


def encoder(setup: Setup) -> list[Way]:
    """BertModel with random weights."""
    return [_encoder(setup, name) for name in DTYPES]


def _encoder(setup: Setup, name: str) -> Way:
    torch.set_num_threads(setup.threads)
    config, (batch, length) = setup.plan.encoder, setup.plan.grid
    made = transformers.BertModel(
        transformers.BertConfig(**config, attn_implementation="sdpa"), add_pooling_layer=False
    )
    model = made.to(DTYPES[name]).eval()
    ones = torch.ones((batch, length), dtype=torch.long)

    def work() -> None:
        with torch.inference_mode():
            for _ in range(CALLS):
                model(input_ids=ones, attention_mask=ones, token_type_ids=0 * ones)

    def turn() -> Took:
        work()  # warms up
        return Took(seconds(work), CALLS * gigaflop(config, batch, length))

    settings = f"BertModel, SDPA, inference_mode, weights in {name}; {setup.threads} threads"
    return Way(name, name, settings, {ENCODER: turn})


def training(setup: Setup) -> list[Way]:
    """A loop over batches of like length, padded to their longest."""
    return [_training(setup, name) for name in DTYPES]


def _training(setup: Setup, name: str) -> Way:
    torch.set_num_threads(setup.threads)
    torch.manual_seed(setup.plan.seed)
    model = classifier(setup, torch.float32).train()
    plain = [weight for weight in model.parameters() if weight.ndim < 2]
    decayed = [weight for weight in model.parameters() if weight.ndim > 1]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=5e-5, eps=1e-6, fused=True)
    tokenizing, draw, size = Tokenizing(setup), random.Random(setup.plan.seed), setup.plan.batch_size
    rows = sorted(zip(*setup.rows, strict=True), key=lambda row: len(row[0]))
    whole = [rows[i : i + size] for i in range(0, len(rows) - len(rows) % size, size)]
    ready = []  # tokenised once, before the clock runs
    for part in whole:
        inputs = {name: torch.from_numpy(value) for name, value in tokenizing([text for text, _ in part]).items()}
        ready.append({**inputs, "labels": torch.tensor([label for _, label in part])})

    def epoch() -> None:
        for batch in draw.sample(ready, len(ready)):
            with torch.autocast("cpu", torch.bfloat16, enabled=name == "bf16"):
                loss = model(**batch).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

    settings = (
        f"own loop, tokenised beforehand, batches by length padded to their longest, fused AdamW, SDPA"
        f"{', autocast' if name == 'bf16' else ''}; {setup.threads} threads"
    )
    return Way(name, name, settings, {TRAINING: lambda: Took(seconds(epoch), len(ready) * size)})


def _answering(setup: Setup, section: str, name: str) -> Way:
    torch.set_num_threads(setup.threads)
    model, tokenizing = classifier(setup, DTYPES[name]), Tokenizing(setup)

    def answer(texts: Sequence[str]) -> np.ndarray:
        inputs = {name: torch.from_numpy(value) for name, value in tokenizing(list(texts)).items()}
        with torch.inference_mode():
            return np.asarray(model(**inputs).logits.float().softmax(-1))

    settings = f"BertForSequenceClassification, SDPA, inference_mode; {setup.threads} threads; {TOKENIZING}"
    return Way(name, name, settings, answering_turns(section, setup, answer), answer)
