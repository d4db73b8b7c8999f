"""How tokens lie in memory.  B batch, T tokens a row, N tokens in all, D hidden size, H heads, d = D/H.

Everything but attention treats each token alone, so blocks work on a plain list of tokens [N,D]; attention
alone needs rows.  A layout says which tokens are listed and how attention finds its rows:

- `padded` lists the padding too (N = B·T).  All rows attend together, by reshapes; every shape can be static, so it
  suits XLA, TPU and JAX.
- `packed` lists the real tokens alone (and the last one again, up to a round number), so that dense layers,
  activations and norms cost what the text costs.  Rows of like length attend together, in `GROUPS` groups as long as
  their own longest row, so that attention costs nearly that too.  Tokens are looked up by number; N changes with every
  batch: for TensorFlow's graphs.

With several sequences in a row, Q in all, S at most in one, the mask tells them apart: k = 1, 2, ... for the tokens of
the row's k-th sequence, side by side, and 0 for padding.  A token then attends to its own sequence alone, and positions
begin anew with each.  `padded` hides all else by a bias a pair of tokens; to `packed` each sequence is a row.

A grid travels through the model as a dict of tensors, made once a batch by the layer `Grid`:

    mask    int32 [B,T]     1 for a real token
    cells   int32 [N]       the cell of [B,T] each token lies in
    tokens  int32 [B·T]     the token to look up for each cell
    groups  of rows that attend together: `tokens` int32 [b,t], the token to look up for each place, and `bias`
            [b,1,1,t], or [B,1,T,T] with several sequences in a padded row, what attention adds to the scores
    places  int32 [N,3]     where attention leaves each token: places before its row, place in the row, the row's t
    firsts  int32 [B,S]     with several sequences: the place in the row where each begins, 0 for one that is not there
    positions  int32 [B,T]  with several sequences in a padded row: each token's place in its own

In a padded grid of one sequence a row all but the mask and the first group's bias are empty, [0]: by that the same
layers work with either layout, and one model can be laid out as the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.layers.kernels import take

LAYOUTS = ("padded", "packed")
GROUPS = 3  # rows longer than a half of the longest, than a quarter, the rest; measured, benchmarks/RESULTS.md
# N is rounded up to a multiple of 8, from 64 on of 32: processors prepare a product anew for each N they have not seen.
STEP = 8
# Large enough that exp() of it is exactly 0, small enough for float16 after adding a score.
_MASKED = {"float16": -3e4}
_MASKED_DEFAULT = -1e9


def make_grid(mask: Any, dtype: str, layout: str = "padded", sequences: int = 1) -> dict[str, Any]:
    """Return the grid of a mask: int [B,T], 1 for a real token, or the number of its sequence if there are several."""
    if layout == "packed":
        return _packed_grid(mask, dtype, sequences)
    empty = ops.zeros((0,), "int32")
    positions = firsts = empty
    if sequences == 1:
        bias = ops.expand_dims(_bias(ops.equal(mask, 0), dtype), (1, 2))  # [B,1,1,T]
    else:
        other = ops.not_equal(ops.expand_dims(mask, 2), ops.expand_dims(mask, 1))  # [B,T,T]
        bias = ops.expand_dims(_bias(other, dtype), 1)  # [B,1,T,T]
        place = ops.arange(ops.shape(mask)[1], dtype="int32")  # [T]
        earlier = ops.less(place, ops.expand_dims(place, 1))  # [T,T]
        positions = ops.sum(ops.cast(ops.logical_and(earlier, ops.logical_not(other)), "int32"), axis=2)  # [B,T]
        firsts, mask = _firsts_of(mask, sequences), ops.minimum(mask, 1)
    unused = {"tokens": empty, "bias": ops.zeros((0,), dtype)}
    groups = [{"tokens": empty, "bias": bias}, *[unused] * (GROUPS - 1)]
    rest = {"cells": empty, "tokens": empty, "places": empty, "firsts": firsts, "positions": positions}
    return {"mask": mask, "groups": groups, **rest}


def _firsts_of(mask: Any, sequences: int) -> Any:
    """Return where each sequence of a row begins, 0 for one that is not there: [B,T] -> [B,S]."""
    numbers = ops.expand_dims(ops.arange(1, sequences + 1, dtype="int32"), 1)  # [S,1]
    there = ops.equal(ops.expand_dims(mask, 1), numbers)  # [B,S,T]
    return ops.cast(ops.argmax(ops.cast(there, "int32"), axis=-1), "int32")


def _packed_grid(mask: Any, dtype: str, sequences: int) -> dict[str, Any]:
    time = ops.shape(mask)[1]
    real = ops.cast(ops.not_equal(mask, 0), "int32")  # [B,T]
    # The first token of a row without any is listed all the same, so that there is something to look up.
    first = ops.cast(ops.equal(ops.arange(time), 0), "int32")  # [T]
    real = ops.maximum(real, first * ops.cast(ops.equal(ops.sum(real, axis=1, keepdims=True), 0), "int32"))
    listed = ops.reshape(real, (-1,))  # [B·T]
    cells = ops.cast(ops.nonzero(listed)[0], "int32")  # the real tokens'
    last = ops.shape(cells)[0] - 1
    numbers = ops.minimum(ops.arange(_rounded(last + 1), dtype="int32"), last)  # [N]: the last token fills up
    cells = take(cells, numbers)  # [N]
    upto = ops.cumsum(listed)  # [B·T]
    if sequences == 1:
        lengths = ops.sum(real, axis=1)  # [B]
        starts = ops.cumsum(lengths) - lengths  # [B], the number of a row's first token
    else:  # from here on a row is a sequence, and B is Q
        previous = ops.pad(mask[:, :-1], ((0, 0), (1, 0)), constant_values=-1)  # [B,T]
        begins = ops.reshape(real * ops.cast(ops.not_equal(mask, previous), "int32"), (-1,))  # [B·T]
        starts = take(upto, ops.cast(ops.nonzero(begins)[0], "int32")) - 1  # [Q]
        lengths = ops.concatenate([starts[1:], ops.reshape(last + 1, (1,))], axis=0) - starts  # [Q]

    groups, before, width = [], ops.zeros_like(lengths), ops.zeros_like(lengths)
    taken: Any = 0  # places in the groups so far
    high = ops.max(lengths, initial=0)
    for number in range(GROUPS):
        low = high // 2 if number < GROUPS - 1 else -1
        inside = ops.logical_and(ops.greater(lengths, low), ops.less_equal(lengths, high))  # [B]
        rows = ops.cast(ops.nonzero(inside)[0], "int32")  # [b]
        own = ops.expand_dims(take(lengths, rows), 1)  # [b,1]
        longest = ops.max(own, initial=0)  # t
        place = ops.arange(longest, dtype="int32")  # [t]
        tokens = ops.minimum(ops.expand_dims(take(starts, rows), 1) + place, last)  # [b,t]; padding: some token
        bias = _bias(ops.greater_equal(place, own), dtype)  # [b,t]
        groups.append({"tokens": tokens, "bias": ops.expand_dims(bias, (1, 2))})
        member = ops.cast(inside, "int32")  # [B]
        before = before + member * (taken + (ops.cumsum(member) - 1) * longest)
        width = width + member * longest
        taken = taken + ops.shape(rows)[0] * longest
        high = low
    row = cells // time if sequences == 1 else take(ops.cumsum(begins) - 1, cells)  # [N]
    in_row = numbers - take(starts, row)  # [N]
    places = ops.stack([take(before, row), in_row, take(width, row)], axis=1)  # [N,3]
    empty = ops.zeros((0,), "int32")
    firsts, mask = (empty, mask) if sequences == 1 else (_firsts_of(mask, sequences), ops.minimum(mask, 1))
    rest = {"tokens": ops.maximum(upto - 1, 0), "places": places, "firsts": firsts, "positions": empty}
    return {"mask": mask, "cells": cells, "groups": groups, **rest}


def _rounded(count: Any) -> Any:
    """Return how many tokens are listed for so many real ones: few different numbers, hardly more tokens."""
    step = ops.where(ops.less(count, STEP * STEP), STEP, STEP * 4)
    return -(-count // step) * step


def _bias(hidden: Any, dtype: str) -> Any:
    return ops.cast(hidden, dtype) * ops.cast(_MASKED.get(dtype, _MASKED_DEFAULT), dtype)


def is_packed(grid: dict[str, Any]) -> bool:
    """Tell whether only real tokens are listed."""
    return len(grid["places"].shape) == 2


def has_sequences(grid: dict[str, Any]) -> bool:
    """Tell whether a row may hold several sequences."""
    return len(grid["firsts"].shape) == 2


def positions_of(grid: dict[str, Any], like: Any) -> Any:
    """Return each token's position in its sequence, int32 [N]; `like` is anything [B,T]."""
    if has_sequences(grid):
        return grid["places"][:, 1] if is_packed(grid) else ops.reshape(grid["positions"], (-1,))
    places = ops.broadcast_to(ops.arange(ops.shape(like)[1], dtype="int32"), ops.shape(like))  # [B,T]
    return to_tokens(places, grid)


