"""`kbz predict`: answers for texts from the command line, a file or standard input."""

from __future__ import annotations

import sys
from typing import Any

import click

from keras_bert_zoo.cli.options import batch_size_option, fetched, print_json, print_table, working
from keras_bert_zoo.errors import DataError


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
    """Answer texts with a fine-tuned model.

    SOURCE is a run or a Hugging Face folder.  TEXTS come from the command line, from --file, or from standard
    input with one text a line.  Every answer has the fields of the exported model.

    \b
    Examples:
      kbz predict runs/mood "a film to keep" "two hours I want back"
      kbz predict runs/mood --file reviews.tsv --format jsonl > answers.jsonl
      cat reviews.txt | kbz predict runs/mood
    """
    if path and texts:
        raise click.UsageError("Give texts or --file, not both.")
    columns = _columns(texts, path, text, text_pair)
    fetched(source)
    if not columns["text"]:
        click.echo("Standard input is empty: nothing to answer.", err=True)
        return
    with working(f"answering with {source}"):
        from keras_bert_zoo.bundle import load

        bundle = load(source)
        if bundle.head is not None:
            _check_pair(source, bundle.head.columns, columns)
        first, *others = columns
        answers = bundle.predict(columns[first], batch_size=batch_size, **{name: columns[name] for name in others})
    if style == "jsonl":
        for answer in answers:
            print_json(answer)
    else:
        cells = [_cells(answer) for answer in answers]
        asked = zip(*columns.values(), strict=True)
        print_table((*columns, *cells[0]), [(*row, *shown.values()) for row, shown in zip(asked, cells, strict=True)])


def _columns(texts: tuple[str, ...], path: str | None, text: str, text_pair: str | None) -> dict[str, list[str]]:
    """Return the string columns to answer."""
    if path:
        from keras_bert_zoo.data import read_texts

        return read_texts(path, text=text, text_pair=text_pair)
    rows = list(texts) or _standard_input()
    return {"text": rows, **({} if text_pair is None else {"text_pair": [text_pair] * len(rows)})}


def _standard_input() -> list[str]:
    if sys.stdin.isatty():
        click.echo("Write one text a line; Ctrl-D ends.", err=True)
    rows = []
    for number, line in enumerate(sys.stdin.buffer, start=1):
        try:
            rows.append(line.decode().rstrip("\r\n"))
        except UnicodeDecodeError as error:
            raise DataError(
                f"standard input, line {number}: invalid UTF-8 at byte {error.start} of the line."
            ) from None
    return rows


def _check_pair(source: str, wanted: tuple[str, ...], columns: dict[str, list[str]]) -> None:
    if "text_pair" in wanted and "text_pair" not in columns:
        raise click.UsageError(f"{source} reads pairs of texts: give the second text, or its column, with --text-pair.")
    if "text_pair" in columns and "text_pair" not in wanted:
        raise click.UsageError(f"{source} reads single texts: leave out --text-pair.")


def _cells(answer: dict[str, Any]) -> dict[str, str]:
    """Return an answer for people: single values as they are, entities or each label's probability side by side."""
    cells = {
        name: f"{value:.4f}" if isinstance(value, float) else str(value)
        for name, value in answer.items()
        if not isinstance(value, list)
    }
    if "entity" in answer:
        found = zip(answer["entity"], answer["label"], answer["score"], strict=True)
        cells["entities"] = "  ".join(f"{entity} [{label} {score:.2f}]" for entity, label, score in found)
    if "labels" in answer:
        ranked = sorted(zip(answer["probabilities"], answer["labels"], strict=True), reverse=True)
        cells["probabilities"] = "  ".join(f"{label} {probability:.4f}" for probability, label in ranked)
    if "predicted" in answer:
        chosen = [label for label, yes in zip(answer["labels"], answer["predicted"], strict=True) if yes]
        cells = {"predicted": ", ".join(chosen), **cells}
    return cells
