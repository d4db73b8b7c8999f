"""ONNX Runtime: its own BERT optimizer (fused attention, GELU and norms), then fp32 or dynamically quantised int8."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers import optimizer

from keras_bert_zoo.benchmark.contenders.peers import TOKENIZING, Tokenizing, softmax
from keras_bert_zoo.benchmark.plan import Setup
from keras_bert_zoo.benchmark.ways import Way, answering_turns
from keras_bert_zoo.config import BertConfig

_FLOAT = 1  # onnx.TensorProto.FLOAT: shape inference does not know the fused operations' outputs


def serving(setup: Setup) -> list[Way]:
    """Strings to probabilities, batch by batch."""
    return _ways(setup, "serving")


def latency(setup: Setup) -> list[Way]:
    """One sentence."""
    return _ways(setup, "latency")


def _ways(setup: Setup, section: str) -> list[Way]:
    import json

    logging.getLogger().setLevel(logging.ERROR)
    config = BertConfig.from_huggingface(json.loads((setup.model / "config.json").read_text(encoding="utf-8")))
    fused, quantised = (Path(setup.folder) / f"{section}_{name}.onnx" for name in ("fused", "int8"))
    model = optimizer.optimize_model(
        str(setup.onnx), "bert", num_heads=config.num_attention_heads, hidden_size=config.hidden_size, opt_level=0
    )
    model.save_model_to_file(str(fused))
    # Signed weights would be slower: MLAS multiplies unsigned by unsigned or by signed, and the first is what it packs.
    quantize_dynamic(fused, quantised, weight_type=QuantType.QUInt8, extra_options={"DefaultTensorType": _FLOAT})
    return [
        _way(setup, section, "fp32", fused, "BERT optimizer"),
        _way(setup, section, "int8", quantised, "BERT optimizer, dynamic quantisation"),
    ]


def _way(setup: Setup, section: str, name: str, path: Path, how: str) -> Way:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = setup.threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    wanted = [one.name for one in session.get_inputs()]
    tokenizing = Tokenizing(setup)

    def answer(texts: Sequence[str]) -> np.ndarray:
        inputs = tokenizing(list(texts))
        (logits,) = session.run(None, {name: inputs[name] for name in wanted})
        return softmax(logits)

    settings = f"{how}; {setup.threads} threads; {TOKENIZING}"
    turns: dict[str, Any] = answering_turns(section, setup, answer)
    return Way(name, name, settings, turns, answer)
