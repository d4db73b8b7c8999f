"""A tokenised corpus on disk: the ids one after another, and an index, so that any document is found without reading.

    tokens      unsigned, 2 or 4 bytes: all ids
    sentences   int64 [S+1]: tokens before each sentence
    documents   int64 [D+1]: sentences before each document
    blocks      int64 [K+1]: documents before each block, of about `BLOCK` tokens each

The files are mapped, never held: after each use the pages are given back, so memory does not grow with the corpus.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

from keras_bert_zoo.data.pretraining.segments import Block, Cut, Instances, other_documents, segments_from

BLOCK = 1 << 20  # tokens
_INDEX = ("sentences", "documents", "blocks")


class SpoolWriter:
    """Writes a spool; a document at a time, or many."""

    def __init__(self, folder: Path, id_bytes: int) -> None:
        self._id_type = np.dtype(f"<u{id_bytes}")
        self._files: dict[str, IO[bytes]] = {name: (folder / name).open("wb") for name in ("tokens", *_INDEX)}
        self.documents = self.sentences = self.tokens = self.unknown = 0
        self._block = 0  # tokens before this block
        for name in _INDEX:
            self._append(name, np.zeros(1, np.int64))

    def write(self, ids: np.ndarray, sizes: np.ndarray, sentences: np.ndarray) -> None:
        """Add documents: ids [P] of all tokens, tokens of each sentence [S], sentences of each document [D].

        Neither sentences nor documents may be empty.
        """
        self._append("tokens", ids.astype(self._id_type))
        ends = self.tokens + np.cumsum(sizes, dtype=np.int64)
        self._append("sentences", ends)
        last = np.cumsum(sentences, dtype=np.int64)
        self._append("documents", self.sentences + last)
        for number, end in enumerate(ends[last - 1].tolist(), start=self.documents + 1):
            if end - self._block >= BLOCK:
                self._append("blocks", np.array([number]))
                self._block = end
        self.documents += len(sentences)
        self.sentences += len(sizes)
        self.tokens += len(ids)

    def close(self) -> None:
        """Write what is left; a spool without a token has no block."""
        if self.tokens > self._block:
            self._append("blocks", np.array([self.documents]))
        for file in self._files.values():
            file.close()

    def _append(self, name: str, values: np.ndarray) -> None:
        self._files[name].write(values.astype(values.dtype.newbyteorder("<")).tobytes())


class Spool:
    """A spool to read."""

    def __init__(self, folder: Path, id_bytes: int) -> None:
        self._maps: list[mmap.mmap] = []
        self.tokens = self._mapped(folder / "tokens", f"<u{id_bytes}")
        self.sentences, self.documents, self.blocks = (self._mapped(folder / name, "<i8") for name in _INDEX)

    @property
    def block_count(self) -> int:
        """How many blocks there are."""
        return len(self.blocks) - 1

    def block(self, number: int) -> Block:
        """Return the documents of one block, its index copied into memory."""
        first, stop = self.blocks[number : number + 2].tolist()
        bounds = np.array(self.documents[first : stop + 1])
        ends = np.array(self.sentences[bounds[0] : bounds[-1] + 1])
        self.give_back()
        return Block(np.arange(first, stop), bounds[:-1], bounds - bounds[0], ends)

    def segments(self, found: Instances) -> Cut:
        """Return both segments of instances: where the second is to come from elsewhere, one is looked up."""
        second, second_size = found.second.copy(), found.second_size.copy()
        some = np.flatnonzero(found.random)
        if len(some):
            key = found.keys[some]
            other = other_documents(key, found.document[some], len(self.documents) - 1)
            begin, stop = self.documents[other], self.documents[other + 1]
            second[some], second_size[some] = segments_from(self.sentences, begin, stop, key, found.wanted[some])
        return Cut(found.first, found.first_size, second, second_size)

    def give_back(self) -> None:
        """Let the system have the pages that were read: they count as this process's memory until then."""
        for mapped in self._maps:
            mapped.madvise(mmap.MADV_DONTNEED)

    def _mapped(self, path: Path, dtype: Any) -> np.ndarray:
        with path.open("rb") as file:
            self._maps.append(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return np.frombuffer(self._maps[-1], dtype)


def slices(found: Instances, size: int) -> Iterator[Instances]:
    """Yield instances in parts of at most `size`."""
    for start in range(0, len(found.keys), size):
        yield Instances(*(column[start : start + size] for column in found))
