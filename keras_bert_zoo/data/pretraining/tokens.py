"""A corpus becomes token ids on disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_bert_zoo.data.pretraining.spool import SpoolWriter

if TYPE_CHECKING:
    from keras_bert_zoo.text.tokenizer import Tokenizer

_CHARACTERS, _SENTENCES = 1 << 20, 1 << 14  # of a batch


@dataclasses.dataclass(frozen=True)
class Tokenized:
    """Documents as token ids, none of them empty: ids [P], tokens of each sentence [S], sentences of each document."""

    ids: np.ndarray
    sizes: np.ndarray
    sentences: np.ndarray


def tokenized(documents: Iterable[list[str]], tokenizer: Tokenizer) -> Iterator[Tokenized]:
    """Tokenise documents, many sentences a call; sentences and documents without a token are left out."""
    for batch in _batches(documents):
        ragged = tokenizer.tokenize(list(chain.from_iterable(batch)))
        sizes = ragged.row_lengths().numpy()
        starts = np.cumsum([0, *map(len, batch[:-1])])
        sentences = np.add.reduceat(sizes > 0, starts, dtype=np.int64)
        yield Tokenized(ragged.values.numpy(), sizes[sizes > 0], sentences[sentences > 0])


def spool_corpus(documents: Iterable[list[str]], tokenizer: Tokenizer, folder: Path, id_bytes: int) -> SpoolWriter:
    """Write a corpus's ids and their index to a folder; see `SpoolWriter` for how much it holds."""
    spool = SpoolWriter(folder, id_bytes)
    for part in tokenized(documents, tokenizer):
        if len(part.sentences):
            spool.write(part.ids, part.sizes, part.sentences)
            spool.unknown += int((part.ids == tokenizer.unk_id).sum())
    spool.close()
    return spool


def _batches(documents: Iterable[list[str]]) -> Iterator[list[list[str]]]:
    batch: list[list[str]] = []
    characters = sentences = 0
    for document in documents:
        batch.append(document)
        characters += sum(map(len, document))
        sentences += len(document)
        if characters >= _CHARACTERS or sentences >= _SENTENCES:
            yield batch
            batch, characters, sentences = [], 0, 0
    if batch:
        yield batch
