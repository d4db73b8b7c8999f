"""What the first download of an entry was: later ones must be the same, or be accepted by name."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_bert_zoo.errors import DownloadError
from keras_bert_zoo.files import new_file
from keras_bert_zoo.zoo.cache import cache_root


@dataclasses.dataclass(frozen=True)
class Record:
    """What was fetched first: the source's address, each file's sha256 and size; for a hub also commit and folder."""

    source: str
    sha256: Mapping[str, str]
    sizes: Mapping[str, int]
    revision: str | None = None
    folder: str | None = None

    def whole_folder(self) -> Path | None:
        """Return the folder where all the files still lie in their sizes, None where one does not."""
        folder = Path(self.folder) if self.folder else None
        if folder is None or not all(_size(folder / name) == size for name, size in self.sizes.items()):
            return None
        return folder


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def path_of(entry: str) -> Path:
    """Return the file that holds an entry's record."""
    return cache_root() / "checksums" / f"{entry}.json"


def read(entry: str, source: str) -> Record | None:
    """Return what was recorded, None where nothing was, or where the entry had another source then.

    Raises: DownloadError where the record cannot be read.
    """
    path = path_of(entry)
    try:
        values: Any = json.loads(path.read_text(encoding="utf-8"))
        record = Record(**values)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise DownloadError(
            f"{path} cannot be read ({error}): it holds the checksums of the first download of {entry}. Delete it, and"
            " the next download counts as the first."
        ) from error
    return record if record.source == source else None


def write(entry: str, record: Record) -> None:
    """Write a record; it is there whole or not at all."""
    with new_file(path_of(entry)) as partial:
        partial.write_text(json.dumps(dataclasses.asdict(record), indent=2) + "\n", encoding="utf-8")


def check(entry: str, record: Record, found: Mapping[str, str]) -> None:
    """Compare files' sha256 with those recorded.  Raises: DownloadError naming each that differs, came or went."""
    told = []
    for name in sorted({*record.sha256, *found}):
        want, got = record.sha256.get(name), found.get(name)
        if got != want:
            told.append(f"{name}: the sha256 is {got or 'none, it is gone'}, recorded was {want or 'none, it is new'}")
    if told:
        raise DownloadError(
            f"{record.source} is not what was fetched first. {'; '.join(told)}. If the change is expected:"
            f" kbz presets fetch {entry} --accept-changed."
        )
