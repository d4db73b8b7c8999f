"""`kbz evaluate`: figures of a model on a labelled table."""

from __future__ import annotations

import click

from keras_bert_zoo.cli.options import (
    batch_size_option,
    column_options,
    fetched,
    json_option,
    print_figures,
    print_json,
    working,
)
from keras_bert_zoo.files import check_absent


@click.command()
@click.argument("source")
@click.argument("table")
@column_options
@click.option("--predictions", type=click.Path(), help="New folder for the files the task's own scripts read (SQuAD).")
@batch_size_option
@json_option
def command(
    source: str,
    table: str,
    text: str,
    text_pair: str | None,
    label: str,
    predictions: str | None,
    batch_size: int,
    as_json: bool,
) -> None:
    """Measure a model on a labelled table.

    SOURCE is a run or a Hugging Face folder, TABLE a tsv, csv or jsonl file, for masked_lm also a txt file, for
    questions a SQuAD file (json).

    \b
    Examples:
      kbz evaluate runs/mood test.tsv
      kbz evaluate runs/answers dev-v2.0.json --predictions predictions
    """
    from keras_bert_zoo.data.reading import reader
    from keras_bert_zoo.heads import HEADS

    if predictions is not None:
        check_absent(predictions)
    fetched(source)
    with working(f"loading {source}") as say:
        from keras_bert_zoo.bundle import load

        bundle = load(source)
        kind = "table" if bundle.head is None else HEADS[bundle.head.name].reader
        rows = reader(kind)(table, text=text, label=label, text_pair=text_pair)
        say(f"measuring {source} on {len(rows):,} rows")
        figures = bundle.evaluate(rows, batch_size=batch_size, predictions=predictions)
    if as_json:
        print_json(figures)
    else:
        print_figures(f"{source} on {table}, {len(rows):,} rows", figures)
