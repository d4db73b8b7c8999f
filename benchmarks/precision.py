"""What `--precision bfloat16` gives an export beside float32: bytes, texts a second, one text's milliseconds.

    python benchmarks/precision.py --source runs/mood --file reviews.txt

Both exports are loaded in one process and take turns, each round the other one first; ratios are of the same round,
told are the median, the lowest and the highest.  SOURCE without a head gets one of two labels, untrained: speed does
not know.  Texts are a line each; unless given, those of the data set `movie_snippets`.  Printed is a Markdown table.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

import keras_bert_zoo as kbz
from keras_bert_zoo.benchmark.machine import machine
from keras_bert_zoo.benchmark.texts import dataset_texts, read_lines, repeated
from keras_bert_zoo.benchmark.turns import ratios, spread, take_turns

PRECISIONS = ("float32", "bfloat16")
ALONE = 40  # texts asked one by one a turn


@click.command(help=__doc__)
@click.option("--source", default="minilm_l6_h384_uncased", show_default=True, help="A preset, a run or a folder.")
@click.option("--file", "path", type=click.Path(exists=True, dir_okay=False), help="Texts, a line each.")
@click.option("--rows", default=512, show_default=True, help="Texts a turn.")
@click.option("--batch-size", default=32, show_default=True)
@click.option("--turns", default=5, show_default=True)
def main(source: str, path: str | None, rows: int, batch_size: int, turns: int) -> None:
    import tensorflow as tf

    from keras_bert_zoo.serving.saved_model import export_bundle

    bundle = kbz.load(source)
    if bundle.head is None:
        bundle = bundle.attach(kbz.heads.Classification(["no", "yes"], new_pooler=True))
    texts = repeated(read_lines(path) if path else dataset_texts()[0], rows)
    sides: dict[tuple[str, str], Callable[[], float]] = {}
    size: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as root:
        for precision in PRECISIONS:
            folder = export_bundle(bundle, Path(root) / precision, precision=precision)
            size[precision] = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
            ask = tf.saved_model.load(str(folder)).signatures["serving_default"]
            sides[precision, "batches"] = speed(ask, texts, batch_size)
            sides[precision, "alone"] = speed(ask, texts[:ALONE], 1)
        speeds = take_turns(sides, turns)
    here = machine()
    words = " ".join(here["instructions"])
    known = f"{here['processor']}, {here['cores']} cores ({words}), TensorFlow {tf.__version__}"
    click.echo(f"{known}\n{source}, {rows} texts a turn, batches of {batch_size}, {turns} turns.\n")
    click.echo("| precision | MiB | texts/s | one text, ms |\n| --- | --: | --: | --: |")
    for precision in PRECISIONS:
        many, alone = (spread(speeds[precision, way]) for way in ("batches", "alone"))
        click.echo(f"| {precision} | {size[precision] / 2**20:.1f} | {many.median:.0f} | {1000 / alone.median:.2f} |")
    gains = [ratios(*(speeds[precision, way] for precision in reversed(PRECISIONS))) for way in ("batches", "alone")]
    cells = [f"{gain.median:.2f} x ({gain.low:.2f} to {gain.high:.2f})" for gain in gains]
    click.echo(f"| gain | {size['float32'] / size['bfloat16']:.2f} x | {' | '.join(cells)} |")


def speed(ask: Any, texts: Sequence[str], batch_size: int) -> Callable[[], float]:
    """Return what answers all texts once and tells how many it did a second."""
    import tensorflow as tf

    batches = [tf.constant(texts[i : i + batch_size]) for i in range(0, len(texts), batch_size)]

    def turn() -> float:
        begin = time.perf_counter()
        for batch in batches:
            ask(text=batch)
        return len(texts) / (time.perf_counter() - begin)

    return turn


if __name__ == "__main__":
    main()
