"""A contender in a process of its own, so that no thread pool disturbs another's and a broken peer breaks alone.

    python -m keras_bert_zoo.benchmark.worker MODULE SETUP

It reads one JSON object a line on standard input, works, and answers one JSON object a line on standard output:

    {"do": "make"}                                 leave files for others -> {}
    {"do": "prepare", "section": "serving"}        -> {"ways": [{"name": ..., "workloads": [...], ...}, ...]}
    {"do": "answer", "way": "fp32"}                -> {"answers": [[...], ...]}
    {"do": "turn", "way": "fp32", "workload": ...} -> {"seconds": ..., "amount": ...}

An error of ours is answered as {"failed": "..."}; any other ends the process, and its last words are the reason.
When standard input ends, so does the worker.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from importlib import import_module
from types import ModuleType
from typing import Any

from keras_bert_zoo.benchmark.plan import Setup
from keras_bert_zoo.benchmark.ways import Way
from keras_bert_zoo.errors import ZooError


class Server:
    """Does what it is told, one order after another."""

    def __init__(self, module: ModuleType, setup: Setup) -> None:
        self.module, self.setup = module, setup
        self.ways: dict[str, Way] = {}

    def make(self) -> dict[str, Any]:
        """Leave files for other contenders."""
        return {"facts": self.module.make(self.setup)}

    def prepare(self, section: str) -> dict[str, Any]:
        """Load models for a section and tell the ways there are."""
        ways = getattr(self.module, section)(self.setup)
        self.ways = {way.name: way for way in ways}
        plain = ("name", "precision", "settings", "exact", "missing")
        told = [{name: getattr(way, name) for name in plain} for way in ways]
        return {
            "ways": [
                {**one, "workloads": list(way.turns), "answers": way.answer is not None}
                for one, way in zip(told, ways, strict=True)
            ]
        }

    def answer(self, way: str) -> dict[str, Any]:
        """Answer the probe."""
        answer = self.ways[way].answer
        assert answer is not None, "the parent asks only ways that answer"
        return {"answers": [[float(value) for value in row] for row in answer(self.setup.probe)]}

    def turn(self, way: str, workload: str) -> dict[str, Any]:
        """Do one turn, after a rest in which the threads of others stop spinning."""
        time.sleep(self.setup.plan.rest)
        return dataclasses.asdict(self.ways[way].turns[workload]())


def main() -> None:
    """Serve until standard input ends."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints is no reply
    module, setup = sys.argv[1:]
    server = Server(import_module(module), Setup.read(setup))
    for line in sys.stdin:
        order = json.loads(line)
        try:
            reply = getattr(server, order.pop("do"))(**order)
        except ZooError as error:
            reply = {"failed": str(error)}
        print(json.dumps(reply), file=replies, flush=True)


if __name__ == "__main__":
    main()
