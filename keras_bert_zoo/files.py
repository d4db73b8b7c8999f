"""Writing so that nobody ever sees half of it, and reading JSON."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.stopping import undone_at_stop


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Hand out a hidden path beside `path` to write; move it into place at the end, or leave nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with cleared(lambda: partial.unlink(missing_ok=True)):
        yield partial
        partial.chmod(0o666 & ~_umask())  # safetensors keeps its files private
        os.replace(partial, path)


@contextmanager
def new_folder(folder: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Hand out a hidden folder beside `folder` to fill; move it into place at the end, or leave nothing.

    Raises: ConfigError where `folder` is there already (an empty folder counts as absent) and `overwrite` is false.
    """
    target = Path(folder).expanduser()
    check_absent(target, overwrite=overwrite)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    with cleared(lambda: shutil.rmtree(partial, ignore_errors=True)):
        yield partial
        partial.chmod(0o777 & ~_umask())  # mkdtemp makes it private
        if target.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
            os.replace(target, old)
            os.replace(partial, target)
            shutil.rmtree(old)
        else:
            os.rename(partial, target)


@contextmanager
def cleared(clear: Callable[[], object]) -> Iterator[None]:
    """Call `clear` at the end of the block, whatever ends it, Ctrl-C under `kbz` included."""
    with undone_at_stop(clear):
        try:
            yield
        finally:
            clear()


def check_absent(folder: str | Path, *, overwrite: bool = False) -> None:
    """Check, before long work, that a folder can be written.  Raises: ConfigError where it is there already."""
    target = Path(folder).expanduser()
    if target.exists() and not target.is_dir():
        raise ConfigError(f"{target}: there is a file of that name. Choose another folder.")
    if target.exists() and any(target.iterdir()) and not overwrite:
        raise ConfigError(
            f"{target}: the folder is there already. Choose another, delete it, or allow overwriting (--overwrite)."
        )


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def read_json(path: Path, error: type[Exception]) -> dict[str, Any]:
    """Return the JSON object in a file; what is wrong with it is raised as `error`."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise error(f"{path.parent} has no {path.name}.") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as cause:
        raise error(f"{path} cannot be read as JSON: {cause}.") from cause
    if not isinstance(values, dict):
        raise error(f"{path} holds a JSON {type(values).__name__}, an object was expected.")
    return values
