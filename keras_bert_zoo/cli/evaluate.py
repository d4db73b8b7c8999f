"""`kbz evaluate`: figures of a model on a labelled table."""

from __future__ import annotations

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
    told_warnings,
    working,
)
from keras_bert_zoo.data.glue import GLUE, read_glue
from keras_bert_zoo.files import check_absent


@click.command()
@click.argument("source")
@click.argument("table")
@column_options
@click.option("--predictions", type=click.Path(), help="New folder for the files the task's own scripts read (SQuAD).")
@glue_option
@batch_size_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    source: str,
    table: str,
    text: str,
    text_pair: str | None,
    label: str,
    predictions: str | None,
    glue: str | None,
    batch_size: int,
    as_json: bool,
) -> None:
    """Measure a model on labelled data.

    SOURCE is a run or a Hugging Face folder, TABLE a tsv, csv or jsonl file, or what the run's head learns from.  With
    --glue the figure `glue` is the task's place in GLUE's average.

    \b
    Examples:
      kbz evaluate runs/mood test.tsv
      kbz evaluate runs/answers dev-v2.0.json --predictions predictions
      kbz evaluate runs/mrpc --glue mrpc MRPC/dev.tsv
    """
    from keras_bert_zoo.data.reading import reader
    from keras_bert_zoo.heads import HEADS

    check_there(table)
    if predictions is not None:
        check_absent(predictions)
    rows = None
    if glue is not None:
        no_columns(ctx, "text", "text_pair", "label")
        with working("reading"), told_warnings():
            rows = read_glue(glue, table, labelled=True)
    fetched(source)
    with working(f"loading {source}") as say:
        from keras_bert_zoo.bundle import load

        bundle = load(source)
        if rows is None:
            kind = "table" if bundle.head is None else HEADS[bundle.head.name].reader
            rows = reader(kind)(table, text=text, label=label, text_pair=text_pair)
        say(f"measuring {source} on {len(rows):,} rows")
        figures = bundle.evaluate(rows, batch_size=batch_size, predictions=predictions)
        if glue is not None:
            figures["glue"] = GLUE[glue].score(figures)
    if as_json:
        print_json(figures)
    else:
        print_figures(f"{source} on {table}, {len(rows):,} rows", figures)
