"""The two steps that processes share: blocks of documents become spooled rows, and buckets of rows become shards.

Neither needs TensorFlow, so a process begins in a fraction of a second and takes little memory.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np

from keras_bert_zoo.data.pretraining.examples import NAMES, ExampleWriter, features_of
from keras_bert_zoo.data.pretraining.masks import draw_masks
from keras_bert_zoo.data.pretraining.rows import assemble, layout, row_dtype
from keras_bert_zoo.data.pretraining.segments import Instances, instances, truncated
from keras_bert_zoo.data.pretraining.settings import Plan
from keras_bert_zoo.data.pretraining.shuffle import shuffled_rows, spool_rows
from keras_bert_zoo.data.pretraining.spool import Spool, slices

ROWS = 1024  # at a time
PAIRS = 512  # at a time: a segment looked up takes up to 64 KiB of mapped pages until they are given back
_SPOOLED = 8192  # rows that wait to be spooled together
COPIES = 8  # of a block at a time
_GZIP_LEVEL = 6
PLAN, GLUED = "plan.json", "glued"
COUNTS = ("instances", "random_next", "tokens", "masked")
Tell = Callable[[int], None]  # is told how much more is done


@dataclasses.dataclass(frozen=True)
class Work:
    """What is to be made, and where: `folder` holds the spool and the rows, `out` gets the shards."""

    plan: Plan
    folder: Path
    out: Path
    shards: tuple[str, ...]  # names of files
    buckets: int
    compression: str

    def save(self, glued: np.ndarray) -> None:
        """Write all this for another process; `glued` bool [V] tells the ids that begin with ##."""
        values = {
            "plan": self.plan.to_dict(),
            "out": str(self.out),
            "shards": self.shards,
            "buckets": self.buckets,
            "compression": self.compression,
        }
        (self.folder / GLUED).write_bytes(glued.astype(np.uint8).tobytes())
        (self.folder / PLAN).write_text(json.dumps(values), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Work:
        """Read what `save` wrote."""
        values = json.loads((folder / PLAN).read_text(encoding="utf-8"))
        plan, out = Plan.from_dict(values["plan"]), Path(values["out"])
        return cls(plan, folder, out, tuple(values["shards"]), values["buckets"], values["compression"])


class Steps:
    """Does a step at a time; `owner` numbers this process among all that share the work."""

    def __init__(self, work: Work, owner: int) -> None:
        self.work = work
        self.owner = owner
        self.serializer = Serializer(work.plan, np.frombuffer((work.folder / GLUED).read_bytes(), np.uint8) > 0)
        self._spool: Spool | None = None

    def do(self, step: str, number: int, tell: Tell) -> dict[str, int]:
        """Make the "rows" of a block or write a "shard", and return what was counted; `tell` hears of each part."""
        if step == "rows":
            made = self.rows(number)
            tell(1)
            return made
        return self.shard(number, tell)

    def rows(self, number: int) -> dict[str, int]:
        """Spool the rows of one block of documents."""
        work, plan = self.work, self.work.plan
        if self._spool is None:
            self._spool = Spool(work.folder, plan.id_bytes)
        spool = self._spool
        block = spool.block(number)
        made = 0
        for start in range(0, plan.settings.copies, COPIES):
            copies = range(start, min(start + COPIES, plan.settings.copies))
            for found in instances(block, plan, copies):
                made += len(found.keys)
                for some in slices(found, _SPOOLED):
                    rows = [self._assembled(part, spool) for part in slices(some, PAIRS)]
                    spool_rows(np.concatenate(rows), work.folder, work.buckets, self.owner)
        return {"instances": made}

    def _assembled(self, found: Instances, spool: Spool) -> np.ndarray:
        cut = truncated(found.keys, spool.segments(found), self.work.plan.settings.room)
        rows = assemble(spool.tokens, found.keys, cut, found.random, self.work.plan)
        spool.give_back()
        return rows

    def shard(self, number: int, tell: Tell) -> dict[str, int]:
        """Write one shard: its rows in their random order, masked where masks are static; `tell` hears of rows."""
        work = self.work
        each = work.buckets // len(work.shards)
        counts = dict.fromkeys(COUNTS, 0)
        buckets = range(number * each, (number + 1) * each)
        with ExitStack() as stack:
            file: IO[bytes] = stack.enter_context((work.out / work.shards[number]).open("wb"))
            if work.compression:
                file = stack.enter_context(gzipped(file))
            for rows in shuffled_rows(work.folder, buckets, row_dtype(work.plan), ROWS):
                file.write(self.serializer.records(rows, counts).tobytes())
                tell(len(rows))
        return counts


class Serializer:
    """Turns rows into records of `tf.train.Example`."""

    def __init__(self, plan: Plan, glued: np.ndarray) -> None:
        self.plan, self.glued = plan, glued
        settings = plan.settings
        features = features_of(settings.kind, settings.names, settings.max_length, settings.places, plan.vocab_size)
        self._writer = ExampleWriter(features, ROWS)

    def records(self, rows: np.ndarray, counts: dict[str, int]) -> np.ndarray:
        """Return the bytes of at most `ROWS` records, and add what is in them to `counts`."""
        values = self.features(rows, counts)
        return self._writer.records(values)

    def features(self, rows: np.ndarray, counts: dict[str, int]) -> Mapping[str, np.ndarray]:
        """Return the features by name, [N,count] each."""
        settings = self.plan.settings
        spelled = NAMES[settings.names]
        where = layout(rows["first"], rows["second"], settings.max_length)
        cell = np.arange(settings.max_length)[None, :]
        size = (rows["first"].astype(np.int64) + rows["second"] + settings.special)[:, None]
        mask = cell < size
        counts["instances"] += len(rows)
        counts["random_next"] += int(rows["random"].sum())
        counts["tokens"] += int(size.sum())
        values = {
            spelled["ids"]: rows["ids"],
            "input_mask": mask.astype(np.uint8),
            spelled["types"]: (mask & (cell > rows["first"][:, None] + 1)).astype(np.uint8),
            "next_sentence_labels": rows["random"][:, None],
        }
        if settings.masks == "static":
            drawn = draw_masks(rows["key"], rows["ids"], where, self.glued, self.plan)
            counts["masked"] += int(drawn.counts.sum())
            values[spelled["ids"]] = drawn.ids
            values["masked_lm_positions"] = drawn.positions
            values["masked_lm_ids"] = drawn.labels
            weights = np.arange(settings.places)[None, :] < drawn.counts[:, None]
            values["masked_lm_weights"] = weights.astype(np.float32)
        return values


def gzipped(file: IO[bytes]) -> IO[bytes]:
    """Compress what is written to a file; neither its name nor the hour goes into it."""
    packed: Any = gzip.GzipFile(filename="", mode="wb", compresslevel=_GZIP_LEVEL, fileobj=file, mtime=0)
    return packed


def glued_ids(vocabulary: Any) -> np.ndarray:
    """Tell which ids are glued to the piece before them, bool [V]."""
    return np.array([token.startswith("##") for token in vocabulary], bool)
