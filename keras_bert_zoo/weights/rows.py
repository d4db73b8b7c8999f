"""The words a weight format's table is written in.

One table says where every weight of ours lives in the other format; reading and writing are both derived from it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Op:
    """A change of layout that loses nothing: `ours` and `theirs` undo each other."""

    name: str
    ours: Callable[[np.ndarray], np.ndarray]
    theirs: Callable[[np.ndarray], np.ndarray]

    def their_shape(self, shape: Shape) -> Shape:
        """Return the shape that an array of ours has over there; no memory is taken."""
        return self.theirs(np.broadcast_to(np.int8(0), shape)).shape


IDENTITY = Op("identity", lambda x: x, lambda x: x)
TRANSPOSE = Op("transpose", np.transpose, np.transpose)  # [in,out] <-> [out,in]


def split_heads(heads: int) -> Op:
    """Return the op between what goes into attention heads side by side and apart: [..,H*S] <-> [..,H,S]."""
    return Op(
        "split_heads",
        lambda x: x.reshape(*x.shape[:-2], x.shape[-2] * x.shape[-1]),
        lambda x: x.reshape(*x.shape[:-1], heads, x.shape[-1] // heads),
    )


def split_heads_in(heads: int) -> Op:
    """Return the op between what comes out of attention heads side by side and apart: [H*S,D] <-> [H,S,D]."""
    return Op(
        "split_heads_in",
        lambda x: x.reshape(x.shape[0] * x.shape[1], x.shape[2]),
        lambda x: x.reshape(heads, x.shape[0] // heads, x.shape[1]),
    )


@dataclasses.dataclass(frozen=True)
class Row:
    """One weight: the path of our variable, the name of their tensor, and the op between them.

    `{i}` in both names stands for each layer of the model, from 0; `{_i}` in theirs for nothing, `_1`, `_2`, ...
    """

    ours: str
    theirs: str
    op: Op = IDENTITY


def dense_rows(ours: str, theirs: str, kernel: Op = IDENTITY, bias: Op = IDENTITY) -> tuple[Row, Row]:
    """Return the rows of a dense layer that calls its weights as Keras does."""
    return Row(f"{ours}/kernel", f"{theirs}/kernel", kernel), Row(f"{ours}/bias", f"{theirs}/bias", bias)


def norm_rows(ours: str, theirs: str) -> tuple[Row, Row]:
    """Return the rows of a layer norm that calls its weights as Keras does."""
    return Row(f"{ours}/gamma", f"{theirs}/gamma"), Row(f"{ours}/beta", f"{theirs}/beta")


@dataclasses.dataclass(frozen=True)
class Constant:
    """A tensor of theirs that every file may carry with one known value: it is checked, never loaded or written.

    `values` makes the value from the shapes of our variables, by path.
    """

    theirs: str
    values: Callable[[Mapping[str, Shape]], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Tied:
    """A tensor of theirs that repeats another, `source`: older files carry it; it is checked, never loaded or written.

    Source: transformers, `_tied_weights_keys`: what is tied is written once.
    """

    theirs: str
    source: str


@dataclasses.dataclass(frozen=True)
class Spare:
    """A tensor of theirs that files of this class may carry though the class has no use for it: left where it is."""

    theirs: str


AnyRow: TypeAlias = Row | Constant | Tied | Spare


class Pair(NamedTuple):
    """A row with its `{i}` filled in."""

    ours: str
    theirs: str
    op: Op


def expand(rows: Iterable[AnyRow], paths: Iterable[str]) -> list[Pair]:
    """Return one pair for each variable path that a row of the table names; only a `Row` names any."""
    known = set(paths)
    pairs = []
    for row in rows:
        if not isinstance(row, Row):
            continue
        layers = range(len(known)) if "{i}" in row.ours else [0]  # no model has more layers than weights
        for i in layers:
            theirs = row.theirs.replace("{i}", str(i)).replace("{_i}", f"_{i}" if i else "")
            pair = Pair(row.ours.replace("{i}", str(i)), theirs, row.op)
            if pair.ours in known:
                pairs.append(pair)
    return pairs
