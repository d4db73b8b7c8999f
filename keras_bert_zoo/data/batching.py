"""Batches of texts of like length, as a `tf.data.Dataset`.  N rows, B batch, T tokens a row.

Rows are drawn in a new order every epoch, cut into pools of many batches, sorted by length inside a pool and
cut into batches; the batches are drawn in a new order again.  A batch is padded to its own longest row only.
Everything is a function of (seed, number of the pass), so the same seed gives the same batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from keras_bert_zoo.data.ahead import made_ahead
from keras_bert_zoo.data.tables import Table
from keras_bert_zoo.data.widths import check_widths, next_width, with_shapes
from keras_bert_zoo.errors import ConfigError, DataError

if TYPE_CHECKING:
    from keras_bert_zoo.heads.head import Head
    from keras_bert_zoo.text.tokenizer import Tokenizer

_POOL = 50  # batches sorted together: long enough for even lengths, short enough to stay random
_CHUNK = 4096  # texts measured at a time


def batches(
    table: Table,
    head: Head,
    tokenizer: Tokenizer,
    batch_size: int,
    *,
    length: int | None = None,
    shuffle: bool = False,
    seed: int = 0,
    by_length: bool | None = None,
    drop_remainder: bool = False,
    pad_to: int | Sequence[int] | None = None,
    draw: Callable[[], tf.Tensor] | None = None,
    skip: int = 0,
) -> tf.data.Dataset:
    """Return (features, targets) batches of a table, ready for `model.fit`.

    Texts longer than `length` tokens are cut; unless given, at the limit the tokenizer's own files tell, else at 512.
    `shuffle` draws a new order each pass, from `seed`.  `by_length`
    puts rows of like length together; it follows `shuffle` unless given, so that without either the file's
    order is kept.  What a head draws depends on the pass and the text's number in the table; without `shuffle` on the
    latter alone.

    `pad_to` is for what compiles a graph for each shape, such as XLA: batches are padded to the next of these lengths,
    not to their own longest row.  With one length and `drop_remainder`, which leaves out a last batch that is not full,
    every shape is known before the first batch comes.

    `draw` gives the number, int64 [], that the coming pass is drawn from, one of `pass_draws`; unless given, every pass
    has another.  Of each pass the first `skip` batches are left out.

    Raises: DataError on an empty table or a label the head does not know, naming file and line; ConfigError on a
    `pad_to` that is shorter than `length`, or rows that do not fill one batch where the rest is dropped.
    """
    if batch_size < 1:
        raise ConfigError(f"batch_size is {batch_size}, it must be at least 1.")
    length = length or tokenizer.max_length or 512
    widths = check_widths(pad_to, length)
    targets = table_targets(table, head)
    columns = {
        name: as_strings(values, head.ranks.get(name, 1))
        for name, values in table_columns(table, head, head.train_columns).items()
    }
    by_length = shuffle if by_length is None else by_length
    sizes = token_lengths(columns, tokenizer) if by_length or head.windowed else {}
    # An example may be several rows, each a window; a row is known by its example and the number of its window.
    counts = head.row_counts(sizes, length) if head.windowed else np.ones(len(table), "int32")
    owners = np.repeat(np.arange(len(table), dtype="int32"), counts)  # [R]
    windows = np.arange(len(owners), dtype="int32") - np.repeat(np.cumsum(counts) - counts, counts).astype("int32")
    lengths = np.minimum(sum(sizes.values()), length)[owners] if by_length else np.zeros(len(owners))
    lengths = lengths.astype("int32")  # a text's last window is shorter than this says: good enough to sort by
    pack = head.pack(tokenizer, length)
    rows = len(owners)
    count = rows // batch_size if drop_remainder else -(-rows // batch_size)
    if not count:
        raise ConfigError(
            f"{table.source}: {rows} rows do not fill a batch of {batch_size}, and what does not is dropped."
            " Take smaller batches, or leave out drop_remainder."
        )

    @tf.autograph.experimental.do_not_convert  # nothing to convert, and looking for it takes half a second
    def one_pass(draw: tf.Tensor) -> tf.data.Dataset:
        order = _order(tf.constant(lengths), batch_size, draw if shuffle else None)  # [R]
        places = tf.range(count, dtype=tf.int32)
        if shuffle and by_length:
            places = tf.argsort(tf.random.stateless_uniform([count], tf.stack([draw, 2])))
        places = places[skip:]
        number = draw if shuffle else tf.constant(seed, tf.int64)  # of the pass: without shuffling all are the same
        return tf.data.Dataset.from_tensor_slices(places).map(
            lambda i: (order[i * batch_size : (i + 1) * batch_size], number)
        )

    @tf.autograph.experimental.do_not_convert
    def gather(index: tf.Tensor, number: tf.Tensor) -> tuple[dict[str, tf.Tensor], Any]:
        example = tf.gather(owners, index)  # [B]
        picked = {name: tf.gather(values, example) for name, values in columns.items()}  # [B] each, or [B,C]
        picked = picked if widths else {name: _narrow(values) for name, values in picked.items()}
        wanted = None if targets is None else _pick(targets, example)
        more = {"window": tf.gather(windows, index)} if head.windowed else {}
        if head.draws:
            text = tf.cast(example, tf.int64)
            more["seeds"] = tf.stack([tf.broadcast_to(number, tf.shape(text)), text], axis=1)  # [B,2]
        features, packed = pack(picked, wanted, **more)
        if widths:
            width = next_width(widths, tf.shape(features["input_mask"])[-1])
            features, packed = head.widened(features, packed, width, tokenizer.pad_id)
        return {name: features[name] for name in head.inputs}, packed

    draws = _draws(seed)
    if draw is not None:
        draws = tf.data.Dataset.from_tensors(0).map(tf.autograph.experimental.do_not_convert(lambda _: draw()))
    dataset = draws.flat_map(one_pass).apply(tf.data.experimental.assert_cardinality(count - skip))
    dataset = made_ahead(dataset, gather)
    if len(widths) == 1:  # all batches have the first one's shapes, the last one's rows apart
        first = gather(tf.range(min(batch_size, rows)), tf.constant(seed, tf.int64))
        dataset = with_shapes(dataset, first, batch_size if drop_remainder else None)
    return dataset


def pass_draws(seed: int) -> Iterator[int]:
    """Yield what each pass of `batches` is drawn from in a `fit`, which begins every one of them twice."""
    draws = _draws(seed)
    while True:
        yield int(next(iter(draws)))
        next(iter(draws))


def _draws(seed: int) -> tf.data.Dataset:
    """Return a dataset of one number, another each time it is begun."""
    return tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True).take(1)


def table_columns(table: Table, head: Head, names: tuple[str, ...] | None = None) -> dict[str, list[Any]]:
    """Return the string columns a head answers, or those of `names`, such as the ones it learns from.

    Raises: DataError on an empty table, a missing second text, and a row that the head cannot read.
    """
    names = head.columns if names is None else names
    if not len(table):
        raise DataError(f"{table.source}: the table has no rows.")
    if len(names) > 1 and table.pairs is None:
        raise DataError(f"{table.source}: the head reads pairs of texts. Name the second column with text_pair=.")
    head.check(table)
    return dict(zip(names, (table.texts, table.pairs), strict=False))  # type: ignore[arg-type]


def as_strings(values: Sequence[Any], rank: int = 1) -> tf.Tensor:
    """Return a column as a tensor: strings [N], or for rank 2 lists of strings [N,C], filled up with ""."""
    if rank == 1:
        return tf.constant(values, tf.string, shape=[len(values)])
    width = max(map(len, values), default=0)
    return tf.constant(
        [[*value, *[""] * (width - len(value))] for value in values], tf.string, shape=[len(values), width]
    )


def _narrow(values: tf.Tensor) -> tf.Tensor:
    """Take from lists of strings [B,C] the last places that no row of the batch fills."""
    if values.shape.rank == 1:
        return values
    filled = tf.where(tf.reduce_any(values != "", axis=0))  # [places,1]
    return values[:, : tf.reduce_max(tf.concat([filled[:, 0] + 1, [0]], axis=0))]


def _pick(targets: Any, rows: tf.Tensor) -> Any:
    """Take rows of targets: an array or ragged tensor, or a dict of them."""
    if isinstance(targets, dict):
        return {name: tf.gather(values, rows) for name, values in targets.items()}
    return tf.gather(targets, rows)


def table_targets(table: Table, head: Head) -> Any:
    """Return the labels as the head's targets, or None for a table without labels."""
    if table.labels is None:
        return None
    return head.targets(table.labels, table.place)


