"""How much is measured, and what all contenders of a run must agree on."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

BERT_BASE = {  # Devlin et al. 2019: L=12, H=768, A=12, and the vocabulary of bert-base-uncased
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
}


@dataclasses.dataclass(frozen=True)
class Plan:
    """How much is measured.  `repeats` counts turns of each side, a first one that warms up apart.

    `texts` and `mixed` count texts a turn, `lines` those the tokenizers cut, `rows` those a turn of training learns
    from, `calls` the single sentences a turn of latency asks.  `encoder` is a BertConfig in words, `grid` the batch
    and length it is run at.  `gemm` are the sides of the big square products.  `rest` are seconds before each turn:
    OpenMP's threads spin for up to 0.2 s after their work and would slow the next side.
    """

    repeats: int = 5
    texts: int = 256
    mixed: int = 128
    lines: int = 4096
    rows: int = 256
    calls: int = 40
    batch_size: int = 32
    max_length: int = 256
    encoder: dict[str, int] = dataclasses.field(default_factory=lambda: dict(BERT_BASE))
    grid: tuple[int, int] = (8, 128)
    gemm: tuple[int, ...] = (2048, 4096)
    rest: float = 0.3
    seed: int = 0


QUICK = Plan(
    repeats=2,
    texts=64,
    mixed=32,
    lines=256,
    rows=64,
    calls=10,
    encoder={**BERT_BASE, "vocab_size": 1000, "num_hidden_layers": 2},
    grid=(2, 64),
    gemm=(512,),
    rest=0.0,
)


@dataclasses.dataclass(frozen=True)
class Setup:
    """What every worker reads: the plan, the texts, and `folder`, where workers leave files for one another.

    `workloads` maps a name to the texts of one turn; `lines` are for the tokenizers, `rows` (texts and labels 0 or 1)
    for training; `probe` are texts whose answers are compared.
    """

    folder: str
    source: str
    plan: Plan
    workloads: dict[str, list[str]]
    lines: list[str]
    rows: tuple[list[str], list[int]]
    probe: list[str]
    sentence: str = "A warm, funny film that I will watch again."
    threads: int = dataclasses.field(default_factory=lambda: len(os.sched_getaffinity(0)))

    def write(self) -> Path:
        """Write the setup into its folder and return the file's path."""
        path = Path(self.folder) / "setup.json"
        path.write_text(json.dumps(dataclasses.asdict(self)), encoding="utf-8")
        return path

    @classmethod
    def read(cls, path: str | Path) -> Setup:
        """Read what `write` wrote."""
        values: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        return cls(**{**values, "plan": Plan(**values["plan"])})

    @property
    def model(self) -> Path:
        """The Hugging Face folder of the classifier that every side runs."""
        return Path(self.folder) / "model"

    @property
    def length(self) -> int:
        """The limit in tokens that the classifier's texts are cut to."""
        return int(json.loads((self.model / "zoo.json").read_text(encoding="utf-8"))["max_length"])

    @property
    def onnx(self) -> Path:
        """The same classifier as an ONNX file."""
        return Path(self.folder) / "model.onnx"


def gigaflop(config: dict[str, Any], batch: int, length: int) -> float:
    """Return the multiplications and additions of an encoder's matrix products at [batch, length], in 1e9."""
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    dense = 4 * hidden * hidden + 2 * hidden * inner  # query, key, value, output; in and out again
    attention = 2 * length * hidden  # scores and their weighted sum
    return 2 * batch * length * config["num_hidden_layers"] * (dense + attention) / 1e9
