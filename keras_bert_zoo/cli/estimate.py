"""`kbz estimate`: compute, memory, time and cost of a run, before it is started."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import click

from keras_bert_zoo.cli.options import json_option, print_json, print_table
from keras_bert_zoo.cli.showing import bytes_shown
from keras_bert_zoo.estimate import DEVICES, SIZES, Estimate, Run, estimate, find_config, find_device
from keras_bert_zoo.estimate.counts import PRECISIONS, TASKS, parameters, step_flops
from keras_bert_zoo.estimate.devices import GIB
from keras_bert_zoo.estimate.run import LAYOUTS

_SIZES, _KINDS = ", ".join(SIZES), ", ".join(DEVICES)
_UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9, "t": 1e12, "p": 1e15}


class Amount(click.ParamType):
    """A number above 0 that may end in a unit: 137e9, 137G, 128k."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"\s*([0-9][0-9_,]*\.?[0-9]*(?:[eE][+-]?[0-9]+)?)\s*([a-zA-Z]?)\s*", str(value))
        number = float(re.sub("[_,]", "", match[1])) * _UNITS.get(match[2].lower(), math.nan) if match else math.nan
        if not 0 < number < math.inf:
            self.fail(f"{value!r} is no number above 0; write 137e9 or 137G (k, M, G or B, T, P).", param, ctx)
        return number


