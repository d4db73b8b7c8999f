"""OpenVINO: converted from PyTorch's model, whose attention it fuses; fp32 and its bf16 hint."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import openvino
import torch

from keras_bert_zoo.benchmark.contenders.peers import TOKENIZING, Tokenizing, softmax
from keras_bert_zoo.benchmark.contenders.pytorch import classifier
from keras_bert_zoo.benchmark.plan import Setup
from keras_bert_zoo.benchmark.ways import Way, answering_turns

PRECISIONS = {"fp32": "f32", "bf16": "bf16"}


def serving(setup: Setup) -> list[Way]:
    """Strings to probabilities, batch by batch."""
    return _ways(setup, "serving")


def latency(setup: Setup) -> list[Way]:
    """One sentence."""
    return _ways(setup, "latency")


def _ways(setup: Setup, section: str) -> list[Way]:
    ids = torch.ones((2, 8), dtype=torch.long)
    inputs = {"input_ids": ids, "attention_mask": ids, "token_type_ids": ids * 0}
    model = openvino.convert_model(classifier(setup, torch.float32), example_input=inputs)
    return [_way(setup, section, name, model) for name in PRECISIONS]


def _way(setup: Setup, section: str, name: str, model: openvino.Model) -> Way:
    given = {
        "INFERENCE_PRECISION_HINT": PRECISIONS[name],
        "PERFORMANCE_HINT": "LATENCY",  # one stream: all threads work on the one batch
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": setup.threads,
    }
    compiled = openvino.Core().compile_model(model, "CPU", given)
    request = compiled.create_infer_request()
    wanted = [one.get_any_name() for one in compiled.inputs]
    tokenizing = Tokenizing(setup)

    def answer(texts: Sequence[str]) -> np.ndarray:
        inputs = tokenizing(list(texts))
        return softmax(request.infer({name: inputs[name] for name in wanted}, share_inputs=True)[0])

    settings = f"INFERENCE_PRECISION_HINT={PRECISIONS[name]}, one stream, {setup.threads} threads; {TOKENIZING}"
    return Way(name, name, settings, answering_turns(section, setup, answer), answer)
