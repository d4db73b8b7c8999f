"""Fake contenders: modules whose turns take as long as they are told, so that every figure is known."""

import dataclasses
import textwrap

import pytest

from keras_bert_zoo.benchmark import contenders as table
from keras_bert_zoo.benchmark.plan import Plan, Setup

FAKE = '''
"""A contender that only pretends."""

import os, sys, time
from keras_bert_zoo.benchmark.ways import Took, Way
from keras_bert_zoo.errors import ConfigError

{before}
TIMES = {{name: iter(values) for name, values in {times}.items()}}


def make(setup):
    return {{"short": [5.5, 9]}}


def serving(setup):
    {prepare}
    return [
        Way(
            name,
            {precisions}[name],
            "pretends",
            {{"as they come": lambda name=name: Took(next(TIMES[name]), 60)}},
            {answer},
        )
        for name in TIMES
    ]


latency = encoder = serving
'''


@dataclasses.dataclass
class Fakes:
    """Writes fake contenders and puts them into the table that the parent reads."""

    folder: object
    made: dict

    def add(
        self, name, times, *, answer="[0.25, 0.75]", prepare="pass", before="", precisions=None, packages=("pytest",)
    ):
        told = precisions or dict.fromkeys(times, "fp32")
        answer = answer and f"lambda texts: [{answer} for text in texts]"
        text = FAKE.format(times=times, precisions=told, answer=answer, prepare=prepare, before=textwrap.dedent(before))
        (self.folder / f"fake_{name}.py").write_text(text)
        sections = ("serving", "latency", "encoder")
        makes = ("serving",) if name == "ours" else ()
        self.made[name] = table.Contender(name.upper(), f"fake_{name}", packages, sections, makes)


@pytest.fixture
def fakes(tmp_path, monkeypatch):
    """Return a table of contenders that holds nothing but what the test adds."""
    folder = tmp_path / "fakes"
    folder.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=":")
    real = dict(table.CONTENDERS)
    table.CONTENDERS.clear()
    yield Fakes(folder, table.CONTENDERS)
    table.CONTENDERS.clear()
    table.CONTENDERS.update(real)


@pytest.fixture
def setup(tmp_path):
    """Return a setup of two repeats."""
    folder = tmp_path / "work"
    folder.mkdir()
    texts = ["a good film", "so very dull", "a long story of the plot and the actor"]
    return Setup(
        folder=str(folder),
        source="",
        plan=Plan(repeats=2, calls=2, batch_size=2, gemm=(8,)),
        workloads={"short": texts, "mixed": texts * 2},
        lines=texts,
        rows=(texts * 2, [0, 1] * 3),
        probe=texts[:2],
    )