def take_places(x: Any, places: Any) -> Any:
    """Take the vectors at some places of each row: [B,T,D], int [B,M] -> [B,M,D]."""
    batch, time, size = ops.shape(x)
    rows = ops.expand_dims(ops.arange(batch, dtype="int32") * time, 1)  # [B,1], where each begins
    return take(ops.reshape(x, (-1, size)), rows + places)


def to_tokens(x: Any, grid: dict[str, Any]) -> Any:
    """List the tokens of a grid: [B,T] -> [N]."""
    x = ops.reshape(x, (-1,))
    return take(x, grid["cells"]) if is_packed(grid) else x


def to_grid(x: Any, grid: dict[str, Any]) -> Any:
    """Put tokens back on the grid: [N,D] -> [B,T,D]; packed, the padding is 0."""
    batch, time = ops.shape(grid["mask"])
    if not is_packed(grid):
        return ops.reshape(x, (batch, time, x.shape[-1]))
    rows = ops.reshape(take(x, grid["tokens"]), (batch, time, x.shape[-1]))
    return rows * ops.cast(ops.expand_dims(grid["mask"], -1), rows.dtype)


def row_groups(grid: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the groups of rows that attend together; padded, it is one."""
    return [group for group in grid["groups"] if len(group["bias"].shape) > 1]


def to_heads(x: Any, grid: dict[str, Any], group: dict[str, Any], heads: int, parts: int = 1) -> list[Any]:
    """Give each head the rows of a group: [N,parts·D] -> one [b,H,t,d] a part.

    Parts come to lie one after the other: to take them apart then copies nothing.
    """
    size = x.shape[-1] // (parts * heads)
    if is_packed(grid):
        numbers = ops.reshape(ops.arange(parts * heads, dtype="int32"), (parts, 1, heads, 1))
        pieces = ops.expand_dims(group["tokens"], 1) * (parts * heads) + numbers  # [parts,b,H,t] of N·parts·H
        rows = take(ops.reshape(x, (-1, size)), pieces)
    else:
        batch, time = ops.shape(grid["mask"])
        rows = ops.transpose(ops.reshape(x, (batch, time, parts, heads, size)), (2, 0, 3, 1, 4))
    return ops.unstack(rows, parts, axis=0)


def from_heads(rows: Sequence[Any], grid: dict[str, Any]) -> Any:
    """List the tokens again: one [b,H,t,d] a group -> [N,D]."""
    _, heads, _, size = rows[0].shape
    if not is_packed(grid):
        return ops.reshape(ops.transpose(rows[0], (0, 2, 1, 3)), (-1, heads * size))
    before, in_row, width = (grid["places"][:, i : i + 1] for i in range(3))  # [N,1] each
    pieces = before * heads + in_row + width * ops.arange(heads, dtype="int32")  # [N,H]
    x = ops.concatenate([ops.reshape(each, (-1, size)) for each in rows], axis=0)
    return ops.reshape(take(x, pieces), (-1, heads * size))


def first_tokens(x: Any, grid: dict[str, Any]) -> Any:
    """Take the first token of every row, group by group: [N,D] -> [B,D]."""
    if not is_packed(grid):
        return to_grid(x, grid)[:, 0]
    return take(x, _firsts(grid))


def in_batch_order(x: Any, grid: dict[str, Any]) -> Any:
    """Put rows that lie group by group back in the order of the batch: [B,D] -> [B,D]."""
    return take(x, ops.argsort(_firsts(grid))) if is_packed(grid) else x


def _firsts(grid: dict[str, Any]) -> Any:
    return ops.concatenate([ops.reshape(group["tokens"][:, :1], (-1,)) for group in grid["groups"]])  # [B]


@keras.saving.register_keras_serializable("keras_bert_zoo")
class Grid(keras.layers.Layer):
    """Prepares, once a batch, what the layers need to know about the mask: int [B,T] -> grid.

    `sequences` is the most sequences of a row that are told apart; with 1 the mask only parts tokens from padding.
    Raises: ConfigError on an unknown layout, on less than one sequence, and where JAX is to pack.
    """

    def __init__(self, layout: str = "padded", sequences: int = 1, **kwargs: Any) -> None:
        if layout not in LAYOUTS:
            raise ConfigError(f"layout is {layout!r}, it must be one of {', '.join(LAYOUTS)}.")
        if layout == "packed" and keras.backend.backend() == "jax":
            raise ConfigError(
                "layout 'packed' needs shapes that change with the batch, which JAX has not: use 'padded'."
            )
        if sequences < 1:
            raise ConfigError(f"sequences is {sequences}, a row has room for at least 1.")
        super().__init__(**kwargs)
        self.layout = layout
        self.sequences = sequences

    def call(self, mask: Any) -> dict[str, Any]:
        return make_grid(mask, self.compute_dtype, self.layout, self.sequences)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "layout": self.layout, "sequences": self.sequences}


@keras.saving.register_keras_serializable("keras_bert_zoo")
class ToGrid(keras.layers.Layer):
    """Puts a list of tokens back into rows: ([N,D], grid) -> [B,T,D]; packed, the padding is 0."""

    def call(self, x: Any, grid: dict[str, Any]) -> Any:
        return to_grid(x, grid)
