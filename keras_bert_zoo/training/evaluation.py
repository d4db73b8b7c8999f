"""Logits and figures of a whole table.  N rows, C outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
import numpy as np

from keras_bert_zoo.data.batching import batches, table_targets
from keras_bert_zoo.data.tables import Table
from keras_bert_zoo.errors import DataError

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
) -> np.ndarray:
    """Return the logits of every row in the table's order, [N,C]; rows of like length are run together."""
    order = order_by_size(table.texts, table.pairs)
    rows = batches(table.select(order), head, tokenizer, batch_size, length=length)
    outputs = model.predict(rows.map(lambda features, targets: features), verbose=0)
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
) -> dict[str, float]:
    """Return the head's figures on a labelled table.  Raises: DataError where it has no labels."""
    targets = table_targets(table, head)
    if targets is None:
        raise DataError(f"{table.source}: there are no labels to compare with. Name the column with label=.")
    outputs = predict_logits(model, head, tokenizer, table, batch_size=batch_size, length=length)
    return head.report(targets, outputs)


def order_by_size(*columns: list[str] | None) -> list[int]:
    """Return the rows from the shortest text to the longest, by characters over all columns; ties keep their order."""
    present = [column for column in columns if column is not None]
    return sorted(range(len(present[0])), key=lambda i: sum(len(column[i]) for column in present))
