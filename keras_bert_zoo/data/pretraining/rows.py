"""Rows of token ids, and how they are spooled.  N rows, T tokens a row."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from keras_bert_zoo.data.pretraining.segments import Cut
from keras_bert_zoo.data.pretraining.settings import Plan


class Layout(NamedTuple):
    """Which cells of rows hold a segment's tokens: bool [N,T] each."""

    first: np.ndarray
    second: np.ndarray


def row_dtype(plan: Plan) -> np.dtype:
    """Return how one row is spooled; `key` sorts the rows into their random order."""
    return np.dtype(
        [
            ("key", "<u8"),
            ("first", "<u2"),  # tokens of the first segment
            ("second", "<u2"),
            ("random", "u1"),
            ("ids", f"<u{plan.id_bytes}", (plan.settings.max_length,)),
        ]
    )


def layout(first: np.ndarray, second: np.ndarray, length: int) -> Layout:
    """Return where the segments' tokens stand, for sizes int [N]: [CLS] first [SEP] second [SEP]."""
    cell = np.arange(length, dtype=np.int64)[None, :]
    end = first.astype(np.int64)[:, None]  # of the first segment, [N,1]
    return Layout((cell >= 1) & (cell <= end), (cell >= end + 2) & (cell < end + 2 + second.astype(np.int64)[:, None]))


def assemble(tokens: np.ndarray, key: np.ndarray, cut: Cut, random: np.ndarray, plan: Plan) -> np.ndarray:
    """Return rows [N] of `row_dtype`, their tokens taken from `tokens` [any]."""
    length = plan.settings.max_length
    rows = np.zeros(len(key), row_dtype(plan))
    rows["key"], rows["random"] = key, random
    rows["first"], rows["second"] = cut.first_size, cut.second_size
    cell = np.arange(length, dtype=np.int64)[None, :]
    first, second = layout(cut.first_size, cut.second_size, length)
    place = np.where(first, (cut.first - 1)[:, None] + cell, 0)  # [N,T]
    np.copyto(place, (cut.second - cut.first_size - 2)[:, None] + cell, where=second)
    ids = np.where(first | second, tokens[place], plan.pad_id)
    ids[:, 0] = plan.cls_id
    number = np.arange(len(key))
    ids[number, cut.first_size + 1] = plan.sep_id
    if plan.settings.pairs == "next_sentence":
        ids[number, cut.first_size + cut.second_size + 2] = plan.sep_id
    rows["ids"] = ids
    return rows
