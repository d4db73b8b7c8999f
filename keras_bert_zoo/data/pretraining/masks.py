"""Masks that are drawn once and stored.  N rows, T tokens a row, M places a row.

Source: google-research/bert create_pretraining_data.py create_masked_lm_predictions; for n-grams Model Garden's script
of the same name.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from keras_bert_zoo.data.pretraining.draws import KIND, PLACES, TOKEN, as_uniform, cells, sub_keys
from keras_bert_zoo.data.pretraining.rows import Layout
from keras_bert_zoo.data.pretraining.settings import Plan
from keras_bert_zoo.data.pretraining.words import choose_ngrams, choose_words

_MASKED, _MASKED_OR_RANDOM = 0.8, 0.9  # shares: 80 % [MASK], 10 % any token, 10 % as it was
_CELL = np.uint64(0xFFFF)  # the low bits of a sorted number, which tell its cell
_NONE = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


class Masked(NamedTuple):
    """Rows with masks in them, and what stood there: places are in ascending order, the rest of a row is 0."""

    ids: np.ndarray  # int [N,T]
    positions: np.ndarray  # int64 [N,M]
    labels: np.ndarray  # int64 [N,M], the ids that stood there
    counts: np.ndarray  # int64 [N], places that are used


def draw_masks(key: np.ndarray, ids: np.ndarray, cells_of: Layout, glued: np.ndarray, plan: Plan) -> Masked:
    """Mask a share of each row's tokens, uint64 [N] and int [N,T]; `glued` bool [V] tells ids that begin with ##."""
    settings = plan.settings
    candidates = cells_of.first | cells_of.second
    free = candidates.sum(axis=1)
    length = free + settings.special
    # np.rint, as Python's round, takes a half to the even side.
    wanted = np.clip(np.rint(length * settings.mask_share).astype(np.int64), 1, settings.places)
    wanted = np.minimum(wanted, free)
    if settings.whole_words:
        choose = choose_words if settings.max_ngram == 1 else choose_ngrams
        chosen, owner = choose(key, ids, cells_of, glued[ids], wanted, settings.max_ngram)
        positions = _listed(chosen, settings.places)
    else:
        positions, owner = _choose_pieces(key, candidates, wanted, settings.places), None
    real = positions < ids.shape[1]
    positions = np.where(real, positions, 0)
    labels = np.where(real, np.take_along_axis(ids, positions, axis=1), 0)

    # What becomes of an n-gram is drawn once for all of it; else each piece is by itself.
    kind_of = positions if owner is None else np.take_along_axis(owner, positions, axis=1)
    kind = as_uniform(cells(sub_keys(key, KIND)[:, None], kind_of))
    token = as_uniform(cells(sub_keys(key, TOKEN)[:, None], positions)) * plan.vocab_size
    other = np.where(kind < _MASKED, plan.mask_id, np.where(kind < _MASKED_OR_RANDOM, token.astype(np.int64), labels))
    masked = ids.copy()
    row, place = np.nonzero(real)
    masked[row, positions[row, place]] = other[row, place]
    return Masked(masked, positions, labels.astype(np.int64), real.sum(axis=1))


def _choose_pieces(key: np.ndarray, candidates: np.ndarray, wanted: np.ndarray, places: int) -> np.ndarray:
    """Choose cells of bool [N,T], any as likely: int64 [N,M], ascending, at the end numbers that no cell has."""
    cell = np.arange(candidates.shape[1])
    order = cells(sub_keys(key, PLACES)[:, None], cell[None, :])
    # With its cell in the low bits a number tells where it comes from, so that sorting is enough.
    order = np.where(candidates, (order & ~_CELL) | cell.astype(np.uint64), _NONE)
    order.sort(axis=1)
    first = order[:, :places] & _CELL
    first[np.arange(first.shape[1])[None, :] >= wanted[:, None]] = _CELL
    first.sort(axis=1)
    if first.shape[1] < places:
        first = np.pad(first, ((0, 0), (0, places - first.shape[1])), constant_values=_CELL)
    return first.astype(np.int64)


def _listed(chosen: np.ndarray, places: int) -> np.ndarray:
    """List the cells of bool [N,T]: int64 [N,M], ascending, at the end numbers that no cell has."""
    row, cell = np.nonzero(chosen)
    counts = np.bincount(row, minlength=len(chosen))
    starts = np.cumsum(counts) - counts
    listed = np.full((len(chosen), places), int(_CELL), np.int64)
    listed[row, np.arange(len(row)) - starts[row]] = cell
    return listed
