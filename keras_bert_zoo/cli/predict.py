"""`kbz predict`: answers for texts from the command line, a file or standard input."""

from __future__ import annotations

import sys
from collections.abc import Callable
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
from keras_bert_zoo.cli.served import client, exported, is_export, server_options, told
from keras_bert_zoo.cli.showing import asked as asked_for
from keras_bert_zoo.cli.showing import shown
from keras_bert_zoo.data.glue import read_glue, write_predictions
from keras_bert_zoo.errors import ConfigError, DataError
from keras_bert_zoo.heads import reader_of

if TYPE_CHECKING:
    from keras_bert_zoo.data.tables import Table
    from keras_bert_zoo.serving.answerer import Answerer

Columns = dict[str, list[Any]]
_TABLES = ("table", "pairs", "lines", "questions")  # kinds of files whose texts `read_texts` reads


@click.command()
@click.argument("source", required=False)
@click.argument("texts", nargs=-1)
@click.option("--file", "path", help="Table (tsv, csv, jsonl), one text a line (txt), or a file the head learns from.")
@click.option("--text", help="Column of the text, in a table; the head's own name for it unless given.")
@click.option("--text-pair", help="Column of the second text in a table; without a file, the second text itself.")
@click.option("--choice", "choices", multiple=True, help="One of the choices, for a head that chooses; once for each.")
@glue_option
@click.option("--predictions", type=click.Path(dir_okay=False), help="With --glue: write what GLUE's server takes.")
@server_options
@batch_size_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a text instead of a table.")
@click.pass_context
def command(
    ctx: click.Context,
    source: str | None,
    texts: tuple[str, ...],
    path: str | None,
    text: str | None,
    text_pair: str | None,
    choices: tuple[str, ...],
    glue: str | None,
    predictions: str | None,
    batch_size: int,
    as_json: bool,
    **server: Any,
) -> None:
    """Answer texts with a fine-tuned model.

    SOURCE is a run, a Hugging Face folder or an export; with --url a model server answers in its stead.  TEXTS come
    from the command line, from --file, or from standard input with one text a line.  Every answer has the fields of
    the exported model.

    \b
    Examples:
      kbz predict runs/mood "a film to keep" "two hours I want back"
      kbz predict runs/mood --file reviews.tsv --json > answers.jsonl
      cat reviews.txt | kbz predict runs/mood
      kbz predict runs/answers "Who wrote it?" --text-pair "The play was written by two sisters in 1921."
      kbz predict runs/endings "She opened the door" --choice "and went in." --choice "and a film of soup."
      kbz predict --url http://127.0.0.1:8501 --model mood "a film to keep"
      kbz predict runs/mrpc --glue mrpc --file MRPC/test.tsv --predictions MRPC.tsv
    """
    asked = client(**server)
    if asked is not None:
        source, texts = None, (texts if source is None else (source, *texts))
    elif source is None:
        raise click.UsageError("Missing argument 'SOURCE'.")
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
    export = is_export(source)
    if source is not None and not export:
        fetched(source)
    if not path and not typed:
        click.echo("Standard input is empty: nothing to answer.", err=True)
        return
    where = str(asked or source)
    with working(f"answering with {where}") as say, told_warnings():
        model = _Loaded(where) if asked is None and not export else _Served(asked or exported(where), say)
        read = _read(model, path, text, text_pair, glue) if path else None
        columns = _typed(model, typed, text_pair, choices) if read is None else read
        answers = model.answer(columns, batch_size)
        if glue and path and predictions:
            write_predictions(glue, path, answers, predictions)
    if as_json:
        for answer in answers:
            print_json(answer)
    elif not predictions:
        cells = [shown(answer) for answer in answers]
        rows = zip(*(map(asked_for, values) for values in columns.values()), strict=True)
        print_table((*columns, *cells[0]), [(*row, *cell.values()) for row, cell in zip(rows, cells, strict=True)])
    if predictions:
        click.echo(f"{len(answers):,} predictions are in {predictions}", err=True)


