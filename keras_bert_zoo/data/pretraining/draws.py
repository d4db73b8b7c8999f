"""Random numbers that are functions of what they are for: no stream, so neither order nor company matters.

A key is uint64, one for each thing to be decided; a purpose is a small number; each pair has one number of its own.
Source: Steele et al. 2014, "Fast splittable pseudorandom number generators", SplitMix64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_WORD = 64  # bits
_ALL = 2**_WORD - 1
_GOLDEN = 0x9E3779B97F4A7C15
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)

# What a number is drawn for.
SHORT, TARGET, SPLIT, NEXT, DOCUMENT, START, FRONT_A, FRONT_B, PLACES, KIND, TOKEN, SIZES = range(1, 13)


def mix(x: np.ndarray) -> np.ndarray:
    """Return a well mixed uint64 for each uint64, one to one."""
    x = x + np.uint64(_GOLDEN)
    x ^= x >> np.uint64(30)
    x *= _FIRST
    x ^= x >> np.uint64(27)
    x *= _SECOND
    x ^= x >> np.uint64(31)
    return x


def keys(seed: int, numbers: np.ndarray) -> np.ndarray:
    """Return a key for each number, int64 [N] -> uint64 [N]; different numbers have different keys."""
    return mix(mix(np.array([seed & _ALL], np.uint64)) ^ numbers.astype(np.uint64))


def sub_keys(key: np.ndarray, purpose: int) -> np.ndarray:
    """Return a key for each key and purpose: from it come as many numbers as a purpose needs, see `cells`."""
    return mix(key + np.uint64(purpose * _GOLDEN & _ALL))


def cells(key: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return uint64 bits for a key's cells; both broadcast."""
    return mix(key + numbers.astype(np.uint64) * np.uint64(_GOLDEN))


def as_uniform(bits: np.ndarray) -> np.ndarray:
    """Turn bits into float64 from 0 up to 1."""
    return (bits >> np.uint64(11)) * 2.0**-53


def uniform(key: np.ndarray, purpose: int) -> np.ndarray:
    """Return float64 from 0 up to 1 for each key."""
    return as_uniform(sub_keys(key, purpose))


def below(key: np.ndarray, purpose: int, limit: Any) -> np.ndarray:
    """Return int64 from 0 to limit - 1 for each key, all as likely."""
    return (uniform(key, purpose) * limit).astype(np.int64)


def coins(key: np.ndarray, purpose: int, counts: np.ndarray) -> np.ndarray:
    """Toss `counts` fair coins for each key and count the heads: int64 [N] -> int64 [N]."""
    words = -(-counts // _WORD)  # of 64 coins each
    found = np.zeros(len(counts), np.int64)
    some = np.flatnonzero(words)
    if len(some) == 0:
        return found
    owner = np.repeat(some, words[some])
    starts = np.cumsum(words[some]) - words[some]
    number = np.arange(len(owner)) - np.repeat(starts, words[some])
    bits = cells(sub_keys(key, purpose)[owner], number)
    left = counts[owner] - number * _WORD  # coins in this word and those after
    bits >>= np.maximum(_WORD - left, 0).astype(np.uint64)
    found[some] = np.add.reduceat(np.bitwise_count(bits).astype(np.int64), starts)
    return found
