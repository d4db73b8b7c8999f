"""The steps of the Beam pipeline: the same functions as on one machine, on parts of files in place of blocks.

A part is some documents of one file, tokenised; its key is (number of the file, number of the part in it).  Nothing
but the parts' sizes must be known to all, so that every document and sentence has the number it has in one process.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from keras_bert_zoo.data.corpus import Corpus
from keras_bert_zoo.data.pretraining.rows import assemble, row_dtype
from keras_bert_zoo.data.pretraining.segments import (
    Block,
    Cut,
    Instances,
    instances,
    other_documents,
    segments_from,
    truncated,
)
from keras_bert_zoo.data.pretraining.settings import Plan
from keras_bert_zoo.data.pretraining.shuffle import bucket_of
from keras_bert_zoo.data.pretraining.spool import slices
from keras_bert_zoo.data.pretraining.steps import COPIES, COUNTS, ROWS, Serializer, glued_ids, gzipped
from keras_bert_zoo.errors import DataError

Key = tuple[int, int]


class Part(NamedTuple):
    """Documents of a file: ids [P], the tokens of each sentence, the sentences of each document."""

    ids: np.ndarray
    sizes: np.ndarray
    sentences: np.ndarray


class PartSize(NamedTuple):
    """What all must know of a part."""

    key: Key
    documents: int
    sentences: int
    tokens: int
    unknown: int


class Requests(NamedTuple):
    """Instances whose second segment lies in another part: [N] each, but `tokens`, those of all first segments."""

    keys: np.ndarray
    document: np.ndarray  # the number in the corpus of the document asked for
    wanted: np.ndarray
    first_size: np.ndarray
    tokens: np.ndarray


class Index:
    """Numbers the documents and sentences of all parts, in the order of their keys."""

    def __init__(self, sizes: Iterable[PartSize]) -> None:
        ordered = sorted(sizes)
        self.keys = [size.key for size in ordered]
        self.places = {key: place for place, key in enumerate(self.keys)}
        self.documents = np.cumsum([0, *(size.documents for size in ordered)])
        self.sentences = np.cumsum([0, *(size.sentences for size in ordered)])

    def settle(self, plan: Plan) -> Plan:
        """Return the plan with what the corpus holds."""
        return dataclasses.replace(plan, documents=int(self.documents[-1]), sentences=int(self.sentences[-1]))

    def block(self, key: Key, part: Part) -> Block:
        """Return a part's documents under the numbers they have in the corpus."""
        place = self.places[key]
        bounds = np.cumsum([0, *part.sentences.tolist()])
        numbers = self.documents[place] + np.arange(len(part.sentences))
        return Block(numbers, self.sentences[place] + bounds[:-1], bounds, np.cumsum([0, *part.sizes.tolist()]))


class TokenizeFiles(beam.DoFn):
    """(number, path) -> (key, Part); besides `sizes`, `counts` of the text, and `errors` as (number, message)."""

    def __init__(self, tokenizer: Mapping[str, Any], id_bytes: int, reading: Mapping[str, Any]) -> None:
        self.options, self.id_bytes, self.reading = tokenizer, id_bytes, reading
        self.tokenizer: Any = None

    def setup(self) -> None:
        """Make the tokenizer once in each process."""
        from keras_bert_zoo.text.tokenizer import Tokenizer

        self.tokenizer = Tokenizer(**self.options)

    def process(self, element: tuple[int, str]) -> Iterator[Any]:
        """Read one file."""
        from keras_bert_zoo.data.pretraining.tokens import tokenized

        number, path = element
        with local_copy(path) as file:
            corpus = Corpus((file,), **self.reading, is_part=True)
            try:
                for place, found in enumerate(tokenized(corpus.documents(), self.tokenizer)):
                    if len(found.sentences):
                        part = Part(found.ids.astype(f"<u{self.id_bytes}"), found.sizes, found.sentences)
                        unknown = int((found.ids == self.tokenizer.unk_id).sum())
                        size = PartSize((number, place), len(part.sentences), len(part.sizes), len(part.ids), unknown)
                        yield beam.pvalue.TaggedOutput("sizes", size)
                        yield (number, place), part
            except DataError as error:
                yield beam.pvalue.TaggedOutput("errors", (number, str(error).replace(str(file), path)))
        yield beam.pvalue.TaggedOutput("counts", dataclasses.asdict(corpus.counts))


class _OnIndex(beam.DoFn):
    """A step that knows the index, which is made once a bundle."""

    def __init__(self, plan: Plan, shards: int) -> None:
        self.plan, self.shards = plan, shards
        self.index: Index | None = None

    def start_bundle(self) -> None:
        """Forget the index: another bundle may be of another window."""
        self.index = None

    def ready(self, sizes: Iterable[PartSize]) -> tuple[Index, Plan]:
        """Return the index, and the plan that knows how much there is."""
        if self.index is None:
            self.index = Index(sizes)
        return self.index, self.index.settle(self.plan)

    def by_shard(self, rows: np.ndarray) -> Iterator[tuple[int, bytes]]:
        """Yield rows as (shard, bytes)."""
        shard = bucket_of(rows["key"], self.shards)
        for number in np.unique(shard).tolist():
            yield number, rows[shard == number].tobytes()