class _Loaded:
    """A run, loaded: what it reads, and its answers.  Raises: ConfigError without a head; and what `load` raises."""

    def __init__(self, source: str) -> None:
        from keras_bert_zoo.bundle import load

        self.source, self._bundle = source, load(source)
        head = self._bundle.head
        if head is None:
            raise ConfigError(f"{source} is an encoder without a head: it has no answers. Fine-tune it (kbz train).")
        self.kind = reader_of(head.name)
        self.ranks = {name: head.ranks.get(name, 1) for name in head.columns}

    def columns(self, table: Table) -> Columns:
        """Return a table's texts by name."""
        from keras_bert_zoo.data.batching import table_columns

        assert self._bundle.head is not None, "it was there before"
        return table_columns(table, self._bundle.head)

    def answer(self, columns: Columns, batch_size: int) -> list[dict[str, Any]]:
        """Return the answers to columns of texts."""
        first, *others = columns
        more = {name: columns[name] for name in others}
        return self._bundle.predict(columns[first], batch_size=batch_size, **more)


class _Served:
    """A model on a server, or an export: what it reads is told by its signature."""

    def __init__(self, model: Answerer, say: Callable[[str], None]) -> None:
        from keras_bert_zoo.answers import head_of

        self.source, self._model, self._say = str(model), model, say
        signature = model.signature()
        head = head_of(signature.outputs)
        self.kind = reader_of(head)
        self.ranks = signature.ranks

    def columns(self, table: Table) -> Columns:
        """Return a table's texts by name.  Raises: DataError where it has too few columns."""
        if len(self.ranks) > 1 and table.pairs is None:
            raise DataError(f"{table.source}: {self.source} reads pairs of texts. Name the second column: --text-pair.")
        return dict(zip(self.ranks, (table.texts, table.pairs or []), strict=False))

    def answer(self, columns: Columns, batch_size: int) -> list[dict[str, Any]]:
        """Return the answers to columns of texts."""
        progress = told(self._say, f"answering with {self.source}")
        return self._model.answer(columns, batch_size=batch_size, progress=progress)


def _typed(model: _Loaded | _Served, texts: list[str], second: str | None, choices: tuple[str, ...]) -> Columns:
    """Return the columns that the command line, or standard input, gives.  Raises: UsageError."""
    first, *others = model.ranks
    chooses = any(model.ranks[name] == 2 for name in others)
    if choices and not chooses:
        raise click.UsageError(f"{model.source} does not choose: leave out --choice.")
    if second is not None and (chooses or not others):
        what = "chooses among --choice" if chooses else "reads single texts"
        raise click.UsageError(f"{model.source} {what}: leave out --text-pair.")
    if chooses and not choices:
        raise click.UsageError(f"{model.source} chooses: give the choices, each with --choice.")
    if others and not chooses and second is None:
        raise click.UsageError(
            f"{model.source} reads {first} and {others[0]}: give the second one, or its column, with --text-pair."
        )
    value = list(choices) if chooses else second
    return {first: texts, **{name: [value] * len(texts) for name in others}}


def _read(model: _Loaded | _Served, path: str, text: str | None, second: str | None, glue: str | None) -> Columns:
    """Return the columns that a file gives.  Raises: UsageError, and DataError of the file's reader."""
    from keras_bert_zoo.data.reading import read_texts, reader

    first, *others = model.ranks
    if second and not others:
        raise click.UsageError(f"{model.source} reads single texts: leave out --text-pair.")
    if glue:
        return model.columns(read_glue(glue, path))
    named = bool(text or second) and model.kind != "choices"  # that reader takes the names itself
    if named or model.kind in _TABLES or Path(path).suffix.lower() == ".txt":
        texts = read_texts(path, text=text or first, text_pair=second or next(iter(others), None))
        return dict(zip(model.ranks, texts.values(), strict=True))
    return model.columns(reader(model.kind)(path, text=text or first, label=None, text_pair=second))


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