def token_lengths(columns: dict[str, tf.Tensor], tokenizer: Tokenizer) -> dict[str, np.ndarray]:
    """Return the number of tokens in every row of each column, int32 [N]; of lists of texts, the longest one's."""
    totals = {}
    for name, values in columns.items():
        width = values.shape[1] if values.shape.rank == 2 else 1
        flat = tf.reshape(values, [-1])
        parts = [tokenizer.tokenize(flat[i : i + _CHUNK]).row_lengths().numpy() for i in range(0, len(flat), _CHUNK)]
        totals[name] = np.concatenate(parts).astype("int32").reshape(-1, width).max(axis=1)
    return totals


def _order(lengths: tf.Tensor, batch_size: int, draw: tf.Tensor | None) -> tf.Tensor:
    """Return the rows in the order they are cut into batches: int [N]."""
    rows = tf.size(lengths)
    if draw is None:
        return tf.argsort(lengths, stable=True)  # all of equal length: the file's order
    order = tf.argsort(tf.random.stateless_uniform([rows], tf.stack([draw, 1])))  # [N]
    pool = tf.range(rows) // (batch_size * _POOL)  # [N]
    key = tf.cast(pool, tf.int64) * 2**31 + tf.cast(tf.gather(lengths, order), tf.int64)
    return tf.gather(order, tf.argsort(key, stable=True))
