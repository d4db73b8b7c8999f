"""From a name to a local folder: presets, folders and hubs."""

from __future__ import annotations

import difflib
import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from keras_bert_zoo.errors import DownloadError
from keras_bert_zoo.zoo import hub
from keras_bert_zoo.zoo.archive import unpack
from keras_bert_zoo.zoo.cache import Progress, build_once
from keras_bert_zoo.zoo.presets import PRESETS, Preset
from keras_bert_zoo.zoo.pypi import PackageFile, fetch_file


def presets() -> dict[str, Preset]:
    """Return all presets by name."""
    return dict(PRESETS)


def fetch(name: str | os.PathLike[str], *, progress: Progress | None = None) -> Path:
    """Return a ready local folder for a preset, a local folder or `hf://organisation/name[@revision]`.

    A preset's name wins over a folder of the same name in the current folder; write `./name` for that one.
    `progress` is called with one short sentence at every slow step.

    Raises: `DownloadError` when the name is none of these, or its files cannot be fetched, checked and unpacked.
    """
    text = os.fspath(name)
    if text in PRESETS:
        return _fetch_preset(PRESETS[text], progress)
    if text.startswith(hub.SCHEME):
        return hub.fetch_hub(text, progress)
    folder = Path(text).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise DownloadError(f"{text} is a file; name the folder that holds config.json and the weights.")
    close = difflib.get_close_matches(text, PRESETS, n=1, cutoff=0.4)
    raise DownloadError(
        f"'{text}' is not known here.{f' Did you mean {close[0]}?' if close else ''} Presets: {', '.join(PRESETS)}. "
        "A local folder or hf://organisation/name[@revision] works too."
    )


def _fetch_preset(preset: Preset, progress: Progress | None) -> Path:
    def build(folder: Path) -> None:
        fetch_and_unpack(preset.source, preset.members, folder, progress)

    # Another archive or another choice of its members is another entry.
    key = fingerprint(preset.sha256, *preset.members, *preset.members.values())
    return build_once(f"presets/{preset.name}-{key}", preset.members.values(), build, progress)


def fetch_and_unpack(
    file: PackageFile, members: Mapping[str, str], into: Path, progress: Progress | None = None
) -> None:
    """Fetch and check one file of the package index and copy `members` (path in it -> file name) into a folder.

    Raises: `DownloadError`, see `fetch_file` and `unpack`.
    """
    with tempfile.TemporaryDirectory(dir=into) as downloads:
        archive = fetch_file(file, Path(downloads), progress)
        if progress:
            progress(f"unpacking {file.filename}")
        unpack(archive, members, into)


def fingerprint(*parts: str) -> str:
    """Return 12 hex digits that change with any of the parts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
