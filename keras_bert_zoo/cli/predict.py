"""`kbz predict`: answers for texts from the command line, a file or standard input."""

from __future__ import annotations

import sys
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
from keras_bert_zoo.cli.showing import asked, shown
from keras_bert_zoo.data.glue import read_glue, write_predictions
from keras_bert_zoo.errors import ConfigError, DataError

if TYPE_CHECKING:
    from keras_bert_zoo.heads.head import Head

Columns = dict[str, list[Any]]
_TABLES = ("table", "pairs", "lines", "questions")  # kinds of files whose texts `read_texts` reads


@click.command()
@click.argument("source")
@click.argument("texts", nargs=-1)
@click.option("--file", "path", help="Table (tsv, csv, jsonl), one text a line (txt), or a file the head learns from.")
@click.option("--text", help="Column of the text, in a table; the head's own name for it unless given.")
@click.option("--text-pair", help="Column of the second text in a table; without a file, the second text itself.")
@click.option("--choice", "choices", multiple=True, help="One of the choices, for a head that chooses; once for each.")
@glue_option
@click.option("--predictions", type=click.Path(dir_okay=False), help="With --glue: write what GLUE's server takes.")
@batch_size_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a text instead of a table.")
@click.pass_context
def command(
    ctx: click.Context,
    source: str,
    texts: tuple[str, ...],
    path: str | None,
    text: str | None,
    text_pair: str | None,
    choices: tuple[str, ...],
    glue: str | None,
    predictions: str | None,
    batch_size: int,
    as_json: bool,
) -> None:
    """Answer texts with a fine-tuned model.

    SOURCE is a run or a Hugging Face folder.  TEXTS come from the command line, from --file, or from standard
    input with one text a line.  Every answer has the fields of the exported model.

    \b
    Examples:
      kbz predict runs/mood "a film to keep" "two hours I want back"
      kbz predict runs/mood --file reviews.tsv --json > answers.jsonl
      cat reviews.txt | kbz predict runs/mood
      kbz predict runs/answers "Who wrote it?" --text-pair "The play was written by two sisters in 1921."
      kbz predict runs/endings "She opened the door" --choice "and went in." --choice "and a film of soup."
      kbz predict runs/mrpc --glue mrpc --file MRPC/test.tsv --predictions MRPC.tsv
    """
    if path and (texts or choices):
        raise click.UsageError("Give texts or --file, not both.")
    if predictions and not glue:
        raise click.UsageError("--predictions are GLUE's: give --glue too.")
    if glue:
        no_columns(ctx, "text", "text_pair")
        if not path:
            raise click.UsageError("--glue tells how a file looks: give --file too.")
    if path:
        check_there(path)
    typed = [] if path else list(texts) or _standard_input()
    fetched(source)
    if not path and not typed:
        click.echo("Standard input is empty: nothing to answer.", err=True)
        return
    with working(f"answering with {source}"), told_warnings():
        from keras_bert_zoo.bundle import load

        bundle = load(source)
        head = bundle.head
        if head is None:
            raise ConfigError(f"{source} is an encoder without a head: it has no answers. Fine-tune it (kbz train).")
        if path:
            columns = _read(source, head, path, text, text_pair, glue)
        else:
            columns = _typed(source, head, typed, text_pair, choices)
        first, *others = columns
        answers = bundle.predict(columns[first], batch_size=batch_size, **{name: columns[name] for name in others})
        if glue and path and predictions:
            write_predictions(glue, path, answers, predictions)
    if as_json:
        for answer in answers:
            print_json(answer)
    elif not predictions:
        cells = [shown(answer) for answer in answers]
        rows = zip(*(map(asked, values) for values in columns.values()), strict=True)
        print_table((*columns, *cells[0]), [(*row, *told.values()) for row, told in zip(rows, cells, strict=True)])
    if predictions:
        click.echo(f"{len(answers):,} predictions are in {predictions}", err=True)


def _typed(source: str, head: Head, texts: list[str], second: str | None, choices: tuple[str, ...]) -> Columns:
    """Return the columns that the command line, or standard input, gives.  Raises: UsageError."""
    first, *others = head.columns
    chooses = any(head.ranks.get(name, 1) == 2 for name in others)
    if choices and not chooses:
        raise click.UsageError(f"{source} does not choose: leave out --choice.")
    if second is not None and (chooses or not others):
        what = "chooses among --choice" if chooses else "reads single texts"
        raise click.UsageError(f"{source} {what}: leave out --text-pair.")
    if chooses and not choices:
        raise click.UsageError(f"{source} chooses: give the choices, each with --choice.")
    if others and not chooses and second is None:
        raise click.UsageError(
            f"{source} reads {first} and {others[0]}: give the second one, or its column, with --text-pair."
        )
    value = list(choices) if chooses else second
    return {first: texts, **{name: [value] * len(texts) for name in others}}


def _read(source: str, head: Head, path: str, text: str | None, second: str | None, glue: str | None) -> Columns:
    """Return the columns that a file gives.  Raises: UsageError, and DataError of the file's reader."""
    from keras_bert_zoo.data.batching import table_columns
    from keras_bert_zoo.data.reading import read_texts, reader
    from keras_bert_zoo.heads import HEADS

    first, *others = head.columns
    if second and not others:
        raise click.UsageError(f"{source} reads single texts: leave out --text-pair.")
    if glue:
        return table_columns(read_glue(glue, path), head)
    kind = HEADS[head.name].reader
    named = bool(text or second) and kind != "choices"  # that reader takes the names itself
    if named or kind in _TABLES or Path(path).suffix.lower() == ".txt":
        texts = read_texts(path, text=text or first, text_pair=second or next(iter(others), None))
        return dict(zip(head.columns, texts.values(), strict=True))
    return table_columns(reader(kind)(path, text=text or first, label=None, text_pair=second), head)


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
