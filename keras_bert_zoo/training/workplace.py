"""The folder of a run that is not finished: its settings, and one process at a time.

`unfinished/` inside the run's folder holds the settings and the checkpoints.  The same call again goes on from there;
at the end the result takes its place.  Where no checkpoint was reached nothing is left.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import filelock

from keras_bert_zoo.errors import CheckpointError, ConfigError
from keras_bert_zoo.files import check_absent, new_file, read_json
from keras_bert_zoo.stopping import undone_at_stop
from keras_bert_zoo.training.agreement import differing

UNFINISHED, SETTINGS, REPLACED = "unfinished", "settings.json", "replaced.json"
# What may change while a run is unfinished: nothing that is learnt depends on it.
FREE = ("checkpoint_every", "keep_checkpoints")
_KEY = "config.json"  # without it a folder is no model's: the first to go, the last to come


def check_free(folder: Path, overwrite: bool) -> None:
    """Check that a run can be in a folder.  Raises: ConfigError where something else is there."""
    if not (folder / UNFINISHED).is_dir():
        check_absent(folder, overwrite=overwrite)


@contextmanager
def workplace(folder: Path | None, settings: Mapping[str, Any], overwrite: bool) -> Iterator[Path | None]:
    """Hand out the folder of checkpoints: a new one, or that of an unfinished run with the same settings.

    What else the folder holds stays until `finish`.  If the block fails before there is a checkpoint, nothing is left.
    Raises: ConfigError where another run is there and `overwrite` is false, or another process works on it.
    """
    if folder is None:
        yield None
        return
    check_free(folder, overwrite)
    work = folder / UNFINISHED
    try:
        work.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(work / ".lock", timeout=0)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise ConfigError(f"{folder}: another process is at work on this run.") from None
    except OSError as error:
        raise CheckpointError(f"{work} cannot be written: {error}.") from error
    try:
        _begin(work, settings, overwrite)
        with undone_at_stop(lambda: _leave_nothing(work)):
            yield work
    finally:
        _leave_nothing(work)
        lock.release()


def finish(folder: Path, write: Callable[[Path], object]) -> None:
    """Have `write` fill a folder beside the checkpoints, move its files into place, and let the checkpoints go.

    Killed before its last line, the next call finds the unfinished run and does it again.
    Raises: CheckpointError where the files cannot be written.
    """
    work = folder / UNFINISHED
    try:
        with tempfile.TemporaryDirectory(prefix=".bundle.", dir=work) as name:
            partial = Path(name)
            write(partial)
            for old in sorted(_replaced(work), key=lambda old: old != _KEY):
                _delete(folder / old)
            for file in sorted(partial.iterdir(), key=lambda file: file.name == _KEY):
                os.replace(file, folder / file.name)
    except OSError as error:
        raise CheckpointError(
            f"{folder} cannot be written: {error}. The checkpoints are in {work}: make room, and run it again."
        ) from error
    remove(work)


def remove(folder: Path) -> None:
    """Delete a folder: out of sight at once, so that nobody takes half of it for a whole."""
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
    os.replace(folder, aside)
    shutil.rmtree(aside)


def differences(now: Mapping[str, Any], then: Mapping[str, Any]) -> Iterable[str]:
    """Yield a few words for each entry in which two tables of settings differ, tables inside them included."""
    for name, new, old in differing(now, then, "not there"):
        yield f"{name} is {new!r:.80}, was {old!r:.80}"


def _begin(work: Path, settings: Mapping[str, Any], overwrite: bool) -> None:
    """Write the settings, or find that those there are the same.  Raises: ConfigError, CheckpointError."""
    told = read_json(work / SETTINGS, ConfigError) if (work / SETTINGS).exists() else {}
    changed = list(differences(settings, told))
    if told and changed and _worth(work) and not overwrite:
        raise ConfigError(
            f"{work.parent} holds an unfinished run with other settings: {'; '.join(changed[:4])}"
            f"{f' and {len(changed) - 4} more' if len(changed) > 4 else ''}. Repeat its own command to go on with"
            " it, choose another folder, or begin anew (--overwrite)."
        )
    if told and not changed:
        return
    try:
        for old in work.iterdir():
            if old.name != ".lock":
                _delete(old)
        names = [path.name for path in work.parent.iterdir() if path.name != UNFINISHED]
        for name, value in ((REPLACED, {"names": names}), (SETTINGS, settings)):
            with new_file(work / name) as aside:
                aside.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise CheckpointError(f"{work} cannot be written: {error}.") from error


def _replaced(work: Path) -> list[str]:
    """Return what the folder held before the run, which `overwrite` lets it replace."""
    return read_json(work / REPLACED, ConfigError)["names"] if (work / REPLACED).exists() else []


def _worth(work: Path) -> bool:
    """Tell whether there is anything that work was put into."""
    return any(path.name[0] != "." and path.name not in (SETTINGS, REPLACED) for path in work.iterdir())


def _leave_nothing(work: Path) -> None:
    """Delete the folder of a run that has come to nothing."""
    with suppress(OSError):
        if not _worth(work):
            shutil.rmtree(work)
            work.parent.rmdir()  # unless it holds something else


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
