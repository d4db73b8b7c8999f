"""`kbz predict`: answers for texts from the command line, a file or standard input."""

from __future__ import annotations

import sys
from typing import Any

import click

from keras_bert_zoo.cli.options import batch_size_option, fetched, print_json, print_table, working
from keras_bert_zoo.errors import DataError

_SHOWN = 4  # elements of a vector in a table; all of them are in jsonl


@click.command()
@click.argument("source")
@click.argument("texts", nargs=-1)
@click.option("--file", "path", help="Table (tsv, csv, jsonl) or plain text with one text a line (txt).")
@click.option("--text", default="text", show_default=True, help="Column of the text, in a table.")
@click.option("--text-pair", help="Column of the second text in a table; without a file, the second text itself.")
@click.option("--choice", "choices", multiple=True, help="One of the choices, for a head that chooses; once for each.")
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
    choices: tuple[str, ...],
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
      kbz predict runs/endings "She opened the door" --choice "and went in." --choice "and a film of soup."
    """
    if path and (texts or choices):
        raise click.UsageError("Give texts or --file, not both.")
    columns = {} if path else _columns(texts, text_pair, choices)
    fetched(source)
    if not path and not columns["text"]:
        click.echo("Standard input is empty: nothing to answer.", err=True)
        return
    with working(f"answering with {source}"):
        from keras_bert_zoo.bundle import load

        bundle = load(source)
        if path:
            columns = _read(path, bundle.head, text, text_pair)
        if bundle.head is not None:
            _check_columns(source, bundle.head.columns, columns)
        first, *others = columns
        answers = bundle.predict(columns[first], batch_size=batch_size, **{name: columns[name] for name in others})
    if style == "jsonl":
        for answer in answers:
            print_json(answer)
    else:
        cells = [_cells(answer) for answer in answers]
        asked = zip(*(map(_asked, values) for values in columns.values()), strict=True)
        print_table((*columns, *cells[0]), [(*row, *shown.values()) for row, shown in zip(asked, cells, strict=True)])


def _columns(texts: tuple[str, ...], text_pair: str | None, choices: tuple[str, ...]) -> dict[str, list[Any]]:
    """Return the columns to answer: each text with the same second text, or the same choices."""
    rows = list(texts) or _standard_input()
    more = {"text_pair": text_pair, "choices": list(choices) or None}
    return {"text": rows, **{name: [value] * len(rows) for name, value in more.items() if value is not None}}


def _read(path: str, head: Any, text: str, text_pair: str | None) -> dict[str, list[Any]]:
    """Return the columns of a file to answer."""
    from keras_bert_zoo.data import read_choices, read_texts

    if head is None or "choices" not in head.columns:
        return read_texts(path, text=text, text_pair=text_pair)
    table = read_choices(path, text=text, text_pair=text_pair, label=None)
    return {"text": table.texts, "choices": table.pairs or []}


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


def _check_columns(source: str, wanted: tuple[str, ...], columns: dict[str, list[Any]]) -> None:
    if "text_pair" in wanted and "text_pair" not in columns:
        raise click.UsageError(f"{source} reads pairs of texts: give the second text, or its column, with --text-pair.")
    if "text_pair" in columns and "text_pair" not in wanted:
        raise click.UsageError(f"{source} reads single texts: leave out --text-pair.")
    if "choices" in wanted and "choices" not in columns:
        raise click.UsageError(f"{source} chooses: give the choices, each with --choice.")
    if "choices" in columns and "choices" not in wanted:
        raise click.UsageError(f"{source} does not choose: leave out --choice.")


def _asked(value: Any) -> str:
    return "\n".join(f"{i}  {text}" for i, text in enumerate(value)) if isinstance(value, list) else value


def _cells(answer: dict[str, Any]) -> dict[str, str]:
    """Return an answer for people: single values as they are, each label's probability side by side."""
    cells = {
        name: f"{value:.4f}" if isinstance(value, float) else str(value)
        for name, value in answer.items()
        if not isinstance(value, list)
    }
    if "labels" in answer:
        ranked = sorted(zip(answer["probabilities"], answer["labels"], strict=True), reverse=True)
        cells["probabilities"] = "  ".join(f"{label} {probability:.4f}" for probability, label in ranked)
    if "choice" in answer:
        cells["probabilities"] = "\n".join(f"{i}  {value:.4f}" for i, value in enumerate(answer["probabilities"]))
    if "embedding" in answer:
        shown = answer["embedding"][:_SHOWN]
        cells["embedding"] = " ".join(f"{value:+.4f}" for value in shown) + f" ... ({len(answer['embedding'])})"
    if "predicted" in answer:
        chosen = [label for label, yes in zip(answer["labels"], answer["predicted"], strict=True) if yes]
        cells = {"predicted": ", ".join(chosen), **cells}
    return cells
