"""PyTorch with transformers: fused attention (SDPA), inference mode, weights stored in the precision that is run."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import transformers

from keras_bert_zoo.benchmark.contenders.peers import INPUTS, TOKENIZING, Tokenizing
from keras_bert_zoo.benchmark.plan import Setup
from keras_bert_zoo.benchmark.ways import Way, answering_turns

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


def _answering(setup: Setup, section: str, name: str) -> Way:
    torch.set_num_threads(setup.threads)
    model, tokenizing = classifier(setup, DTYPES[name]), Tokenizing(setup)

    def answer(texts: Sequence[str]) -> np.ndarray:
        inputs = {name: torch.from_numpy(value) for name, value in tokenizing(list(texts)).items()}
        with torch.inference_mode():
            return np.asarray(model(**inputs).logits.float().softmax(-1))

    settings = f"BertForSequenceClassification, SDPA, inference_mode; {setup.threads} threads; {TOKENIZING}"
    return Way(name, name, settings, answering_turns(section, setup, answer), answer)
