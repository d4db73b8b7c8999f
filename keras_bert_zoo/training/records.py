"""Rows of pretraining shards as batches.  N rows, B batch, T tokens a row, M places asked about.

What batch a step gets is a function of (seed, step) and of what the shards hold: every epoch takes the shards in a new
order, reads them one after the other in blocks, and draws each block's rows in a new order.  Batches are cut from the
epochs as if they were one long row.  To begin at a step, whole shards are passed over by their counts.  On several
devices and processes each one gets its share of every batch, see `training/shares.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from keras_bert_zoo.errors import ConfigError, DataError
from keras_bert_zoo.training.shards import ASKED, Shard, Shards, told_by
from keras_bert_zoo.training.shares import Share

_CHUNK = 1024  # rows read at a time
_SHARDS, _ROWS = range(2)  # what an order is drawn for
_TYPES = {"input_word_ids": "int32", "input_mask": "int32", "input_type_ids": "int32", "next_sentence_labels": "int32"}
_ASKED_TYPES = {"masked_lm_positions": "int32", "masked_lm_ids": "int32", "masked_lm_weights": "float32"}
Rows = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a model can read: ids and types are below these numbers."""

    vocabulary: int
    types: int


class Stream:
    """The rows of shards, batch after batch.

    `corrupt` is "refuse", or "skip": of a shard that is damaged, the rows in front of the damage are read and the rest
    is counted in `damaged`, file name -> rows that can be read.  `dynamic` gives masked rows back the tokens that stood
    in them.  `tokens` holds the real tokens of each step's batch, until somebody takes them out; of a worker with files
    of its own they are as many as if the others' rows were as long.  `batch_size` is that of all devices together.
    Raises: ConfigError where files cannot be shared so.
    """

    def __init__(
        self,
        shards: Shards,
        batch_size: int,
        limits: Limits,
        *,
        seed: int = 0,
        block: int = 16384,
        corrupt: str = "refuse",
        dynamic: bool = True,
        trimmed: bool = True,
        damaged: Mapping[str, int] | None = None,
        share: Share | None = None,
    ) -> None:
        self.shards, self.batch_size, self.limits = shards, batch_size, limits
        self.seed, self.block, self.corrupt, self.trimmed = seed, block, corrupt, trimmed
        self.asked = shards.kind == "masked" and not dynamic
        self.restores = shards.kind == "masked" and dynamic
        self.damaged = dict(damaged or {})
        self.tokens: dict[int, int] = {}
        self.error: DataError | None = None  # what ended the reading, for TensorFlow tells it as something else
        wide = {**_TYPES, **(_ASKED_TYPES if shards.kind == "masked" else {})}
        self._columns = {**_TYPES, **(_ASKED_TYPES if self.asked else {})}
        widths = {name: shards.places if name in ASKED else shards.length for name in wide}
        widths["next_sentence_labels"] = 1
        self._features = {
            shards.names[name]: tf.io.FixedLenFeature(
                [widths[name]], tf.float32 if name == "masked_lm_weights" else tf.int64
            )
            for name in wide
        }
        self._widths = widths
        self.share = share or Share()
        if self.share.by_file and corrupt == "skip":
            raise ConfigError("Workers with files of their own cannot skip damaged records: share by record.")
        self._rows = self.share.rows(batch_size)  # that are read a step
        self._own, self._epoch = self.share.files([shard.instances for shard in shards.files])

    # ---- batches

    def batches(self, start: int, stop: int) -> Iterator[Rows]:
        """Yield the batches of steps `start` to `stop`, shuffled: int32 [B,T], `seeds` int64 [B,2] and, of rows whose
        masks are drawn, the places asked about [B,M].  A share of several devices has as many batches a step, their
        rows.  Raises: DataError naming the shard.
        """
        try:
            blocks = self._shuffled_blocks(start * self._rows)
            rest = next(blocks)
            for step in range(start, stop):
                parts, wanted = [], self._rows
                while wanted:
                    if not len(rest["ends"]):
                        rest = next(blocks)
                    parts.append({name: values[:wanted] for name, values in rest.items()})
                    rest = {name: values[wanted:] for name, values in rest.items()}
                    wanted -= len(parts[-1]["ends"])
                batch = {name: np.concatenate([part[name] for part in parts]) for name in rest}
                tokens = int(batch["input_mask"].astype(bool).sum())
                self.tokens[step] = tokens * self.batch_size // self._rows
                for piece in self.share.pieces(self._rows):
                    yield self._cut({name: values[piece] for name, values in batch.items()})
        except DataError as error:
            self.error = error
            raise

    def in_order(self) -> Iterator[Rows]:
        """Yield every row once, in the order of the files, with seeds that never change; the last batch is smaller."""
        try:
            rest: Rows | None = None
            for chunk in self._chunks(range(len(self.shards.files)), epoch=-1, skip=0):
                rest = chunk if rest is None else {n: np.concatenate([rest[n], chunk[n]]) for n in chunk}
                while len(rest["ends"]) >= self.batch_size:
                    yield self._cut({name: values[: self.batch_size] for name, values in rest.items()})
                    rest = {name: values[self.batch_size :] for name, values in rest.items()}
            if rest is not None and len(rest["ends"]):
                yield self._cut(rest)
        except DataError as error:
            self.error = error
            raise

    def signature(self) -> dict[str, tf.TensorSpec]:
        """Return what a batch is made of, for `tf.data`."""
        spec = {
            name: tf.TensorSpec([None] if name == "next_sentence_labels" else [None, None], kind)
            for name, kind in self._columns.items()
        }
        return {**spec, "seeds": tf.TensorSpec([None, 2], tf.int64)}

    def _cut(self, batch: Rows) -> Rows:
        """Leave out what no row of the batch fills, and what is for us alone."""
        ends = batch.pop("ends")
        batch["next_sentence_labels"] = batch["next_sentence_labels"].reshape(-1)
        if not self.trimmed:
            return batch
        width = int(ends.max(initial=1))
        for name in ("input_word_ids", "input_mask", "input_type_ids"):
            batch[name] = batch[name][:, :width]
        if self.asked:
            places = int(_ends(batch["masked_lm_weights"]).max(initial=1))
            batch |= {name: batch[name][:, :places] for name in ASKED}
        return batch

    # ---- rows

    def _readable(self, shard: Shard) -> int:
        return self.damaged.get(shard.path.name, shard.instances)

    def _total(self) -> int:
        """Return how many rows an epoch has."""
        return self._epoch if self.share.by_file else sum(map(self._readable, self.shards.files))

    def _shuffled_blocks(self, position: int) -> Iterator[Rows]:
        """Yield blocks of rows in their drawn order, without end, from a row of the long row of epochs on."""
        total, own = self._total(), set(self._own)
        epoch, offset = divmod(position, total) if total else (0, 0)
        while True:
            number, inside = divmod(offset, self.block)
            order = [place for place in _order(len(self.shards.files), self.seed, _SHARDS, epoch) if place in own]
            for rows in self._blocks(order, epoch, number * self.block):
                drawn = _order(len(rows["ends"]), self.seed, _ROWS, epoch, number)
                if self.share.by_file:  # the rows that are too many are others every epoch
                    drawn = drawn[: max(total - number * self.block, 0)]
                drawn = drawn[inside:]
                yield {name: values[drawn] for name, values in rows.items()}
                number, inside = number + 1, 0
            if not sum(map(self._readable, self.shards.files)):
                raise DataError(f"{self.shards.files[0].path.parent}: no shard has a row that can be read.")
            epoch, offset = epoch + 1, 0

    def _blocks(self, order: list[int], epoch: int, skip: int) -> Iterator[Rows]:
        held: list[Rows] = []
        count = 0
        for chunk in self._chunks(order, epoch, skip):
            while len(chunk["ends"]):
                part = {name: values[: self.block - count] for name, values in chunk.items()}
                chunk = {name: values[self.block - count :] for name, values in chunk.items()}
                held.append(part)
                count += len(part["ends"])
                if count == self.block:
                    yield {name: np.concatenate([each[name] for each in held]) for name in held[0]}
                    held, count = [], 0
        if held:
            yield {name: np.concatenate([each[name] for each in held]) for name in held[0]}

    def _chunks(self, order: Any, epoch: int, skip: int) -> Iterator[Rows]:
        """Yield some rows at a time of the shards in an order, without the first `skip`."""
        run = (self.seed << 32) + epoch if epoch >= 0 else -1
        for place in order:
            shard = self.shards.files[place]
            count = self._readable(shard)
            if skip >= count:
                skip -= count
                continue
            number = skip
            for records in self._records(shard, skip, count):
                rows = self._parsed(shard, number, records)
                numbers = np.int64(place << 32) + np.arange(number, number + len(records))  # of rows, over all epochs
                rows["seeds"] = np.stack([np.full(len(records), run, "int64"), numbers], axis=1)
                yield rows
                number += len(records)
            skip = 0

    def _records(self, shard: Shard, skip: int, count: int) -> Iterator[Any]:
        """Yield records of a shard, serialised, some at a time.  Raises: DataError unless damage is skipped."""
        done, why = skip, ""
        for size in (_CHUNK, 1):  # of a chunk that fails, the records in front of the damage are read one by one
            try:
                for batch in _read(shard, self.shards.compression, done, count, size):
                    done += len(batch)
                    yield batch
            except tf.errors.OpError as error:
                why = told_by(error)
                continue
            break
        if done < count:
            self._refuse(shard, done, why or f"the file ends there, {shard.instances:,} records were expected")

    def _refuse(self, shard: Shard, good: int, why: str) -> None:
        """Note damage, or raise a DataError about it."""
        if self.corrupt == "refuse":
            raise DataError(
                f"{shard.path}: record {good + 1:,} is damaged: {why}. Fetch or write the file again, or go on without"
                " what cannot be read (--skip-corrupt)."
            )
        self.damaged[shard.path.name] = good

    def _parsed(self, shard: Shard, number: int, records: Any) -> Rows:
        """Return records as arrays.  Raises: DataError on other features, and see `_check`."""
        names = self.shards.names
        try:
            parsed = tf.io.parse_example(records, self._features)
        except (tf.errors.OpError, UnicodeDecodeError) as error:  # the latter where it shows the bytes
            why = told_by(error)
            raise DataError(f"{shard.path}: {self._odd(number, records) or why}.") from None
        rows = {
            name: parsed[names[name]].numpy().astype({**_TYPES, **_ASKED_TYPES}[name])
            for name in (*_TYPES, *(_ASKED_TYPES if self.shards.kind == "masked" else ()))
        }
        self._check(shard, number, rows)
        if self.restores:
            row, column = np.nonzero(rows["masked_lm_weights"])
            rows["input_word_ids"][row, rows["masked_lm_positions"][row, column]] = rows["masked_lm_ids"][row, column]
        rows = {name: rows[name] for name in self._columns}
        rows["ends"] = _ends(rows["input_mask"])
        return rows

    def _odd(self, number: int, records: Any) -> str:
        """Return what is wrong with the first record that is not as the first shard's; "" where all are.

        TensorFlow names whichever feature it comes to first, and no record.
        """
        for place, record in enumerate(records.numpy(), number + 1):
            try:
                features = dict(tf.train.Example.FromString(record).features.feature)
            except DecodeError:
                return f"record {place:,} is no tf.train.Example"
            for name, wanted in self._features.items():
                kind = "float_list" if wanted.dtype == tf.float32 else "int64_list"
                count = len(getattr(features[name], kind).value) if name in features else 0
                if count != wanted.shape[0]:
                    return f"record {place:,} has {count} numbers in {name}, the first shard's have {wanted.shape[0]}"
        return ""

    def _check(self, shard: Shard, number: int, rows: Rows) -> None:
        """Raises: DataError on numbers that the model has no place for."""
        limits = {
            "input_word_ids": self.limits.vocabulary,
            "input_mask": 2,
            "input_type_ids": self.limits.types,
            "next_sentence_labels": 2,
            "masked_lm_ids": self.limits.vocabulary,
            "masked_lm_positions": self.shards.length,
        }
        for name, values in rows.items():
            wrong = (values < 0) | (values >= limits.get(name, np.inf))
            if wrong.any():
                row, column = np.argwhere(wrong)[0]
                raise DataError(
                    f"{shard.path}: record {number + row + 1:,} has {values[row, column]} in"
                    f" {self.shards.names[name]}, the model has places for 0 to {limits[name] - 1}. Are these data for"
                    " another vocabulary or model?"
                )


def _read(shard: Shard, compression: str, skip: int, count: int, size: int) -> Iterator[Any]:
    dataset = tf.data.TFRecordDataset(str(shard.path), compression).skip(skip).take(count - skip)
    return iter(dataset.batch(size))


def _ends(filled: np.ndarray) -> np.ndarray:
    """Return where each row's last cell that is not 0 ends: [N,T] -> int [N]."""
    marked = filled != 0
    width = filled.shape[1]
    return np.where(marked.any(axis=1), width - np.argmax(marked[:, ::-1], axis=1), 0)


def _order(count: int, *key: int) -> np.ndarray:
    """Return numbers 0 to `count` in an order drawn by a key of two to four whole numbers.

    From Philox's bits and not by `permutation`, which another NumPy may do otherwise.
    """
    seed, purpose, *more = (number % 2**64 for number in key)
    counter = np.array([0, 0, *more, *[0] * (2 - len(more))], "uint64")
    bits = np.random.Philox(key=np.array([seed, purpose], "uint64"), counter=counter).random_raw(count)
    return np.argsort(bits, kind="stable")
