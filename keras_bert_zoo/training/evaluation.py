"""Logits and figures of a whole table.  N rows, C outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np

from keras_bert_zoo.data.batching import batches, table_columns, table_targets
from keras_bert_zoo.data.sizes import order_by_size
from keras_bert_zoo.data.tables import Table
from keras_bert_zoo.errors import DataError
from keras_bert_zoo.training.answers import Answers

if TYPE_CHECKING:
    from keras_bert_zoo.heads.head import Head
    from keras_bert_zoo.text.tokenizer import Tokenizer


def predict_logits(
    model: keras.Model,
    head: Head,
    tokenizer: Tokenizer,
    table: Table,
    *,
    batch_size: int = 32,
    length: int | None = None,
    pad_to: Sequence[int] | None = None,
) -> np.ndarray:
    """Return the logits of every row in the table's order, [N,C]; rows of like length are run together.

    With `pad_to`, see `batches`, all batches are full: the last row is asked again until they are.
    """
    order = order_by_size(table.texts, table.pairs)
    more = -len(order) % batch_size if pad_to else 0
    rows = batches(
        table.select([*order, *order[-1:] * more]), head, tokenizer, batch_size, length=length, pad_to=pad_to
    )
    outputs = model.predict(rows.map(lambda features, targets: features), verbose=0)[: len(order)]
    placed = np.empty_like(outputs)
    placed[order] = outputs
    return placed


def evaluate(
    model: keras.Model,
    head: Head,
    tokenizer: Tokenizer,
    table: Table,
    *,
    batch_size: int = 32,
    length: int | None = None,
    answers: Answers | None = None,
    pad_to: Sequence[int] | None = None,
) -> dict[str, float]:
    """Return the head's figures on a table.

    A head that is scored by its answers answers every row, with `answers` (of `scored_answers`) where they are at hand;
    one that is scored by metrics is measured batch by batch, for its logits of a whole table would be too many.
    `pad_to` is for a model that is compiled for few shapes, see `batches`.
    Raises: DataError where the table lacks the labels it needs.
    """
    if head.labelled:
        check_labelled(table)
    if head.scored_by == "metrics":
        rows = batches(table, head, tokenizer, batch_size, length=length, by_length=True, pad_to=pad_to)
        return head.measure((targets, model.predict_on_batch(features)) for features, targets in rows)
    if head.scored_by == "answers":
        answers = answers or scored_answers(model, head, tokenizer, length or tokenizer.max_length or 512)
        return head.score(table, answers(table_columns(table, head), batch_size=batch_size))
    targets = table_targets(table, head)
    outputs = predict_logits(model, head, tokenizer, table, batch_size=batch_size, length=length, pad_to=pad_to)
    return head.report(targets, outputs)


def scored_answers(model: keras.Model, head: Head, tokenizer: Tokenizer, max_length: int) -> Answers:
    """Return what gives the answers that an evaluation compares with the data."""
    return Answers(model, head.signatures()[head.scored_signature], tokenizer, max_length)


def check_labelled(table: Table) -> None:
    """Raises: DataError where a table has no labels."""
    if table.labels is None:
        raise DataError(f"{table.source}: there are no labels to compare with. Name the column with label=.")
