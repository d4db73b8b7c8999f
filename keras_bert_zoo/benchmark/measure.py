"""The whole run: which contenders there are, their files, their answers, their turns."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from keras_bert_zoo.benchmark.contenders import BIG, CEILING, CONTENDERS, OURS
from keras_bert_zoo.benchmark.machine import Watch, machine, versions
from keras_bert_zoo.benchmark.plan import Setup
from keras_bert_zoo.benchmark.process import Crew, Worker
from keras_bert_zoo.benchmark.report import SECTIONS, Missing, Report, Row
from keras_bert_zoo.benchmark.turns import Spread, ratios, spread, take_turns
from keras_bert_zoo.errors import ConfigError

CLOSE = 1e-4  # two right implementations in fp32 agree to this in every probability
EXACT = ("fp32", "ids")  # precisions in which answers must agree
NEAREST = {"bf16": ("fp32",), "int8": ("bf16", "fp32")}  # what a peer is held against where ours has no such way

Say = Callable[[str], None]
Side = tuple[str, str]  # a contender's name and a way's


def absent(name: str) -> str | None:
    """Return the first distribution that a contender lacks here, or None."""
    for package in CONTENDERS[name].packages:
        try:
            version(package)
        except PackageNotFoundError:
            return package
    return None


def measure(
    setup: Setup, *, sections: Sequence[str], peers: Sequence[str], command: str = "", say: Say = lambda words: None
) -> Report:
    """Measure `sections`: ours, and those of `peers` that are installed; a peer that fails is told as missing.

    Raises: ConfigError where ours fails.
    """
    path = setup.write()
    wanted = [name for name in CONTENDERS if name in peers or name in (OURS, CEILING)]
    here = [name for name in wanted if absent(name) is None]
    taking_part = [name for name in here if set(CONTENDERS[name].sections) & set(sections)]
    watch = Watch()
    rows: list[Row] = []
    missing = [
        Missing(section, CONTENDERS[name].title, None, f"not installed: {absent(name)}")
        for name in wanted
        for section in sections
        if name not in here and section in CONTENDERS[name].sections
    ]
    tokens: dict[str, list[float]] = {}
    for name in here:
        if set(CONTENDERS[name].makes) & set(sections):
            say(f"{CONTENDERS[name].title}: writing what the others need")
            made = _make(name, path)
            tokens.update(made if name == OURS else {})
    for section in sections:
        with Crew(path) as crew:
            run = _Section(section, setup, crew, say)
            run.prepare([name for name in here if section in CONTENDERS[name].sections])
            rows += run.measure()
            missing += run.missing
    return Report(
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        command=command,
        machine=machine() | watch.look(),
        versions=versions(package for name in taking_part for package in CONTENDERS[name].packages),
        plan=dataclasses.asdict(setup.plan),
        tokens=tokens,
        rows=rows,
        missing=missing,
    )


def _make(name: str, path: Path) -> dict[str, Any]:
    with Crew(path) as crew:
        reply = crew.start(CONTENDERS[name].module, f"{name}_make").ask(do="make")
    if "failed" in reply and name == OURS:
        raise ConfigError(f"keras-bert-zoo: the model could not be made: {reply['failed']}")
    return dict(reply.get("facts", {}))  # what a peer could not make is missed, and told, where it is needed


class _Section:
    """One section: its workers, their ways, and what became of them."""

    def __init__(self, section: str, setup: Setup, crew: Crew, say: Say) -> None:
        self.section, self.setup, self.crew, self.say = section, setup, crew, say
        self.workers: dict[str, Worker] = {}
        self.ways: dict[Side, dict[str, Any]] = {}
        self.differences: dict[Side, float] = {}
        self.missing: list[Missing] = []

    def prepare(self, names: Sequence[str]) -> None:
        """Start the workers, let them load their models, and compare their answers."""
        for name in names:
            self.workers[name] = self.crew.start(CONTENDERS[name].module, f"{name}_{self.section}")
            self.workers[name].tell(do="prepare", section=self.section)
        for name in names:
            self.say(f"{self.section}: {CONTENDERS[name].title} gets ready")
            reply = self.workers[name].hear()
            if "failed" in reply:
                self._lost(name, None, reply["failed"])
            for way in reply.get("ways", ()):
                if way["missing"]:
                    self.missing.append(Missing(self.section, CONTENDERS[name].title, way["name"], way["missing"]))
                else:
                    self.ways[name, way["name"]] = way
        self._compare()

    def measure(self) -> list[Row]:
        """Let the sides take turns at each workload in turn."""
        workloads = dict.fromkeys(workload for way in self.ways.values() for workload in way["workloads"])
        rows = []
        for workload in workloads:
            self.say(f"{self.section}: {workload}")
            sides = {
                side: lambda side=side, workload=workload: self._turn(side, workload)
                for side, way in self.ways.items()
                if workload in way["workloads"]
            }
            speeds = take_turns(sides, self.setup.plan.repeats)
            rows += [self._row(workload, side, speeds) for side in speeds]
        return rows

    def _turn(self, side: Side, workload: str) -> float | None:
        reply = self.workers[side[0]].ask(do="turn", way=side[1], workload=workload)
        if "failed" in reply:
            self._lost(side[0], side[1], reply["failed"])
            return None
        return float(reply["amount"] / reply["seconds"])

    def _compare(self) -> None:
        """Leave out the ways whose answers are not ours."""
        answers = {}
        for side, way in dict(self.ways).items():
            if way["answers"]:
                reply = self.workers[side[0]].ask(do="answer", way=side[1])
                if "failed" in reply:
                    self._lost(side[0], side[1], reply["failed"])
                else:
                    answers[side] = reply["answers"]
        for side, rows in answers.items():
            ours = next((told for (name, _), told in answers.items() if name == OURS), None)  # our first way
            if ours is None or rows is ours or side not in self.ways:
                continue
            apart = self.differences[side] = difference(rows, ours)
            exact = self.ways[side]["exact"] and self.ways[side]["precision"] in EXACT
            if apart == math.inf or (exact and apart > CLOSE):
                self._lost(side[0], side[1], f"its answers lie up to {apart:.2g} from ours: not the same function")

    def _lost(self, name: str, way: str | None, why: str) -> None:
        if name == OURS:
            raise ConfigError(f"keras-bert-zoo, {self.section}: {why}")
        self.missing.append(Missing(self.section, CONTENDERS[name].title, way, why))
        self.ways = {side: told for side, told in self.ways.items() if side[0] != name or way not in (None, side[1])}

    def _row(self, workload: str, side: Side, speeds: dict[Side, list[float]]) -> Row:
        name, way = side
        told = self.ways[side]
        ours = _ours(told["precision"], {side: self.ways[side]["precision"] for side in speeds})
        ratio = ratios(speeds[ours], speeds[side]) if ours and name not in (OURS, CEILING) else None
        ceilings = [
            speeds[other]
            for other in speeds
            if other[0] == CEILING and other[1].startswith(BIG) and self.ways[other]["precision"] == told["precision"]
        ]
        best = [max(turn) for turn in zip(*ceilings, strict=True)]
        figure = spread(speeds[side])
        if SECTIONS[self.section].time:
            figure = Spread(1e3 / figure.median, 1e3 / figure.high, 1e3 / figure.low)
        return Row(
            section=self.section,
            workload=workload,
            contender=CONTENDERS[name].title,
            way=way,
            precision=told["precision"],
            settings=told["settings"],
            figure=figure,
            ratio=ratio,
            against=ours[1] if ours and ratio else None,
            share=ratios(speeds[side], best) if best else None,
            difference=self.differences.get(side),
        )


def difference(rows: Sequence[Sequence[float]], others: Sequence[Sequence[float]]) -> float:
    """Return how far apart two answers are at most: infinitely where their shapes differ."""
    if [len(row) for row in rows] != [len(row) for row in others]:
        return math.inf
    pairs = zip(itertools.chain(*rows), itertools.chain(*others), strict=True)
    return max((abs(one - other) for one, other in pairs), default=0.0)


def _ours(precision: str, there: Mapping[Side, str]) -> Side | None:
    """Return our way that a peer is measured against: of its precision, else of the nearest that we have."""
    for wanted in (precision, *NEAREST.get(precision, ())):
        for side, own in there.items():
            if side[0] == OURS and own == wanted:
                return side
    return None
