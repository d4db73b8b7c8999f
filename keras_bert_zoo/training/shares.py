"""Which rows of pretraining shards each process of a cluster reads.  B rows of a global batch, n workers.

By "record" every worker reads all files and takes its rows of each batch: the batches are those of one process, however
many workers there are.  By "file" every worker reads files of its own, which is less to read, and the batches are
others for every number of workers.  Either way no row comes twice in an epoch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from keras_bert_zoo.errors import ConfigError

SHARINGS = ("record", "file")


@dataclasses.dataclass(frozen=True)
class Share:
    """What worker `worker` of `workers` reads; every worker has `replicas` devices, among which its rows are dealt.

    `by` is one of `SHARINGS`.  Raises: ConfigError on another.
    """

    worker: int = 0
    workers: int = 1
    replicas: int = 1
    by: str = "record"

    def __post_init__(self) -> None:
        if self.by not in SHARINGS:
            raise ConfigError(f"The sharing is {self.by!r}, it must be one of {', '.join(SHARINGS)}.")

    @property
    def whole(self) -> bool:
        """Whether batches stay whole: there is one device."""
        return self.workers * self.replicas == 1

    @property
    def by_file(self) -> bool:
        """Whether this worker has files of its own."""
        return self.workers > 1 and self.by == "file"

    def rows(self, batch_size: int) -> int:
        """Return how many rows of a global batch this worker reads.

        Raises: ConfigError where workers with files of their own would read unlike numbers.
        """
        if not self.by_file:
            return batch_size
        if batch_size % self.workers:
            raise ConfigError(
                f"A batch of {batch_size} rows cannot be shared evenly by {self.workers} workers that read files of"
                " their own: choose a multiple, or share by record."
            )
        return batch_size // self.workers

    def pieces(self, rows: int) -> list[slice]:
        """Return the rows that each device of this worker gets of the `rows` that it has read, in their order."""
        first, of = (0, self.replicas) if self.by_file else (self.worker * self.replicas, self.workers * self.replicas)
        return [slice(r * rows // of, (r + 1) * rows // of) for r in range(first, first + self.replicas)]

    def files(self, sizes: Sequence[int]) -> tuple[list[int], int]:
        """Return the numbers of the files that this worker reads, and how many of their rows an epoch has.

        Files go to the worker with the fewest rows so far, the largest file first; an epoch of all workers is as long
        as that of the one with the fewest rows.
        Raises: ConfigError where there are fewer files than workers.
        """
        if not self.by_file:
            return list(range(len(sizes))), sum(sizes)
        if len(sizes) < self.workers:
            raise ConfigError(
                f"There are {len(sizes)} files for {self.workers} workers: share them by record, or write more shards."
            )
        rows = [0] * self.workers
        owners: list[list[int]] = [[] for _ in rows]
        for place in sorted(range(len(sizes)), key=lambda place: -sizes[place]):
            worker = rows.index(min(rows))
            owners[worker].append(place)
            rows[worker] += sizes[place]
        return sorted(owners[self.worker]), min(rows)
