"""The cache: an entry is there whole or not at all, whoever else is fetching it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from keras_bert_zoo.errors import DownloadError
from keras_bert_zoo.files import cleared

Progress = Callable[[str], None]  # called with one short sentence at every step of a fetch
Meter = Callable[[int, int | None], None]  # called with the bytes that came and those of the whole, if that is known


def cache_root() -> Path:
    """Return the folder that holds all fetched files: `KBZ_CACHE`, or `keras_bert_zoo` in the user's cache folder.

    Source: XDG Base Directory Specification (`XDG_CACHE_HOME`; a relative value is invalid and ignored).
    """
    if own := os.environ.get("KBZ_CACHE"):
        return Path(own).expanduser()
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (shared if shared.is_absolute() else Path.home() / ".cache") / "keras_bert_zoo"


def build_once(
    entry: str,
    files: Iterable[str],
    build: Callable[[Path], None],
    progress: Progress | None = None,
    *,
    renew: bool = False,
) -> Path:
    """Return the folder `entry` of the cache, made by `build(empty_folder)` unless all its `files` are there already.

    `renew` has it made even so; the old one stays until the new one is whole.

    Raises: whatever `build` raises, with nothing left behind; `DownloadError` when the cache cannot be written.
    """
    folder, files = cache_root() / entry, tuple(files)
    if renew or missing(folder, files):
        with only_one(folder, progress):
            if renew or missing(folder, files):  # another process may have made it while this one waited
                _build(folder, files, build)
    return folder


def missing(folder: Path, files: Iterable[str]) -> list[str]:
    """Return those of the files that a folder lacks."""
    return [name for name in files if not (folder / name).is_file()]


def _build(folder: Path, files: tuple[str, ...], build: Callable[[Path], None]) -> None:
    partial = folder.with_name(f".{folder.name}.partial")
    if partial.exists():  # a process was killed here; the lock says that it no longer runs
        shutil.rmtree(partial)
    partial.mkdir()
    with cleared(lambda: shutil.rmtree(partial, ignore_errors=True)):
        build(partial)
        if absent := missing(partial, files):
            raise DownloadError(f"{folder.name}: the fetched archive gave no {', '.join(absent)}.")
        if folder.exists():  # it is renewed, or somebody removed files from it
            shutil.rmtree(folder)
        os.replace(partial, folder)


@contextmanager
def only_one(entry: Path, progress: Progress | None = None) -> Iterator[None]:
    """Hold the entry's lock file; the operating system frees it when a process dies.

    Raises: DownloadError where the lock, or anything in the block, meets a disk that is full or cannot be written.
    """
    import filelock

    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(entry.with_name(f".{entry.name}.lock"))
        try:
            lock.acquire(blocking=False)
        except filelock.Timeout:
            if progress:
                progress(f"waiting for another process that prepares {entry.name}")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()
    except OSError as error:
        raise DownloadError(
            f"{entry} cannot be prepared: {error}. Make room there, or set KBZ_CACHE to a folder you can write to."
        ) from error
