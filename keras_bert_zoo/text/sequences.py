"""Several short sequences in one row, so that a row holds hardly any padding.

B sequences, T tokens a sequence, M places asked about in one; R rows, L tokens, P places and S sequences a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from keras_bert_zoo.errors import ConfigError, DataError

FEATURES = ("input_word_ids", "input_mask", "input_type_ids", "masked_lm_positions")
SEQUENCES = 8  # sentences fill rows of 128 by it, more gain little: benchmarks/RESULTS.md
_NONE = -1  # the next-sentence target where a row has no sequence: losses and metrics leave it out


class _Places(NamedTuple):
    """Where sequences go, those with the most tokens first: int32 [n] each."""

    row: tf.Tensor
    number: tf.Tensor  # which of the row's sequences it is, from 0
    token: tf.Tensor  # the row's token where it begins
    asked: tf.Tensor  # the row's place asked about where its own begin


def pack_sequences(
    features: Mapping[str, Any],
    targets: Any,
    length: int,
    *,
    sequences: int = SEQUENCES,
    predictions: int | None = None,
    rows: int | None = None,
) -> tuple[dict[str, tf.Tensor], Any]:
    """Put a batch of masked sequences into fewer rows of `length` tokens, up to `sequences` in each, none cut.

    features: `input_word_ids`, `input_mask`, `input_type_ids` int [B,T], each row's tokens at its beginning, and
    `masked_lm_positions` int [B,M]; targets: float32 [B,M,2], see `draw_masks`, or a dict of them as `masked_lm` and
    `next_sentence` int [B].  So `Pretraining.split` and `MaskedLM.pack` give them; rows without tokens are left out.

    Returns the same, for an encoder with as many `sequences` (`build_encoder`, `with_layout`): int32 [R,L], in which
    `input_mask` is k for the k-th sequence of its row and 0 for padding; [R,P], [R,P,2]; `next_sentence` int32 [R,S],
    -1 where there is no sequence.  P is the most of a row, or `predictions`, which a row then never goes beyond; R is
    as many rows as it takes, or `rows`, the rest of them empty.  With both every shape is static, as XLA needs it.

    Longest sequences first, each goes to the first row that has room: the same batch always gives the same rows.
    Works on arrays and in `tf.data`.

    Raises: ConfigError on sizes that hold nothing, DataError where features are missing or unknown;
    tf.errors.InvalidArgumentError, when it runs, where a sequence has more than `length` tokens or `predictions`
    places, or the batch takes more than `rows`.
    Source: Krell et al. 2021, "Efficient Sequence Packing without Cross-contamination"; Johnson 1973, first-fit
    decreasing.
    """
    _check(features, targets, {"length": length, "predictions": predictions, "rows": rows}, sequences)
    ids, mask, types, positions = (tf.cast(features[name], tf.int32) for name in FEATURES)
    several = isinstance(targets, Mapping)
    masked = tf.cast(targets["masked_lm"] if several else targets, tf.float32)  # [B,M,2]

    real, asked = tf.not_equal(mask, 0), tf.not_equal(masked[..., 1], 0)  # [B,T], [B,M]
    tokens, asks = (tf.reduce_sum(tf.cast(cells, tf.int32), axis=1) for cells in (real, asked))  # [B]
    checks = [_at_most(tokens, length, f"A sequence has more tokens than a row, {length}. Raise length.")]
    if predictions is not None:
        what = f"A sequence has more places asked about than a row, {predictions}. Raise predictions."
        checks.append(_at_most(asks, predictions, what))
    with tf.control_dependencies(checks):
        width = tf.shape(asked)[1] + 1
        keys = tokens * width + asks  # [B]: by tokens, then by places
    order = tf.argsort(keys, direction="DESCENDING", stable=True)[: tf.math.count_nonzero(tokens, dtype=tf.int32)]
    most = tf.reduce_sum(asks) if predictions is None else tf.constant(predictions)
    places = _first_fit(tf.gather(keys, order), width, length, most, sequences)

    height = tf.reduce_max(tf.concat([places.row + 1, [0]], axis=0))
    if rows is not None:
        full = f"The batch does not fit into {rows} rows. Raise rows, or hand in fewer sequences."
        with tf.control_dependencies([_at_most(height, rows, full)]):
            height = tf.constant(rows)
    own = tf.gather(asks, order)  # [n]
    depth = tf.reduce_max(tf.concat([places.asked + own, [0]], axis=0)) if predictions is None else most

    # Each token with its sequence's number: of [n,T] to [R,L].
    i, column = tf.unstack(tf.where(tf.gather(real, order)), axis=1)  # [N] each
    i, column = tf.cast(i, tf.int32), tf.cast(column, tf.int32)
    source = tf.stack([tf.gather(order, i), column], axis=1)
    values = [tf.gather_nd(ids, source), tf.gather(places.number + 1, i), tf.gather_nd(types, source)]
    cells = tf.gather(places.row * length + places.token, i) + column
    packed = tf.reshape(_scattered(cells, tf.stack(values, axis=1), height * length), [height, length, 3])

    # Each place asked about: of [n,M] to [R,P].
    chosen = tf.gather(asked, order)
    i, column = tf.unstack(tf.cast(tf.where(chosen), tf.int32), axis=1)
    source = tf.stack([tf.gather(order, i), column], axis=1)
    rank = tf.boolean_mask(tf.cumsum(tf.cast(chosen, tf.int32), axis=1), chosen) - 1
    cells = tf.gather(places.row * depth + places.asked, i) + rank
    moved = tf.gather_nd(positions, source) + tf.gather(places.token, i)
    told = tf.reshape(_scattered(cells, tf.gather_nd(masked, source), height * depth), [height, depth, 2])

    found = (*tf.unstack(packed, axis=2), tf.reshape(_scattered(cells, moved, height * depth), [height, depth]))
    shapes = (*[[rows, length]] * 3, [rows, predictions])
    out = {name: tf.ensure_shape(x, shape) for name, x, shape in zip(FEATURES, found, shapes, strict=True)}
    told = tf.ensure_shape(told, [rows, predictions, 2])
    if not several:
        return out, told
    labels = tf.gather(tf.cast(targets["next_sentence"], tf.int32), order)
    cells = places.row * sequences + places.number
    follows = tf.reshape(_scattered(cells, labels - _NONE, height * sequences), [height, sequences]) + _NONE
    return out, {"masked_lm": told, "next_sentence": tf.ensure_shape(follows, [rows, sequences])}


def _first_fit(keys: tf.Tensor, width: tf.Tensor, length: int, most: tf.Tensor, sequences: int) -> _Places:
    """Give each sequence the first row with room for it; `keys` int32 [n] are tokens · `width` + places, falling.

    Sequences with the same key are alike, so they are dealt out in one step, row by row as many as fit: that is
    first-fit, in as many steps as there are different keys.
    """
    kinds, _, counts = tf.unique_with_counts(keys)
    # A first step that deals out nothing, since a scan of no steps has no result.
    kinds, counts = tf.concat([[width], kinds], axis=0), tf.concat([[0], counts], axis=0)  # [K]
    n = tf.size(keys)  # as many rows are enough

    def step(left: Any, kind: Any) -> Any:
        room, free, seats = left  # tokens, places and sequences that each row has room for: int32 [n]
        size, asks, count = kind
        fits = tf.minimum(tf.minimum(room // size, seats), tf.where(asks > 0, free // tf.maximum(asks, 1), seats))
        taken = tf.minimum(tf.maximum(count - tf.cumsum(fits, exclusive=True), 0), fits)
        return room - taken * size, free - taken * asks, seats - taken

    start = tuple(tf.fill([n], size) for size in (length, most, sequences))
    after = tf.scan(step, (kinds // width, kinds % width, counts), initializer=start)  # [K,n] each
    before = [tf.concat([first[None], each[:-1]], axis=0) for first, each in zip(start, after, strict=True)]
    taken = tf.reshape(before[2] - after[2], [-1])  # [K·n], in the order in which sequences were dealt out
    slot = tf.repeat(tf.range(tf.size(taken)), taken)  # [n], where each sequence was counted
    rank = tf.range(n) - tf.gather(tf.cumsum(taken, exclusive=True), slot)  # among those counted there
    room, free, seats = (tf.gather(tf.reshape(each, [-1]), slot) for each in before)
    return _Places(
        row=slot % tf.maximum(n, 1),
        number=sequences - seats + rank,
        token=length - room + rank * (keys // width),
        asked=most - free + rank * (keys % width),
    )


def _scattered(cells: tf.Tensor, values: tf.Tensor, size: Any) -> tf.Tensor:
    """Write values [N,...] into cells of a list of `size`, 0 elsewhere."""
    shape = tf.concat([tf.reshape(size, [1]), tf.shape(values)[1:]], axis=0)
    return tf.scatter_nd(cells[:, None], values, shape)


def _at_most(values: tf.Tensor, limit: int, message: str) -> tf.Operation:
    return tf.debugging.assert_less_equal(values, limit, message=message)


def _check(features: Mapping[str, Any], targets: Any, sizes: Mapping[str, int | None], sequences: int) -> None:
    for name, size in sizes.items():
        if size is not None and size < 1:
            raise ConfigError(f"pack_sequences: {name} is {size}, it must be at least 1.")
    if sequences < 2:
        raise ConfigError(f"pack_sequences: sequences is {sequences}, packing puts 2 or more into a row.")
    if set(features) != set(FEATURES):
        raise DataError(
            f"pack_sequences packs the features {', '.join(FEATURES)}; it got {', '.join(sorted(features)) or 'none'}."
        )
    if isinstance(targets, Mapping) and set(targets) != {"masked_lm", "next_sentence"}:
        raise DataError(
            f"pack_sequences packs the targets masked_lm and next_sentence; it got {', '.join(sorted(targets))}."
        )
