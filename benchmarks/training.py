"""A training step beside KerasHub's and Model Garden's: speed, share of the machine's ceiling, memory.

    python benchmarks/training.py                              # BERT-base, float32, batches of 8 rows
    python benchmarks/training.py --precision bf16 --model bert-large --batch-size 32 --length 512
    python benchmarks/training.py --sides ours,ours-remat,ours-xla

Every side fine-tunes a classifier with random weights under `fit`, with dropout, AdamW and clipping by the global norm.
Batches lie ready as ids; tokenizers have a benchmark of their own.  Three workloads:

- full: every row is as long as the limit;
- real: rows of a data set.  Peers pad to the limit, as their guides do; ours take rows of like length together;
- like: the same batches of like length for all, padded to their longest row.

Each side is a process of its own, and sides take turns.  Told are examples and real tokens a second, model FLOP a
second (three times the forward pass's matrix products over real tokens, all blocks counted whole) as a share of the
best matrix product of the same run, and the most memory the process, or the GPU, ever held beyond the imports.
Without --file the lengths are those of the data set movie_snippets, under the tokenizer of the preset
minilm_l6_h384_uncased.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from keras_bert_zoo.benchmark.machine import Watch, machine, versions
from keras_bert_zoo.benchmark.turns import ratios, spread, take_turns
from keras_bert_zoo.estimate.counts import Batch, step_flops
from keras_bert_zoo.estimate.sizes import find_config

SIDES = ("ours", "keras_hub", "model_garden")
MORE = ("ours-padded", "ours-remat", "ours-xla")
WORKLOADS = ("full", "real", "like")
PRECISIONS = {"fp32": "float32", "bf16": "mixed_bfloat16", "fp16": "mixed_float16"}
PACKAGES = ("tensorflow", "keras", "keras-hub", "tf-keras", "tf-models-official")


@click.command(help=__doc__)
@click.option("--model", default="bert-base", show_default=True, help="A size kbz estimate knows, or a config.json.")
@click.option("--precision", default="fp32", show_default=True, type=click.Choice(list(PRECISIONS)))
@click.option("--batch-size", default=8, show_default=True)
@click.option("--length", default=128, show_default=True, help="Limit in tokens.")
@click.option("--steps", default=3, show_default=True, help="Steps a turn.")
@click.option("--turns", default=3, show_default=True, help="Turns of each side, the first one apart.")
@click.option("--sides", default=",".join(SIDES), show_default=True, help=f"Also: {', '.join(MORE)}.")
@click.option("--workloads", default=",".join(WORKLOADS), show_default=True)
@click.option("--file", type=click.Path(exists=True, dir_okay=False), help="Texts, one a line, that tell lengths.")
@click.option("--worker", hidden=True)
def main(worker: str | None, **told: Any) -> None:
    if worker:
        serve(worker, json.loads(sys.stdin.readline()))
        return
    config = find_config(told["model"])
    names = ["ceiling", *told["sides"].split(",")]
    if wrong := [name for name in names[1:] if name not in SIDES + MORE]:
        raise click.UsageError(f"There is no side {', '.join(wrong)}.")
    workloads = told["workloads"].split(",")
    lengths = np.minimum(text_lengths(told["file"]), told["length"])
    chosen = np.random.default_rng(0).choice(lengths, told["steps"] * told["batch_size"])
    setup = {**told, "config": config.to_dict(), "lengths": chosen.tolist(), "precision": PRECISIONS[told["precision"]]}
    watch, begin = Watch(), time.monotonic()
    workers = {name: start(name, setup) for name in names}
    peaks: dict[str, float] = {}
    device = ""

    def turn(name: str, workload: str) -> float | None:
        reply = ask(workers[name], workload)
        if "failed" in reply:
            click.echo(f"{name}, {workload}: {reply['failed']}", err=True)
            return None
        nonlocal device
        click.echo(f"{time.monotonic() - begin:4.0f} s  {name}, {workload}: {reply['speed']:.4g} a second", err=True)
        peaks[name], device = reply["peak"], reply["device"]
        return reply["speed"]

    order = [("ceiling", "full"), *((name, workload) for workload in workloads for name in names[1:])]
    speeds = take_turns({side: lambda side=side: turn(*side) for side in order}, told["turns"])
    for process in workers.values():
        process.stdin.close()
        process.wait()
    ceiling = max(speeds.pop(("ceiling", "full")))
    report(told, config, chosen, speeds, ceiling, peaks, watch.look(), device or machine()["processor"])


def report(
    told: dict[str, Any],
    config: Any,
    lengths: np.ndarray,
    speeds: dict[tuple[str, str], list[float]],
    ceiling: float,
    peaks: dict[str, float],
    noise: dict[str, float],
    device: str,
) -> None:
    """Print what was found, as Markdown."""
    here, installed = machine(), versions(PACKAGES)
    click.echo(f"{time.strftime('%Y-%m-%d')}, {device}, {here['cores']} cores ({' '.join(here['instructions'])})  ")
    click.echo(", ".join(f"{name} {version}" for name, version in installed.items()) + "  ")
    click.echo(
        f"{told['model']}, {told['precision']}, batches of {told['batch_size']}, at most {told['length']} tokens, real"
        f" rows of {lengths.mean():.1f}; {told['turns']} turns of {told['steps']} steps; best product"
        f" {ceiling / 1e9:,.0f} GFLOP/s; others took {noise['others']:.0%} of the processor.\n"
    )
    click.echo("| workload | side | examples/s | tokens/s | of the ceiling | peak memory, MB | ours is |")
    click.echo("| --- | --- | --: | --: | --: | --: | --- |")
    for (name, workload), found in speeds.items():
        rows = np.full_like(lengths, told["length"]) if workload == "full" else lengths
        flops = np.mean([step_flops(config, Batch(1, int(row), float(row)), "finetuning").total for row in rows])
        speed = spread(found)
        beside = ""
        if name not in ("ours", *MORE) and ("ours", workload) in speeds:
            ratio = ratios(speeds["ours", workload], found)
            beside = f"{ratio.median:.2f} × ({ratio.low:.2f} to {ratio.high:.2f})"
        figures = (
            f"{speed.median:.2f} ({speed.low:.2f} to {speed.high:.2f})",
            f"{speed.median * rows.mean():,.0f}",
            f"{speed.median * flops / ceiling:.0%}",
            f"{peaks[name]:,.0f}",
        )
        click.echo(f"| {workload} | {name} | {' | '.join(figures)} | {beside} |")


def text_lengths(file: str | None) -> np.ndarray:
    """Return how many tokens each text has, [CLS] and [SEP] included."""
    import keras_bert_zoo as kbz
    from keras_bert_zoo.benchmark.texts import dataset_texts, read_lines

    texts = read_lines(file) if file else dataset_texts()[1][0]
    tokenizer = kbz.Tokenizer.from_folder(kbz.zoo.fetch("minilm_l6_h384_uncased"))
    return tokenizer.tokenize(texts[:4096]).row_lengths().numpy() + 2


def start(name: str, setup: dict[str, Any]) -> subprocess.Popen[bytes]:
    """Start a side and hand it the setup."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    command = [sys.executable, str(Path(__file__).resolve()), "--worker", name]
    made = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    made.stdin.write(json.dumps(setup).encode() + b"\n")
    return made


def ask(process: subprocess.Popen[bytes], workload: str) -> dict[str, Any]:
    """Have a side do one turn of a workload."""
    try:
        process.stdin.write(workload.encode() + b"\n")
        process.stdin.flush()
    except BrokenPipeError:
        return {"failed": f"the process ended with code {process.wait()}"}
    line = process.stdout.readline()
    return json.loads(line) if line else {"failed": f"the process ended with code {process.wait()}"}


# ---- a side's own process


def serve(name: str, setup: dict[str, Any]) -> None:
    """Answer every workload on standard input with its speed, examples/s or FLOP/s, and the peak memory in MB."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is no reply
    import training_sides

    side = training_sides.made(name, setup)
    for line in sys.stdin:
        time.sleep(0.3)  # until the threads of the one before have stopped spinning
        seconds, amount = side.turn(line.strip())
        print(
            json.dumps({"speed": amount / seconds, "peak": training_sides.peak(), "device": training_sides.device()}),
            file=replies,
            flush=True,
        )


if __name__ == "__main__":
    main()
