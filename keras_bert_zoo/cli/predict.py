"""`kbz predict`: answers for texts from the command line, a file or standard input."""

from __future__ import annotations

import sys
from typing import Any

import click

from keras_bert_zoo.cli.options import batch_size_option, print_json


@click.command()
@click.argument("source")
@click.argument("texts", nargs=-1)
@click.option("--file", "path", help="Table (tsv, csv, jsonl) or plain text with one text a line (txt).")
@click.option("--text", default="text", show_default=True, help="Column of the text, in a table.")
@click.option("--text-pair", help="Column of the second text in a table; without a file, the second text itself.")
@batch_size_option
@click.option(
    "--format", "style", type=click.Choice(["table", "jsonl"]), default="table", show_default=True, help="Output."
)
def command(
    source: str,
    texts: tuple[str, ...],
    path: str | None,
    text: str,
    text_pair: str | None,
    batch_size: int,
    style: str,
) -> None:
    """Answer TEXTS, a file, or standard input (one text a line) with SOURCE, a run or a Hugging Face folder.

    \b
    Examples:
      kbz predict runs/mood "a film to keep" "two hours I want back"
      kbz predict runs/mood --file reviews.tsv --format jsonl > answers.jsonl
      cat reviews.txt | kbz predict runs/mood
    """
    if path and texts:
        raise click.UsageError("Give texts or --file, not both.")
    from keras_bert_zoo.bundle import load
    from keras_bert_zoo.data import read_texts

    if path:
        columns = read_texts(path, text=text, text_pair=text_pair)
    else:
        rows = list(texts) or [line.rstrip("\r\n") for line in sys.stdin]
        columns = {"text": rows, **({"text_pair": [text_pair] * len(rows)} if text_pair is not None else {})}
    answers = load(source).predict(
        columns["text"], batch_size=batch_size, **{k: columns[k] for k in columns if k != "text"}
    )
    if style == "jsonl":
        for answer in answers:
            print_json(answer)
    else:
        _print_table(columns["text"], answers)


def _print_table(texts: list[str], answers: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text  # a text is no markup

    shown = [_shown(answer) for answer in answers]
    table = Table("text", *(shown[0] if shown else ()))
    for text, cells in zip(texts, shown, strict=True):
        table.add_row(Text(text), *map(Text, cells.values()))
    Console().print(table)


def _shown(answer: dict[str, Any]) -> dict[str, str]:
    """Return an answer's cells: single values as they are, labels and probabilities side by side."""
    cells = {
        name: value if isinstance(value, str) else f"{value:.4f}"
        for name, value in answer.items()
        if not isinstance(value, list)
    }
    if "labels" in answer:
        ranked = sorted(zip(answer["probabilities"], answer["labels"], strict=True), reverse=True)
        cells["probabilities"] = "  ".join(f"{label} {probability:.4f}" for probability, label in ranked)
    return cells
