"""Lists of any length, asked in batches of like length; one text's answer at a time comes out.  B batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from keras_bert_zoo.answers import plain, trim
from keras_bert_zoo.data.columns import check_texts
from keras_bert_zoo.data.sizes import order_by_size, row_size
from keras_bert_zoo.errors import DataError, ServingError
from keras_bert_zoo.serving.interface import Signature
from keras_bert_zoo.serving.json_values import objects

Run = Callable[[Signature, Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]
_CHARACTERS = 1_000_000  # in one request at most, unless one row alone has more: servers limit a request's bytes


def ask(
    run: Run,
    signature: Signature,
    columns: Mapping[str, Sequence[Any]],
    *,
    where: str,
    batch_size: int = 32,
    at_once: int = 1,
    progress: Callable[[int, int], object] | None = None,
) -> list[dict[str, Any]]:
    """Return each row's answer as plain values without padding, in the order of the rows.

    `run` answers a batch of arrays; `at_once` batches are asked at a time.  `progress` is told how many rows of how
    many are answered.  Raises: DataError on columns that the signature does not read; ServingError where an output is
    not one a row; and what `run` raises.
    """
    for name in signature.columns:
        dtype = signature.inputs[name].dtype
        if dtype != "string":
            raise DataError(
                f"{where}: the signature '{signature.name}' reads {name}, which is {dtype} and no text. Ask it with"
                " run()."
            )
    ranks = signature.ranks
    check_texts(f"{where}: the signature '{signature.name}'", ranks, columns)
    count = len(next(iter(columns.values())))
    answers: list[dict[str, Any]] = [{}] * count
    done = 0

    def one(rows: Sequence[int]) -> int:
        inputs = {name: text_array([columns[name][i] for i in rows], rank) for name, rank in ranks.items()}
        outputs = run(signature, inputs)
        for name, values in outputs.items():
            if values.shape[:1] != (len(rows),):
                raise ServingError(
                    f"{where}: the signature '{signature.name}' gave {name} {list(values.shape)} for {len(rows)} texts,"
                    " so its rows are no texts' answers. Ask it with run()."
                )
        lists = {name: plain(values) for name, values in outputs.items()}
        for place, row in enumerate(rows):
            answers[row] = trim({name: values[place] for name, values in lists.items()})
        return len(rows)

    parts = list(batches(columns, batch_size))
    with ThreadPoolExecutor(max(1, min(at_once, len(parts)))) as threads:
        try:
            for rows in threads.map(one, parts):
                done += rows
                if progress is not None:
                    progress(done, count)
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise
    return answers


def batches(columns: Mapping[str, Sequence[Any]], batch_size: int) -> Iterator[list[int]]:
    """Yield the rows of each batch, long texts first: at most `batch_size`, and not too many characters."""
    held: list[int] = []
    size = 0
    for i in order_by_size(*columns.values())[::-1]:
        own = row_size(*(values[i] for values in columns.values()))
        if held and (len(held) == batch_size or size + own > _CHARACTERS):
            yield held
            held, size = [], 0
        held.append(i)
        size += own
    if held:
        yield held


def text_array(values: Sequence[Any], rank: int = 1) -> np.ndarray:
    """Return texts as an array of objects [B], or for rank 2 lists of them [B,C], filled up with ""."""
    if rank == 1:
        return objects(list(values))
    made = np.full((len(values), max(map(len, values), default=0)), "", object)
    for row, value in zip(made, values, strict=True):
        row[: len(value)] = value
    return made
