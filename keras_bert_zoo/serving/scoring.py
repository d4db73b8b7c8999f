"""The figures of a data set, measured on what is served, beside those of training.  N rows, C outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from keras_bert_zoo import heads
from keras_bert_zoo.answers import head_of
from keras_bert_zoo.data.batching import batches, table_columns, table_targets
from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.serving.answerer import Answerer
from keras_bert_zoo.serving.figures import Part
from keras_bert_zoo.training.evaluation import check_labelled

if TYPE_CHECKING:
    from keras_bert_zoo.data.tables import Table
    from keras_bert_zoo.heads.head import Head
    from keras_bert_zoo.text.tokenizer import Tokenizer


class Row(NamedTuple):
    """A figure of what is served, that of training, and by how much the first is higher."""

    served: float
    training: float
    difference: float


def evaluate_served(
    served: Answerer,
    head: Head,
    table: Table,
    *,
    batch_size: int = 32,
    tokenizer: Tokenizer | None = None,
    max_length: int | None = None,
    predictions: str | Path | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> dict[str, float]:
    """Return the head's figures on a table, those of `Bundle.evaluate`, with the answers of a served model.

    `tokenizer` and `max_length` are for heads that are measured by hidden tokens, which their answers do not tell.
    `predictions` is a new folder for the answers, as the files that the task's own scripts read.
    Raises: ConfigError where the model serves another head, or a tokenizer is needed; DataError on the table's rows;
    and what the model raises.
    """
    signature = served.signature(head.scored_signature)
    if head_of(signature.outputs) != head.name:
        raise ConfigError(
            f"{served} gives {', '.join(sorted(signature.outputs))}, which are no answers of the head '{head.name}'."
        )
    if head.labelled:
        check_labelled(table)
    if head.scored_by == "metrics":
        return _by_logits(served, head, table, batch_size, tokenizer, max_length)
    columns = table_columns(table, head, head.train_columns)
    if len(head.train_columns) > len(head.columns):  # it answers one text at a time
        columns = {head.columns[0]: [text for texts in columns.values() for text in texts]}
    answers = served.answer(columns, signature=signature.name, batch_size=batch_size, progress=progress)
    labels = getattr(head, "labels", None)
    if labels is not None and answers and answers[0].get("labels", [*labels]) != [*labels]:
        raise ConfigError(
            f"{served} has the labels {', '.join(answers[0]['labels'])}, not {', '.join(labels)} in this order."
        )
    if predictions is not None:
        head.write_answers(table, answers, Path(predictions))
    if head.scored_by == "answers":
        return head.score(table, answers)
    return head.report(table_targets(table, head), head.logits_of(answers))


def _by_logits(
    served: Answerer, head: Head, table: Table, batch_size: int, tokenizer: Tokenizer | None, max_length: int | None
) -> dict[str, float]:
    """Return the figures of a head that draws what it is asked about, from the logits of the signature `tokenized`."""
    if tokenizer is None:
        raise ConfigError(
            f"The head '{head.name}' is measured on tokens that it hides, for which its tokenizer is needed: give the"
            " run, or the export's folder, beside the URL."
        )

    def answered() -> Any:
        for features, targets in batches(table, head, tokenizer, batch_size, length=max_length, by_length=True):
            outputs = served.run({name: values.numpy() for name, values in features.items()}, signature="tokenized")
            yield targets, outputs["logits"] if set(outputs) == {"logits"} else outputs

    return head.measure(answered())


def head_by_answers(served: Answerer, table: Table, settings: Mapping[str, Any]) -> Head:
    """Make the head whose answers a model serves, from its signature, an answer and the table's labels.

    `settings` are arguments of the head that none of them tells.  Raises: ConfigError where the answers are no head's.
    """
    signature = served.signature()
    name = head_of(signature.outputs)
    if name is None:
        raise ConfigError(
            f"{served} gives {', '.join(sorted(signature.outputs))}, which are no head's answers: nobody knows how to"
            " score them."
        )
    known: dict[str, Any] = {}
    takes = heads.arguments(name)
    if "labels" in signature.outputs:
        known["labels"] = served.answer(table_rows(table, signature.columns, 1))[0]["labels"]
    if "pair" in takes and len(signature.columns) > 1:
        known["pair"] = True
    if name == "sentence_embedding":
        known["loss"] = "ranking" if table.labels is None else "similarity"
    return heads.for_labels(name, table.labels or [], {**known, **settings})


def table_rows(table: Table, columns: tuple[str, ...], count: int | None = None) -> dict[str, list[Any]]:
    """Return a table's first rows, all unless told, by the names of columns.  Raises: ConfigError without pairs."""
    if len(columns) > 1 and table.pairs is None:
        raise ConfigError(
            f"{table.source}: the model reads {' and '.join(columns)}. Name the second column with text_pair=."
        )
    return {name: list(rows or [])[:count] for name, rows in zip(columns, (table.texts, table.pairs), strict=False)}


def beside_training(figures: Mapping[str, float], part: Part) -> dict[str, Row]:
    """Return the figures that training measured, too, beside its own."""
    shared = {name: (value, part.figures[name]) for name, value in figures.items() if name in part.figures}
    return {name: Row(value, other, float(np.float64(value) - other)) for name, (value, other) in shared.items()}