class Counts(click.ParamType):
    """Whole numbers above 0, separated by commas."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        parts = [part.strip() for part in str(value).split(",")]
        if not all(re.fullmatch("[0-9]{1,9}", part) and int(part) for part in parts):
            self.fail(f"{value!r} must be whole numbers above 0, such as 8,64,1024.", param, ctx)
        return tuple(int(part) for part in parts)


@click.command()
@click.option("--preset", required=True, metavar="NAME", help=f"{_SIZES}, a preset, a folder, or its config.json.")
@click.option("--tokens", required=True, type=Amount(), help="Real tokens of the whole run: 137e9 or 137G.")
@click.option("--device", default="a100-80gb", show_default=True, metavar="NAME", help=f"{_KINDS}.")
@click.option("--devices", default="1", show_default=True, type=Counts(), help="How many: 8 or 8,64,1024.")
@click.option(
    "--task",
    type=click.Choice(TASKS),
    default="pretraining",
    show_default=True,
    help="What is run.",
)
@click.option("--length", type=click.IntRange(1), default=512, show_default=True, help="Tokens a row.")
@click.option(
    "--batch-size", type=click.IntRange(1), default=256, show_default=True, help="Rows a step, on all together."
)
@click.option(
    "--precision",
    type=click.Choice(list(PRECISIONS)),
    help="Keras dtype policy; float32 for cpu, else mixed_bfloat16 unless given.",
)
@click.option("--rematerialize", is_flag=True, help="Compute blocks twice rather than keep their activations.")
@click.option(
    "--layout",
    type=click.Choice(LAYOUTS),
    default="padded",
    show_default=True,
    help="Whether dense layers compute padding.",
)
@click.option("--filled", type=float, default=1.0, show_default=True, help="Share of a row that is text, not padding.")
@click.option("--utilization", type=float, help="Share of the peak that is reached.")
@click.option("--peak", type=Amount(), help="Operations a second of one device, in place of the table's: 312T.")
@click.option("--memory", type=float, help="GiB of one device, in place of the table's.")
@click.option("--price", type=float, help="US dollars an hour of one device, in place of the table's.")
@json_option
def command(preset: str, tokens: float, devices: tuple[int, ...], as_json: bool, **options: Any) -> None:
    """Estimate compute, memory, time and cost of a run.

    Nothing is downloaded and nothing is run: the formulas are in docs/scaling.md, with how far to trust them.

    \b
    Examples:
      kbz estimate --preset bert-large --tokens 137G --device a100-80gb --devices 8,64,1024
      kbz estimate --preset bert-base --tokens 10M --task finetuning --length 128 --filled 0.4 --device cpu
    """
    memory = options["memory"]
    device = find_device(
        options["device"],
        peak=options["peak"],
        memory=None if memory is None else memory * GIB,
        price=options["price"],
    )
    names = ("task", "length", "batch_size", "rematerialize", "layout", "filled")
    run = Run(
        find_config(preset),
        tokens,
        precision=options["precision"] or ("float32" if device.name == "cpu" else "mixed_bfloat16"),
        **{name: options[name] for name in names},
    )
    found = [estimate(run, device, number, utilization=options["utilization"]) for number in devices]
    if as_json:
        print_json(_plain(preset, run, found))
    else:
        _show(preset, run, found)


def _plain(preset: str, run: Run, found: list[Estimate]) -> dict[str, Any]:
    settings = {name: value for name, value in vars(run).items() if name != "config"}
    return {
        "preset": preset,
        "parameters": parameters(run.config, run.task),
        "config": run.config.to_dict(),
        "run": {**settings, "steps": run.steps},
        "estimates": [each.to_dict() for each in found],
    }


def _show(preset: str, run: Run, found: list[Estimate]) -> None:
    flops = found[0].flops
    again = " rematerialised," if run.rematerialize else ""
    click.echo(
        f"{preset}: {parameters(run.config, run.task):,} weights; {run.task},{again} {run.precision}.\n"
        f"{_count(run.tokens)} tokens in {run.steps:,} steps of {run.batch_size:,} x {run.length}.\n"
        f"{_count(flops.total)}FLOP: dense layers {flops.dense / flops.total:.1%}, attention"
        f" {flops.attention / flops.total:.1%}, heads {flops.heads / flops.total:.1%}."
    )
    if run.filled < 1:
        click.echo(_padding(run, flops.total))
    rows = [
        (
            f"{each.devices:,} x {each.device}",
            f"{each.rows:,}",
            bytes_shown(each.memory.total) + ("" if each.fits else " (too much)"),
            f"{each.fitting_rows:,}",
            _time(each.seconds),
            f"{each.communication_seconds / each.seconds:.0%}",
            "-" if each.cost is None else f"${each.cost:,.2f}" if each.cost < 100 else f"${each.cost:,.0f}",
        )
        for each in found
    ]
    print_table(("devices", "rows each", "memory each", "rows that fit", "time", "talking", "cost"), rows)
    for each in found:
        click.echo("".join(f"{line}\n" for line in _warnings(run, each)), nl=False)


def _padding(run: Run, total: float) -> str:
    other = replace(run, layout="packed" if run.layout == "padded" else "padded")
    there = step_flops(other.config, other.batch(other.batch_size), other.task, other.rematerialize).total * run.steps
    padded, packed = (total, there) if run.layout == "padded" else (there, total)
    return (
        f"Padding fills {1 - run.filled:.0%} of the rows: padded {_count(padded)}FLOP, packed {_count(packed)}FLOP"
        f" ({1 - packed / padded:.0%} less)."
    )


def _warnings(run: Run, each: Estimate) -> list[str]:
    lines = []
    if not each.fitting_rows:
        lines.append(f"{each.devices:,} x {each.device}: not even one row fits. Take --rematerialize, a shorter length")
        lines[-1] += ", or a device with more memory."
    elif not each.fits:
        parts = math.ceil(each.rows / each.fitting_rows)
        lines.append(
            f"{each.devices:,} x {each.device}: {each.rows:,} rows do not fit, {each.fitting_rows:,} do. Accumulate"
            f" gradients over {parts:,} parts (the time holds)"
            f"{'' if run.rematerialize else ', take --rematerialize'} or more devices."
        )
    if each.busy < each.devices:
        lines.append(
            f"{each.devices:,} x {each.device}: a batch of {run.batch_size:,} rows feeds {each.busy:,} of them; the"
            " rest idle and are paid for. Raise --batch-size."
        )
    return lines


def _count(value: float) -> str:
    for size, unit in ((1e21, "Z"), (1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.4g} {unit}"
    return f"{value:.4g} "


def _time(seconds: float) -> str:
    for size, unit in ((86400 * 365.25, "years"), (86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:,.1f} seconds"
