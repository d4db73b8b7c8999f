"""The contenders.  Each is a module with one function a section, from a `Setup` to the ways it can do the work."""

from __future__ import annotations

import dataclasses

_HERE = "keras_bert_zoo.benchmark.contenders"
_PYTORCH = ("torch", "transformers", "tokenizers")


@dataclasses.dataclass(frozen=True)
class Contender:
    """Who it is, where its module is, the distributions it needs, and the sections it takes part in.

    `makes` says for which sections others need files of it: a module's `make(setup)` writes them.
    """

    title: str
    module: str
    packages: tuple[str, ...]
    sections: tuple[str, ...]
    makes: tuple[str, ...] = ()


OURS, CEILING = "ours", "ceiling"
BIG = "big"  # the ways of CEILING whose names start so: the best of them is the ceiling

CONTENDERS = {
    OURS: Contender(
        "keras-bert-zoo",
        f"{_HERE}.ours",
        ("tensorflow", "tensorflow-text", "keras"),
        ("tokenizer", "encoder", "serving", "latency", "training"),
        makes=("tokenizer", "serving", "latency", "training"),
    ),
    CEILING: Contender("tf.matmul", f"{_HERE}.ceiling", ("tensorflow",), ("encoder",)),
    "keras_hub": Contender(
        "KerasHub",
        f"{_HERE}.keras_hub",
        ("keras-hub", "keras", "tensorflow", "tensorflow-text"),
        ("tokenizer", "encoder", "serving", "latency", "training"),
    ),
    "model_garden": Contender(
        "Model Garden", f"{_HERE}.model_garden", ("tf-models-official", "tf-keras", "tensorflow"), ("encoder",)
    ),
    "tokenizers": Contender("tokenizers", f"{_HERE}.hugging_face", ("tokenizers",), ("tokenizer",)),
    "openvino": Contender("OpenVINO", f"{_HERE}.openvino", ("openvino", *_PYTORCH), ("serving", "latency")),
    "onnxruntime": Contender(
        "ONNX Runtime", f"{_HERE}.onnx_runtime", ("onnxruntime", "onnx", *_PYTORCH), ("serving", "latency")
    ),
    "pytorch": Contender(
        "PyTorch",
        f"{_HERE}.pytorch",
        _PYTORCH,
        ("encoder", "serving", "latency", "training"),
        makes=("serving", "latency"),
    ),
    "sentence_transformers": Contender(
        "sentence-transformers",
        f"{_HERE}.sentence_transformers",
        ("sentence-transformers", *_PYTORCH),
        ("serving",),
    ),
}