class MakePairs(_OnIndex):
    """(key, Part) -> (shard, rows); `requests` as (key of the part that can answer, Requests)."""

    def process(
        self, element: tuple[Key, Part], sizes: Iterable[PartSize], errors: Iterable[tuple[int, str]]
    ) -> Iterator[Any]:
        """Cut one part into instances; nothing is made of a corpus that is refused in the end."""
        index, plan = self.ready(sizes)
        paired = plan.settings.pairs == "next_sentence"
        if any(True for _ in errors) or (paired and plan.documents == 1):
            return
        key, part = element
        block = index.block(key, part)
        for start in range(0, plan.settings.copies, COPIES):
            copies = range(start, min(start + COPIES, plan.settings.copies))
            for found in instances(block, plan, copies):
                own = Instances(*(column[~found.random] for column in found))
                for some in slices(own, ROWS):
                    cut = truncated(some.keys, Cut(*some[2:6]), plan.settings.room)
                    yield from self.by_shard(assemble(part.ids, some.keys, cut, some.random, plan))
                yield from self._requests(Instances(*(column[found.random] for column in found)), part, index, plan)

    def _requests(self, found: Instances, part: Part, index: Index, plan: Plan) -> Iterator[Any]:
        if not len(found.keys):
            return
        other = other_documents(found.keys, found.document, plan.documents)
        place = np.searchsorted(index.documents, other, side="right") - 1
        order = np.argsort(place, kind="stable")
        for group in np.split(order, np.flatnonzero(np.diff(place[order])) + 1):
            first, size = found.first[group], found.first_size[group]
            tokens = np.concatenate([part.ids[a : a + n] for a, n in zip(first, size, strict=True)])
            asked = Requests(found.keys[group], other[group], found.wanted[group], size, tokens)
            yield beam.pvalue.TaggedOutput("requests", (index.keys[place[group[0]]], asked))


class AnswerRequests(_OnIndex):
    """(key, {"parts": [Part], "requests": [Requests]}) -> (shard, rows)."""

    def process(self, element: tuple[Key, Mapping[str, Iterable[Any]]], sizes: Iterable[PartSize]) -> Iterator[Any]:
        """Look up the segments that others ask of one part."""
        index, plan = self.ready(sizes)
        key, groups = element
        (part,) = groups["parts"]
        block = index.block(key, part)
        for asked in groups["requests"]:
            document = asked.document - block.numbers[0]
            begin, stop = block.bounds[document], block.bounds[document + 1]
            second, size = segments_from(block.ends, begin, stop, asked.keys, asked.wanted)
            first = len(part.ids) + np.cumsum(asked.first_size) - asked.first_size
            tokens = np.concatenate([part.ids, asked.tokens])
            cut = truncated(asked.keys, Cut(first, asked.first_size, second, size), plan.settings.room)
            random = np.ones(len(asked.keys), bool)
            yield from self.by_shard(assemble(tokens, asked.keys, cut, random, plan))


class WriteShards(beam.DoFn):
    """(shard, iterable of rows) -> (shard, counts).  A shard is sorted in memory."""

    def __init__(self, plan: Plan, vocabulary: tuple[str, ...], paths: tuple[str, ...], compression: str) -> None:
        self.plan, self.vocabulary, self.paths, self.compression = plan, vocabulary, paths, compression
        self.serializer: Any = None

    def setup(self) -> None:
        """Make the writer once in each process."""
        self.serializer = Serializer(self.plan, glued_ids(self.vocabulary))

    def process(self, element: tuple[int, Iterable[bytes]]) -> Iterator[tuple[int, dict[str, int]]]:
        """Write one shard; written again after a failure, it is the same."""
        number, pieces = element
        rows = np.frombuffer(b"".join(pieces), row_dtype(self.plan))
        order = np.argsort(rows["key"])
        counts = dict.fromkeys(COUNTS, 0)
        with created(self.paths[number]) as plain:
            file = gzipped(plain) if self.compression else plain
            for start in range(0, len(rows), ROWS):
                file.write(self.serializer.records(rows[order[start : start + ROWS]], counts).tobytes())
            if self.compression:
                file.close()
        yield number, counts


@contextmanager
def created(path: str) -> Iterator[Any]:
    """Open a file to write, on whatever file system its name belongs to."""
    file = FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED)
    try:
        yield file
    finally:
        file.close()


@contextmanager
def local_copy(path: str) -> Iterator[Path]:
    """Return a file's path on this machine; what lies elsewhere is copied for a while."""
    if FileSystems.get_scheme(path) is None:
        yield Path(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, os.path.basename(path))  # its name tells what kind of file it is
        with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as far, copy.open("wb") as near:
            shutil.copyfileobj(far, near, 1 << 20)
        yield copy
