"""From counts to hours and money: the estimate of a whole run on some accelerators."""

from __future__ import annotations

import difflib
import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.estimate import counts, measured
from keras_bert_zoo.estimate.counts import PRECISIONS, TASKS, Batch, Flops, Memory
from keras_bert_zoo.estimate.devices import DEVICES, UTILIZATION, Device

USABLE = 0.9  # of the memory: the rest is the runtime's, the libraries' workspace and what lies between tensors
LAYOUTS = ("padded", "packed")


@dataclass(frozen=True)
class Run:
    """What is to be computed.  `tokens` are real ones; `batch_size` counts the rows of a step on all accelerators;
    `filled` is the share of a row that is real text, the rest is padding.

    Raises: ConfigError where a value makes no run.
    """

    config: BertConfig
    tokens: float
    task: str = "pretraining"
    length: int = 512
    batch_size: int = 256
    precision: str = "mixed_bfloat16"
    rematerialize: bool = False
    layout: str = "padded"
    filled: float = 1.0

    def __post_init__(self) -> None:
        for name, known in (("task", TASKS), ("precision", tuple(PRECISIONS)), ("layout", LAYOUTS)):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} is {getattr(self, name)!r}, it must be one of {', '.join(known)}.")
        if not 0 < self.tokens < math.inf:
            raise ConfigError(f"tokens is {self.tokens}, it must be a number above 0: the tokens of the whole run.")
        if not 0 < self.filled <= 1:
            raise ConfigError(f"filled is {self.filled}, it must be above 0 and at most 1: the real share of a row.")
        if self.batch_size < 1:
            raise ConfigError(f"batch_size is {self.batch_size}, it must be at least 1.")
        if not 1 <= self.length <= self.config.max_position_embeddings:
            raise ConfigError(
                f"length is {self.length}, but the model has {self.config.max_position_embeddings} positions."
                " Choose a length from 1 up to that."
            )
        if self.rematerialize and self.task == "inference":
            raise ConfigError("rematerialize saves memory in training; inference keeps nothing. Leave it out.")

    @property
    def steps(self) -> int:
        """How many batches hold all tokens."""
        return math.ceil(self.tokens / (self.batch_size * self.length * self.filled))

    def batch(self, rows: float) -> Batch:
        """Return so many rows as the layers see them."""
        listed = rows * self.length
        return Batch(rows, self.length, listed * self.filled if self.layout == "packed" else listed)


@dataclass(frozen=True)
class Estimate:
    """One run on one number of accelerators.  Bytes, seconds, US dollars; `flops` are those of the whole run."""

    device: str
    devices: int
    busy: int  # accelerators that have any row of a batch
    rows: int  # of a step on one accelerator
    fitting_rows: int  # that fit its memory; 0: not even one
    steps: int
    flops: Flops
    memory: Memory
    all_reduce: float  # bytes each sends a step
    compute_seconds: float
    communication_seconds: float
    price: float | None

    @property
    def fits(self) -> bool:
        return self.rows <= self.fitting_rows

    @property
    def seconds(self) -> float:
        return self.compute_seconds + self.communication_seconds

    @property
    def cost(self) -> float | None:
        return None if self.price is None else self.devices * self.seconds / 3600 * self.price

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        values = asdict(self)
        values["flops"]["total"], values["memory"]["total"] = self.flops.total, self.memory.total
        return {**values, "fits": self.fits, "seconds": self.seconds, "cost": self.cost}


def find_device(
    name: str, *, peak: float | None = None, memory: float | None = None, price: float | None = None
) -> Device:
    """Return a device of `DEVICES`, some of its figures replaced; `peak` replaces that of every precision it has.

    Raises: ConfigError on an unknown name, or a figure that is not above 0 (a price may be 0).
    """
    if name not in DEVICES:
        close = difflib.get_close_matches(name, DEVICES, n=1, cutoff=0.4)
        raise ConfigError(
            f"There is no device '{name}'.{f' Did you mean {close[0]}?' if close else ''} There are:"
            f" {', '.join(DEVICES)}. For another, take the nearest and give --peak, --memory and --price."
        )
    device = DEVICES[name]
    for what, value in (("peak", peak), ("memory", memory)):
        if value is not None and not 0 < value < math.inf:
            raise ConfigError(f"{what} is {value}, it must be a number above 0.")
    if price is not None and not 0 <= price < math.inf:
        raise ConfigError(f"price is {price}, it must be a number of at least 0: US dollars an hour.")
    if name == "cpu" and peak is not None:
        raise ConfigError("The time of 'cpu' follows a law that was measured, no peak: leave out --peak.")
    return replace(
        device,
        peak=device.peak if peak is None else dict.fromkeys(device.peak, peak),
        memory=device.memory if memory is None else memory,
        price=device.price if price is None else price,
    )


def estimate(run: Run, device: Device, devices: int, *, utilization: float | None = None) -> Estimate:
    """Estimate a run in data parallel: every accelerator holds the whole model and an equal share of each batch.

    `utilization` is the share of the peak that is reached, `UTILIZATION` unless given.  Gradients are added up in a
    ring after the backward pass; none of that is hidden behind computing.

    Raises: ConfigError where the device cannot multiply in this precision, or on a number that makes no sense.
    """
    if devices < 1:
        raise ConfigError(f"devices is {devices}, it must be at least 1.")
    if utilization is not None and not 0 < utilization <= 1:
        raise ConfigError(f"utilization is {utilization}, it must be above 0 and at most 1.")
    dtype = PRECISIONS[run.precision][0]
    if dtype not in device.peak:
        able = [name for name, (other, _, _) in PRECISIONS.items() if other in device.peak]
        raise ConfigError(f"{device.name} does not multiply in {dtype}: take --precision {' or '.join(able)}.")
    if device.name == "cpu" and (devices > 1 or utilization is not None):
        raise ConfigError("The law of 'cpu' was measured on one machine: leave out --devices and --utilization.")

    rows = math.ceil(run.batch_size / devices)
    busy = math.ceil(run.batch_size / rows)
    whole = counts.step_flops(run.config, run.batch(run.batch_size), run.task, run.rematerialize)
    share = counts.step_flops(run.config, run.batch(rows), run.task, run.rematerialize)
    if device.name == "cpu":
        law = measured.FORWARD if run.task == "inference" else measured.TRAINING
        step = law.seconds(counts.work(run.config, run.batch(rows), run.task))
        if run.rematerialize:
            step += measured.FORWARD.seconds(counts.work(run.config, run.batch(rows), "inference"))
    else:
        reached = device.utilization.get(dtype, UTILIZATION) if utilization is None else utilization
        step = share.total / (device.peak[dtype] * reached)
    sent = counts.all_reduce_bytes(run.config, run.task, run.precision, devices)
    speed = device.link if devices <= device.node else min(device.link, device.network)
    return Estimate(
        device=device.name,
        devices=devices,
        busy=busy,
        rows=rows,
        fitting_rows=fitting_rows(run, device),
        steps=run.steps,
        flops=whole.times(run.steps),
        memory=counts.memory(run.config, run.batch(rows), run.task, run.precision, run.rematerialize),
        all_reduce=sent,
        compute_seconds=run.steps * step,
        communication_seconds=run.steps * sent / speed,
        price=device.price,
    )


def fitting_rows(run: Run, device: Device) -> int:
    """Return the most rows that fit one accelerator, 0 where not even one does; memory is linear in the rows."""
    none, one = (
        counts.memory(run.config, run.batch(rows), run.task, run.precision, run.rematerialize).total for rows in (0, 1)
    )
    return max(0, math.floor((USABLE * device.memory - none) / (one - none)))
