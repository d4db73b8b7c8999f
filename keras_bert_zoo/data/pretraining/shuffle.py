"""An external shuffle: rows go to bucket files by the highest bits of their random keys; a bucket is sorted in memory.

The keys are a function of the seed and of where a row comes from, all different, and a shard is a range of them: so
the order of the output depends neither on who spooled a row, nor when, nor on how many buckets there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

BUCKET = 16 << 20  # bytes that a bucket is to have


def bucket_count(size: int, shards: int) -> int:
    """Return how many buckets a spool of `size` bytes needs: as many for each shard."""
    return shards * max(1, -(-size // (BUCKET * shards)))


def bucket_of(keys: np.ndarray, count: int) -> np.ndarray:
    """Return the bucket of each key: equal ranges of keys, in ascending order."""
    return ((keys >> np.uint64(32)) * np.uint64(count) >> np.uint64(32)).astype(np.int64)


def spool_rows(rows: np.ndarray, folder: Path, count: int, owner: int) -> None:
    """Add rows to their buckets' files; `owner` is a number of this process's own among all that write."""
    bucket = bucket_of(rows["key"], count)
    order = np.argsort(bucket, kind="stable")
    rows = rows[order]
    edges = np.searchsorted(bucket[order], np.arange(count + 1))
    for number in np.flatnonzero(np.diff(edges)).tolist():
        with (folder / f"{number:06}.{owner:04}").open("ab") as file:  # opened anew, so that many buckets are fine
            file.write(rows[edges[number] : edges[number + 1]].tobytes())


def shuffled_rows(folder: Path, buckets: range, dtype: np.dtype, size: int) -> Iterator[np.ndarray]:
    """Yield the rows of some buckets in the order of their keys, at most `size` at a time; the files are deleted."""
    for number in buckets:
        files = sorted(folder.glob(f"{number:06}.*"))
        if not files:
            continue
        rows = np.empty(sum(file.stat().st_size for file in files) // dtype.itemsize, dtype)
        at = 0
        for file in files:
            with file.open("rb") as stream:
                at += stream.readinto(rows[at:].view(np.uint8)) // dtype.itemsize  # type: ignore[arg-type]
            file.unlink()
        order = np.argsort(rows["key"])
        for start in range(0, len(rows), size):
            yield rows[order[start : start + size]]
