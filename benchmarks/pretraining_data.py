"""Pretraining examples: how quick ours are written beside Model Garden's script, and in how much memory.

    python benchmarks/pretraining_data.py speed --vocabulary vocab.txt
    python benchmarks/pretraining_data.py memory --vocabulary vocab.txt --sizes 50,500

`speed` pins the process to one core, then both sides write the same corpus with the same settings in turns, masks
stored, start-up left out; told are examples a second and the ratio of each turn.  `memory` runs `kbz
pretraining-data` on generated corpora in a fresh process each and tells its peak.  The text is words of the vocabulary,
as often as Zipf has it.  Printed are Markdown tables.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np

LENGTH, PLACES = 128, 20
vocabulary_option = click.option("--vocabulary", required=True, type=click.Path(exists=True, dir_okay=False))


@click.group(help=__doc__)
def main() -> None:
    pass


@main.command()
@vocabulary_option
@click.option("--megabytes", default=4.0, show_default=True, help="Size of the corpus.")
@click.option("--corpus", type=click.Path(exists=True, dir_okay=False), help="A text of your own instead.")
@click.option("--dupe-factors", default="1,10", show_default=True)
@click.option("--turns", default=3, show_default=True)
def speed(vocabulary: str, megabytes: float, corpus: str | None, dupe_factors: str, turns: int) -> None:
    """Ours beside Model Garden's create_pretraining_data.py, on one core."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # before TensorFlow makes its threads
    with tempfile.TemporaryDirectory() as folder:
        text = Path(corpus or Path(folder, "corpus.txt"))
        if corpus is None:
            generate(text, vocabulary, megabytes)
        click.echo(f"{text.stat().st_size / 1e6:.1f} MB, rows of {LENGTH}, {PLACES} masks at most, one core.\n")
        click.echo("| dupe_factor | ours, examples/s | Model Garden | ours is | lowest to highest |")
        click.echo("| --: | --: | --: | --: | --: |")
        sides = our_side(text, vocabulary, folder), model_garden(text, vocabulary, folder)
        for copies in map(int, dupe_factors.split(",")):
            found: list[list[float]] = [[], []]
            for turn in range(turns):
                for side in (0, 1) if turn % 2 else (1, 0):
                    begin = time.perf_counter()
                    count = sides[side](copies)
                    found[side].append(count / (time.perf_counter() - begin))
            ratios = [one / other for one, other in zip(*found, strict=True)]
            ours, theirs = (statistics.median(x) for x in found)
            click.echo(
                f"| {copies} | {ours:,.0f} | {theirs:,.0f} | {statistics.median(ratios):.1f} × "
                f"| {min(ratios):.1f} to {max(ratios):.1f} × |"
            )


def our_side(text: Path, vocabulary: str, folder: str) -> Callable[[int], int]:
    """Return a function that writes the examples and returns how many there are."""
    import keras_bert_zoo as kbz

    tokenizer = kbz.Tokenizer.from_file(vocabulary)
    tokenizer.tokenize(["made ready"])

    def write(copies: int) -> int:
        settings = {"masks": "static", "max_length": LENGTH, "max_predictions": PLACES, "dupe_factor": copies}
        out = Path(folder, "ours")
        account = kbz.write_pretraining_data(text, out, tokenizer, overwrite=True, shards=1, **settings)
        return account["instances"]

    return write


def model_garden(text: Path, vocabulary: str, folder: str) -> Callable[[int], int]:
    """Return a function that does what the script's `main` does."""
    from absl import logging as absl_logging
    from official.nlp.data import create_pretraining_data as script
    from official.nlp.tools import tokenization

    absl_logging.set_verbosity(absl_logging.ERROR)
    tokenizer = tokenization.FullTokenizer(vocab_file=vocabulary, do_lower_case=True)
    clean = script.get_processor_text_fn(False, True)

    def write(copies: int) -> int:
        rng = random.Random(12345)
        made = script.create_training_instances([str(text)], tokenizer, clean, LENGTH, copies, 0.1, 0.15, PLACES, rng)
        out = str(Path(folder, "theirs.tfrecord"))
        script.write_instance_to_example_files(made, tokenizer, LENGTH, PLACES, [out], False, False)
        return len(made)

    return write


@main.command()
@vocabulary_option
@click.option("--sizes", default="50,500", show_default=True, help="Of the corpora, in MB.")
@click.option("--folder", type=click.Path(), help="Where; corpus and examples take several times the size.")
@click.option("--masks", default="dynamic", show_default=True)
@click.option("--workers", default=1, show_default=True)
def memory(vocabulary: str, sizes: str, folder: str | None, masks: str, workers: int) -> None:
    """Peak memory of `kbz pretraining-data` by the size of the corpus."""
    click.echo("| MB of text | examples | seconds | peak, MB | of the smallest |\n| --: | --: | --: | --: | --: |")
    first = 0.0
    for size in map(float, sizes.split(",")):
        with tempfile.TemporaryDirectory(dir=folder) as made:
            text, out = Path(made, "corpus.txt"), Path(made, "out")
            generate(text, vocabulary, size)
            begin = time.perf_counter()
            options = ["--vocabulary", vocabulary, "--out", str(out), "--masks", masks, "--dupe-factor", "1"]
            command = ["pretraining-data", str(text), *options, "--workers", str(workers)]
            peak = peak_of([sys.executable, "-c", "from keras_bert_zoo.cli import run; run()", *command])
            seconds = time.perf_counter() - begin
            first = first or peak
            count = json.loads((out / "pretraining.json").read_text())["instances"]
            click.echo(f"| {size:,.0f} | {count:,} | {seconds:,.0f} | {peak:,.0f} | {peak / first:.3f} × |")
            shutil.rmtree(out)


def peak_of(command: list[str]) -> float:
    """Run a command and return the most memory that it or one of its children held, in MB."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the command ended with code {process.returncode}.")
    return usage.ru_maxrss / 1024


def generate(path: Path, vocabulary: str, megabytes: float) -> None:
    """Write sentences of Zipf's words in documents of about twenty."""
    words = Path(vocabulary).read_text(encoding="utf-8").split("\n")
    usable = np.array([word for word in words if word.isalpha() and word.isascii() and len(word) > 1], object)
    share = 1 / np.arange(10, len(usable) + 10)
    edges = np.cumsum(share / share.sum())
    rng = np.random.default_rng(1)
    left = megabytes * 1e6
    with path.open("w", encoding="utf-8") as file:
        while left > 0:
            drawn = usable[np.minimum(np.searchsorted(edges, rng.random(200_000)), len(usable) - 1)].tolist()
            ends = np.cumsum(rng.integers(4, 45, 8_000))
            ends = ends[ends < len(drawn)].tolist()
            last = rng.random(len(ends)) < 1 / 20  # sentences of their documents
            lines = [
                f"{' '.join(drawn[a:b])}.\n" + "\n" * bool(end)
                for a, b, end in zip([0, *ends], ends, last, strict=False)
            ]
            text = "".join(lines)
            file.write(text)
            left -= len(text)


if __name__ == "__main__":
    main()
