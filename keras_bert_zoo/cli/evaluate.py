"""`kbz evaluate`: figures of a model on a labelled table, be it a run, an export, or on a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keras_bert_zoo.cli.options import (
    batch_size_option,
    check_there,
    column_options,
    fetched,
    glue_option,
    json_option,
    no_columns,
    print_figures,
    print_json,
    print_table,
    set_option,
    told_warnings,
    working,
)
from keras_bert_zoo.cli.served import client, exported, is_export, server_options, told
from keras_bert_zoo.data.glue import GLUE, read_glue
from keras_bert_zoo.files import check_absent

if TYPE_CHECKING:
    from keras_bert_zoo.data.tables import Table
    from keras_bert_zoo.serving.answerer import Answerer
    from keras_bert_zoo.serving.sources import Source


@click.command()
@click.argument("paths", nargs=-1, metavar="[SOURCE] [TABLE]")
@column_options
@click.option("--predictions", type=click.Path(), help="New folder for the files the task's own scripts read (SQuAD).")
@glue_option
@server_options
@set_option
@click.option(
    "--tolerance",
    type=click.FloatRange(0),
    metavar="SHARE",
    help="Exit 1 where the figure that chose the best epoch is lower than training's by more.",
)
@batch_size_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    paths: tuple[str, ...],
    text: str,
    text_pair: str | None,
    label: str,
    predictions: str | None,
    glue: str | None,
    settings: tuple[tuple[str, Any], ...],
    tolerance: float | None,
    batch_size: int,
    as_json: bool,
    **server: Any,
) -> None:
    """Measure a model on labelled data.

    SOURCE is a run, a Hugging Face folder or an export; with --url a model server gives the answers, and SOURCE, which
    may be left out, tells the head and training's figures.  TABLE is a tsv, csv or jsonl file, or what the head learns
    from; unless given, it is the data that the run was measured on.  An export's and a server's figures are set beside
    training's where that measured the same rows.  With --glue the figure `glue` is the task's place in GLUE's average.

    \b
    Examples:
      kbz evaluate runs/mood test.tsv
      kbz evaluate saved_models/mood/1
      kbz evaluate saved_models/mood test.tsv --url http://127.0.0.1:8501 --model mood --version-label canary
      kbz evaluate runs/answers dev-v2.0.json --predictions predictions
      kbz evaluate runs/mrpc --glue mrpc MRPC/dev.tsv
    """
    asked = client(**server)
    source, table = _places(paths, served=asked is not None)
    if settings and source is not None:
        raise click.UsageError(f"--set makes a server's head where nobody names it, but {source} does: leave it out.")
    if table is not None:
        check_there(table)
    if predictions is not None:
        check_absent(predictions)
    rows = None
    if glue is not None:
        no_columns(ctx, "text", "text_pair", "label")
        if table is None:
            raise click.UsageError("--glue tells how a file looks: name the file, too.")
        with working("reading"), told_warnings():
            rows = read_glue(glue, table, labelled=True)
    export = is_export(source)
    if source is not None and not export:
        fetched(source)
    where = str(asked or source)
    with working(f"loading {source or where}") as say, told_warnings():
        if asked is not None:
            asked = asked.pinned()  # one version answers all
            where = str(asked)
        from keras_bert_zoo.serving.sources import Source

        known = Source(source)
        answerer: Answerer | None = exported(source) if asked is None and source is not None and export else asked

        def read(path: str) -> Table:
            from keras_bert_zoo.data.reading import reader

            return reader(known.reader(answerer))(path, text=text, label=label, text_pair=text_pair)

        if rows is None and table is not None:
            rows = read(table)
        if rows is None:
            part, rows = known.table()
            table = f"its {part} data"
        say(f"measuring {where} on {len(rows):,} rows")
        figures = known.evaluate(
            rows,
            answerer,
            settings=dict(settings),
            batch_size=batch_size,
            predictions=predictions,
            progress=told(say, f"measuring {where}"),
        )
        if glue is not None:
            figures["glue"] = GLUE[glue].score(figures)
    _show(f"{where} on {table}, {len(rows):,} rows", figures, known, rows, answerer, as_json=as_json)
    if tolerance is not None:
        known.hold(figures, rows, tolerance)


def _places(paths: tuple[str, ...], *, served: bool) -> tuple[str | None, str | None]:
    """Return SOURCE and TABLE.  Raises: UsageError where there are too few or too many of them."""
    if len(paths) > 2:
        raise click.UsageError(f"Got unexpected extra argument ({paths[2]}).")
    if not paths and not served:
        raise click.UsageError("Missing argument 'SOURCE'.")
    if not paths:
        raise click.UsageError("Name the TABLE to measure on, or the run or export that tells it.")
    if len(paths) == 1 and served and not Path(paths[0]).expanduser().is_dir():  # a table is no folder
        return None, paths[0]
    return paths[0], paths[1] if len(paths) > 1 else None


def _show(
    title: str,
    figures: dict[str, float],
    known: Source,
    rows: Table,
    answerer: Answerer | None,
    *,
    as_json: bool,
) -> None:
    """Print figures; those of what is served beside training's."""
    if answerer is None:
        if as_json:
            print_json(figures)
        else:
            print_figures(title, figures)
        return
    from keras_bert_zoo.serving.scoring import beside_training

    part = known.part_of(rows)
    beside = {} if part is None else beside_training(figures, part)
    if as_json:
        compared = {name: {"figure": row.training, "difference": row.difference} for name, row in beside.items()}
        print_json({**figures, "training": None if part is None else {"part": part.name, **compared}})
        return
    click.echo(title)
    if part is None:
        print_table(("figure", "value"), [(name, f"{value:.4f}") for name, value in figures.items()])
        why = "no run tells its figures" if known.training is None else "training measured other rows"
        click.echo(f"Nothing to compare with: {why}.", err=True)
    else:
        cells = [
            (name, f"{value:.4f}", f"{beside[name].training:.4f}", f"{beside[name].difference:+.4f}")
            if name in beside
            else (name, f"{value:.4f}", "", "")
            for name, value in figures.items()
        ]
        print_table(("figure", "served", f"training ({part.name})", "difference"), cells)
