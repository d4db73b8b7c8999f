"""`kbz predict`: answers for texts from the command line, a file or standard input."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keras_bert_zoo.cli.options import (
    batch_size_option,
    check_there,
    fetched,
    glue_option,
    no_columns,
    print_json,
    print_table,
    told_warnings,
    working,
)
from keras_bert_zoo.data.glue import read_glue, write_predictions
from keras_bert_zoo.errors import ConfigError, DataError

if TYPE_CHECKING:
    from keras_bert_zoo.heads.head import Head

_LONG, _SHOWN = 16, 4  # of more numbers than that, a vector, a table for people shows so many

Columns = dict[str, list[Any]]


@click.command()
@click.argument("source")
@click.argument("texts", nargs=-1)
@click.option("--file", "path", help="Table (tsv, csv, jsonl), one text a line (txt), or a file the head learns from.")
@click.option("--text", help="Column of the text, in a table; the head's own name for it unless given.")
@click.option(
    "--text-pair",
    multiple=True,
    help="Column of the second text in a table; without a file, the second text itself, or each of several choices.",
)
@glue_option
@click.option("--predictions", type=click.Path(dir_okay=False), help="With --glue: write what GLUE's server takes.")
@batch_size_option
@click.option(
    "--format", "style", type=click.Choice(["table", "jsonl"]), default="table", show_default=True, help="Output."
)
@click.pass_context
def command(
    ctx: click.Context,
    source: str,
    texts: tuple[str, ...],
    path: str | None,
    text: str | None,
    text_pair: tuple[str, ...],
    glue: str | None,
    predictions: str | None,
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
      kbz predict runs/mrpc --glue mrpc --file MRPC/test.tsv --predictions MRPC.tsv
    """
    if path and texts:
        raise click.UsageError("Give texts or --file, not both.")
    if path and len(text_pair) > 1:
        raise click.UsageError("A file has one column of second texts: give --text-pair once.")
    if predictions and not glue:
        raise click.UsageError("--predictions are GLUE's: give --glue too.")
    if glue:
        no_columns(ctx, "text", "text_pair")
        if not path:
            raise click.UsageError("--glue tells how a file looks: give --file too.")
    if path:
        check_there(path)
    asked = [] if path else list(texts) or _standard_input()
    fetched(source)
    if not path and not asked:
        click.echo("Standard input is empty: nothing to answer.", err=True)
        return
    with working(f"answering with {source}"), told_warnings():
        from keras_bert_zoo.bundle import load

        bundle = load(source)
        head = bundle.head
        if head is None:
            raise ConfigError(f"{source} is an encoder without a head: it has no answers. Fine-tune it (kbz train).")
        columns = (
            _typed(source, head, asked, text_pair) if path is None else _read(source, head, path, text, text_pair, glue)
        )
        first, *others = columns
        answers = bundle.predict(columns[first], batch_size=batch_size, **{name: columns[name] for name in others})
        if glue and path and predictions:
            write_predictions(glue, path, answers, predictions)
    if style == "jsonl":
        for answer in answers:
            print_json(answer)
    elif not predictions:
        cells = [shown(answer) for answer in answers]
        rows = zip(*columns.values(), strict=True)
        print_table(
            (*columns, *cells[0]),
            [(*map(_cell, row), *told.values()) for row, told in zip(rows, cells, strict=True)],
        )
    if predictions:
        click.echo(f"{len(answers):,} predictions are in {predictions}", err=True)


def _typed(source: str, head: Head, texts: list[str], second: tuple[str, ...]) -> Columns:
    """Return the columns that the command line, or standard input, gives.  Raises: UsageError."""
    first, *others = head.columns
    if not others:
        if second:
            raise click.UsageError(f"{source} reads single texts: leave out --text-pair.")
        return {first: texts}
    if not second:
        raise click.UsageError(
            f"{source} reads {first} and {others[0]}: give the second one, or its column, with --text-pair."
        )
    if head.ranks.get(others[0], 1) == 2:
        return {first: texts, others[0]: [list(second)] * len(texts)}
    if len(second) > 1:
        raise click.UsageError(f"{source} reads one {others[0]} a text: give --text-pair once.")
    return {first: texts, others[0]: [second[0]] * len(texts)}


def _read(source: str, head: Head, path: str, text: str | None, second: tuple[str, ...], glue: str | None) -> Columns:
    """Return the columns that a file gives.  Raises: UsageError, and DataError of the file's reader."""
    from keras_bert_zoo.data.reading import read_texts, reader
    from keras_bert_zoo.heads import HEADS

    first, *others = head.columns
    if second and not others:
        raise click.UsageError(f"{source} reads single texts: leave out --text-pair.")
    kind = HEADS[head.name].reader
    if glue:
        table = read_glue(glue, path)
    elif kind == "table" or text or second or Path(path).suffix.lower() == ".txt":
        pair = second[0] if second else others[0] if others else None
        return dict(zip(head.columns, read_texts(path, text=text or first, text_pair=pair).values(), strict=True))
    else:
        table = reader(kind)(path, text=first, label=None, text_pair=others[0] if others else None)
    from keras_bert_zoo.data.batching import table_columns

    return table_columns(table, head)


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


def shown(answer: Mapping[str, Any]) -> dict[str, str]:
    """Return an answer for people: single values as they are, each label's probability side by side."""
    cells = {name: _cell(value) for name, value in answer.items() if not isinstance(value, list)}
    lists = {name: value for name, value in answer.items() if isinstance(value, list)}
    if {"labels", "probabilities"} <= set(lists):
        ranked = sorted(zip(lists.pop("probabilities"), lists.pop("labels"), strict=True), reverse=True)
        cells["probabilities"] = "  ".join(f"{label} {probability:.4f}" for probability, label in ranked)
        if "predicted" in lists:
            chosen = [label for label, yes in zip(answer["labels"], lists.pop("predicted"), strict=True) if yes]
            cells = {"predicted": ", ".join(chosen), **cells}
    return {**cells, **{name: _cell(value) for name, value in lists.items()}}


def _cell(value: Any) -> str:
    """Return one value, or list of values, for people."""
    if isinstance(value, float):
        return f"{value:.4f}"
    if not isinstance(value, list):
        return str(value)
    if any(isinstance(each, list) for each in value):
        return " | ".join(map(_cell, value))
    if len(value) > _LONG and isinstance(value[0], float):  # a vector
        return f"{', '.join(map(_cell, value[:_SHOWN]))}, … ({len(value)})"
    return ", ".join(map(_cell, value))
