"""Whole words and n-grams of them, chosen at random until enough tokens are.  N rows, T tokens, W words a row."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from keras_bert_zoo.data.pretraining.draws import PLACES, SIZES, as_uniform, cells, sub_keys
from keras_bert_zoo.data.pretraining.rows import Layout

Chosen = tuple[np.ndarray, np.ndarray | None]  # bool [N,T]; the cell that begins each chosen cell's n-gram, [N,T]


class Words(NamedTuple):
    """The words of rows, W at most."""

    of: np.ndarray  # int64 [N,T], number of each cell's word; W where it has none
    begin: np.ndarray  # int64 [N,W+1], first cell of each word
    size: np.ndarray  # int64 [N,W+1], tokens; 0 where a row has fewer words
    segment: np.ndarray  # int64 [N,W+1], 0 or 1
    counts: np.ndarray  # int64 [N]


def words_of(cells_of: Layout, glued: np.ndarray) -> Words:
    """Find words: a piece that is glued belongs to the one before it, unless a segment begins with it."""
    candidates = cells_of.first | cells_of.second
    begins = candidates & ~(glued & np.pad(candidates, ((0, 0), (1, 0)))[:, :-1])
    counts = begins.sum(axis=1)
    most = int(counts.max(initial=0))
    of = np.where(candidates, np.cumsum(begins, axis=1) - 1, most)
    shape = (len(of), most + 1)
    flat = (of + np.arange(len(of))[:, None] * shape[1])[candidates]
    size = np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape)
    begin, segment = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    row, cell = np.nonzero(begins)
    begin[row, of[row, cell]] = cell
    segment[row, of[row, cell]] = cells_of.second[row, cell]
    return Words(of, begin, size, segment, counts)


def choose_words(
    key: np.ndarray, ids: np.ndarray, cells_of: Layout, glued: np.ndarray, wanted: np.ndarray, ngram: int
) -> Chosen:
    """Choose words in a random order; one that does not fit any more is passed over."""
    words = words_of(cells_of, glued)
    number = np.arange(words.size.shape[1])[None, :]
    order = as_uniform(cells(sub_keys(key, PLACES)[:, None], number))
    order = np.argsort(np.where(words.size > 0, order, 2.0), axis=1)  # [N,W+1]
    sizes = np.take_along_axis(words.size, order, axis=1)
    left = wanted.copy()
    taken = np.zeros(sizes.shape, bool)  # by number of word
    rows = np.arange(len(left))
    for step in range(sizes.shape[1]):
        size = sizes[:, step]
        fits = (size > 0) & (size <= left)
        left -= np.where(fits, size, 0)
        taken[rows[fits], order[fits, step]] = True
        if not left.any():
            break
    return np.take_along_axis(taken, words.of, axis=1), None


def choose_ngrams(
    key: np.ndarray, ids: np.ndarray, cells_of: Layout, glued: np.ndarray, wanted: np.ndarray, ngram: int
) -> Chosen:
    """Choose runs of up to `ngram` words of one segment; a run of n words is 1/n as likely as one word.

    At each step a size is drawn, and the next run of that size in a random order is taken, unless it overlaps with
    those before or has too many tokens.  A size that cannot fit any more is given up.
    """
    words = words_of(cells_of, glued)
    count, width = words.size.shape
    sizes = np.arange(1, ngram + 1)
    before = np.concatenate([np.zeros((count, 1), np.int64), np.cumsum(words.size, axis=1)], axis=1)  # [N,W+2]
    orders, left_of = _orders(key, words, sizes)  # [N,G,W+1], [N,G]
    total = np.cumsum(1 / sizes)
    draw_key = sub_keys(key, SIZES)
    left = wanted.copy()
    next_of = np.zeros((count, ngram), np.int64)
    taken = np.zeros((count, width), bool)
    head = np.zeros((count, width), np.int64)  # the word that begins each taken word's run
    going = np.arange(count)
    step = 0
    while len(going):
        drawn = as_uniform(cells(draw_key[going], np.array([step]))) * total[-1]
        pick = np.searchsorted(total, drawn, side="right")
        size = pick + 1
        too_long = size > left[going]
        left_of[going[too_long], pick[too_long]] = 0
        usable = ~too_long & (next_of[going, pick] < left_of[going, pick])
        row, which, size = going[usable], pick[usable], size[usable]
        word = orders[row, which, next_of[row, which]]
        next_of[row, which] += 1
        tokens = before[row, word + size] - before[row, word]
        fits = tokens <= left[row]
        for offset in range(ngram):
            inside = offset < size
            fits &= ~(inside & taken[row, np.where(inside, word + offset, 0)])
        row, word, size = row[fits], word[fits], size[fits]
        left[row] -= tokens[fits]
        for offset in range(ngram):
            inside = offset < size
            taken[row[inside], word[inside] + offset] = True
            head[row[inside], word[inside] + offset] = word[inside]
        going = going[(left[going] > 0) & (next_of[going] < left_of[going]).any(axis=1)]
        step += 1
    chosen = np.take_along_axis(taken, words.of, axis=1)
    return chosen, np.take_along_axis(words.begin, np.take_along_axis(head, words.of, axis=1), axis=1)


def _orders(key: np.ndarray, words: Words, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the words that begin a run of each size, in a random order int64 [N,G,W+1], and how many, int64 [N,G]."""
    width = words.size.shape[1]
    number = np.arange(width)
    orders, counts = [], []
    for size in sizes:
        end = np.minimum(number + size - 1, width - 1)
        whole = (number + size - 1)[None, :] < words.counts[:, None]
        whole &= words.segment == words.segment[:, end]
        drawn = as_uniform(cells(sub_keys(key, PLACES)[:, None], size * 2**16 + number[None, :]))
        orders.append(np.argsort(np.where(whole, drawn, 2.0), axis=1))
        counts.append(whole.sum(axis=1))
    return np.stack(orders, axis=1), np.stack(counts, axis=1)
