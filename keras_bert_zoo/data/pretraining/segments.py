"""Segment pairs of documents.

D documents, S sentences, N instances.  A sentence is a run of tokens; `ends` tells the tokens before each sentence.
Source: google-research/bert create_pretraining_data.py create_instances_from_document, truncate_seq_pair.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_bert_zoo.data.pretraining.draws import (
    DOCUMENT,
    FRONT_A,
    FRONT_B,
    NEXT,
    SHORT,
    SPLIT,
    START,
    TARGET,
    below,
    coins,
    keys,
    uniform,
)
from keras_bert_zoo.data.pretraining.settings import Plan

_STEPS = 256  # after so many, what was found is handed out: one document may be of any length


class Block(NamedTuple):
    """Documents next to one another in memory."""

    numbers: np.ndarray  # int64 [D], each document's number in the corpus
    firsts: np.ndarray  # int64 [D], the number in the corpus of each document's first sentence
    bounds: np.ndarray  # int64 [D+1], each document's sentences in `ends`
    ends: np.ndarray  # int64 [S+1], tokens before each sentence, from any offset


class Instances(NamedTuple):
    """Where instances lie; all [N]."""

    keys: np.ndarray  # uint64, all different
    document: np.ndarray  # int64, number of the document in the corpus
    first: np.ndarray  # int64, offset of the first segment's tokens
    first_size: np.ndarray  # int64
    second: np.ndarray  # int64, the segment that follows, whether it is used or not
    second_size: np.ndarray  # int64
    random: np.ndarray  # bool, the second segment is to come from another document
    wanted: np.ndarray  # int64, tokens that such a segment is to reach


def instances(block: Block, plan: Plan, copies: Sequence[int]) -> Iterator[Instances]:
    """Cut the documents of a block into instances, all documents and copies side by side, a chunk at each step.

    A chunk is sentences up to the target length; a random number of them is the first segment.  Where the second
    comes from elsewhere, the chunk's other sentences begin the next chunk.
    """
    settings = plan.settings
    count = len(block.numbers)
    lanes = np.tile(np.arange(count), len(copies))
    shift = block.firsts - block.bounds[:-1]  # from a sentence's place in the block to its number
    # A number that no other chunk has: it tells the copy and the sentence that the chunk begins with.
    shift = np.repeat(np.asarray(copies, np.int64) * plan.sentences, count) + shift[lanes]
    here, stop = block.bounds[lanes], block.bounds[lanes + 1]
    document = block.numbers[lanes]
    own = keys(settings.seed, here + shift)
    short = uniform(own, SHORT) < settings.short_share
    target = np.where(short, 2 + below(own, TARGET, settings.room - 1), settings.room)
    paired = settings.pairs == "next_sentence"
    ends = block.ends
    found: list[tuple[Any, ...]] = []
    while len(here):
        end = np.minimum(np.searchsorted(ends, ends[here] + target), stop)
        key = keys(settings.seed, here + shift)
        size = end - here
        if paired:
            middle = here + 1 + below(key, SPLIT, size - 1)  # a chunk of one sentence is the first segment
            random = (size == 1) | (uniform(key, NEXT) < 0.5)
        else:
            middle, random = end, np.zeros(len(here), bool)
        a, b, c = ends[here], ends[middle], ends[end]
        found.append((key, document, a, b - a, b, c - b, random, target - (b - a)))
        here = np.where(random, middle, end)
        go = here < stop
        if not go.all():
            here, stop, shift, target, document = (x[go] for x in (here, stop, shift, target, document))
        if len(found) == _STEPS:
            yield Instances(*map(np.concatenate, zip(*found, strict=True)))
            found = []
    if found:
        yield Instances(*map(np.concatenate, zip(*found, strict=True)))


def other_documents(key: np.ndarray, own: np.ndarray, documents: int) -> np.ndarray:
    """Draw a document for each key, any but its own: int64 [N]."""
    other = below(key, DOCUMENT, documents - 1)
    return other + (other >= own)


def segments_from(
    ends: np.ndarray, begin: np.ndarray, stop: np.ndarray, key: np.ndarray, wanted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a sentence of each document and take it and those after it, until there are as many tokens as wanted.

    Document i has the sentences begin[i] to stop[i] of `ends`.  Returns offsets and sizes in tokens, int64 [N].
    """
    start = begin + below(key, START, stop - begin)
    last = start + 1
    offset = ends[start]
    size = ends[last] - offset
    going = np.flatnonzero((size < wanted) & (last < stop))
    while len(going):
        last[going] += 1
        size[going] = ends[last[going]] - offset[going]
        going = going[(size[going] < wanted[going]) & (last[going] < stop[going])]
    return offset, size


def truncated_sizes(first: np.ndarray, second: np.ndarray, room: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what is left of each size when a token at a time leaves the longer segment, the second if both are equal.

    int64 [N] each, together at most `room`.
    """
    over = np.maximum(first + second - room, 0)
    longer = np.clip(first - second, 0, over), np.clip(second - first, 0, over)  # taken until both are equal
    rest = over - longer[0] - longer[1]
    return first - longer[0] - rest // 2, second - longer[1] - (rest + 1) // 2


class Cut(NamedTuple):
    """Two segments that fit a row, all int64 [N]: offsets in tokens and sizes."""

    first: np.ndarray
    first_size: np.ndarray
    second: np.ndarray
    second_size: np.ndarray


def truncated(key: np.ndarray, cut: Cut, room: int) -> Cut:
    """Shorten segments to fit; each token leaves from the front or the back, as a coin falls."""
    sizes = truncated_sizes(cut.first_size, cut.second_size, room)
    return Cut(
        cut.first + coins(key, FRONT_A, cut.first_size - sizes[0]),
        sizes[0],
        cut.second + coins(key, FRONT_B, cut.second_size - sizes[1]),
        sizes[1],
    )
