"""The folder of a run that is not finished: its settings, and one process at a time.

`unfinished/` inside the run's folder holds the settings and the checkpoints.  The same call again goes on from there;
at the end the result takes its place.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock

from keras_bert_zoo.errors import CheckpointError, ConfigError
from keras_bert_zoo.files import check_absent, new_file
from keras_bert_zoo.weights.tensors import read_json

UNFINISHED, SETTINGS = "unfinished", "settings.json"


def check_free(folder: Path, overwrite: bool) -> None:
    """Check that a run can be in a folder.  Raises: ConfigError where something else is there."""
    if not (folder / UNFINISHED).is_dir():
        check_absent(folder, overwrite=overwrite)


@contextmanager
def workplace(folder: Path | None, settings: Mapping[str, Any], overwrite: bool) -> Iterator[Path | None]:
    """Hand out the folder of checkpoints: a new one, or that of an unfinished run with the same settings.

    Raises: ConfigError where another run is there and `overwrite` is false, or another process works on it.
    """
    if folder is None:
        yield None
        return
    work = folder / UNFINISHED
    if work.is_dir():
        told = read_json(work / SETTINGS, ConfigError) if (work / SETTINGS).exists() else {}
        changed = list(differences(settings, told))
        if told and changed and not overwrite:
            raise ConfigError(
                f"{folder} holds an unfinished run with other settings: {'; '.join(changed[:4])}"
                f"{f' and {len(changed) - 4} more' if len(changed) > 4 else ''}. Repeat its own command to go on with"
                " it, choose another folder, or begin anew (--overwrite)."
            )
        if not told or changed:
            remove(folder)
    elif folder.exists():  # empty, or to be overwritten
        remove(folder)
    try:
        work.mkdir(parents=True, exist_ok=True)
        if not (work / SETTINGS).exists():
            with new_file(work / SETTINGS) as aside:
                aside.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise CheckpointError(f"{work} cannot be written: {error}.") from error
    lock = filelock.FileLock(work / ".lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise ConfigError(f"{folder}: another process is at work on this run.") from None
    try:
        yield work
    finally:
        lock.release()


def remove(folder: Path) -> None:
    """Delete a folder: out of sight at once, so that nobody takes half of it for a whole."""
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.old.", dir=folder.parent))
    os.replace(folder, aside)
    shutil.rmtree(aside)


def differences(now: Mapping[str, Any], then: Mapping[str, Any], where: str = "") -> Iterable[str]:
    """Yield a few words for each entry in which two tables of settings differ, tables inside them included."""
    for name in dict.fromkeys([*now, *then]):
        new, old = (table.get(name, "not there") for table in (now, then))
        if isinstance(new, Mapping) and isinstance(old, Mapping):
            yield from differences(new, old, f"{where}{name}.")
        elif new != old:
            yield f"{where}{name} is {new!r:.80}, was {old!r:.80}"
