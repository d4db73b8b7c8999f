"""One file of the web.  What breaks off is taken up again where it stopped, by this process or by a later one."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_bert_zoo._version import __version__
from keras_bert_zoo.errors import DownloadError
from keras_bert_zoo.zoo.cache import Meter, Progress, cache_root

MAX_BYTES = 8 * 2**30  # of one file; BERT-large in float32 is 1.3 GiB
FRUITLESS = 3  # tries in a row that may end no further than the best one before
PAUSE = 1.0  # seconds before the second fruitless try, twice that before the third
TIMEOUT = (15, 60)  # seconds to connect, and to wait for the next bytes
_PIECE = 2**16  # bytes
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # statuses that another try may not meet


@dataclass(frozen=True)
class WebFile:
    """A file at an address.  `filename` is what it is called in the cache; `sha256` is None where nobody tells it."""

    url: str
    filename: str
    sha256: str | None = None

    @property
    def address(self) -> str:
        return self.url


class _BrokenOff(Exception):
    """A try that another one may better."""


def by_hand(file: WebFile) -> Path:
    """Return where a user may put the file, who cannot or will not have it fetched."""
    return cache_root() / "archives" / file.filename


def kept(file: WebFile) -> Path:
    """Return where a download lies until it is unpacked."""
    return cache_root() / "downloads" / f"{hashlib.sha256(file.url.encode()).hexdigest()[:12]}-{file.filename}"


def download(file: WebFile, progress: Progress | None = None, meter: Meter | None = None) -> Path:
    """Return the file, whole but unchecked, in the cache's `downloads`; delete it when it is unpacked.

    Proxies, certificates and passwords are those of `requests` (HTTPS_PROXY, REQUESTS_CA_BUNDLE, ~/.netrc).
    `meter` is called with the bytes that are there and those of the whole file, where the server says so.

    Raises: DownloadError when it cannot be had; what has come so far is kept for the next call.
    """
    import requests

    whole = kept(file)
    if whole.is_file():
        return whole
    whole.parent.mkdir(parents=True, exist_ok=True)
    partial = whole.with_name(f"{whole.name}.partial")
    if progress:
        progress(f"fetching {file.filename}")
    best, fruitless = _size(partial), 0
    with requests.Session() as session:
        session.headers["User-Agent"] = f"keras-bert-zoo/{__version__}"
        while True:
            try:
                _fetch(session, file, partial, meter)
                break
            except _BrokenOff as error:
                reached = _size(partial)
                fruitless = 0 if reached > best else fruitless + 1
                best = max(best, reached)
                if fruitless == FRUITLESS:
                    raise DownloadError(
                        f"{file.url}: {error}. The {reached:,} bytes that came are kept: run this again to go on from"
                        f" there, or put the file into {by_hand(file).parent} as {file.filename}."
                    ) from error
                time.sleep(PAUSE * fruitless)
    os.replace(partial, whole)
    _note(partial).unlink(missing_ok=True)
    return whole


def forget(file: WebFile) -> None:
    """Delete what was kept of a download."""
    whole = kept(file)
    partial = whole.with_name(f"{whole.name}.partial")
    for path in (whole, partial, _note(partial)):
        path.unlink(missing_ok=True)


def _fetch(session: Any, file: WebFile, partial: Path, meter: Meter | None) -> None:
    """Try once to complete the partial file.  Raises: _BrokenOff, DownloadError, OSError of the disk."""
    there, validator = _size(partial), _validator(partial)
    headers = {"Accept-Encoding": "identity"}
    if there and validator:  # If-Range: whatever has changed meanwhile comes whole
        headers |= {"Range": f"bytes={there}-", "If-Range": validator}
    with _plain_errors():
        response = session.get(file.url, headers=headers, stream=True, timeout=TIMEOUT)
    with response:
        check_secure([*(hop.url for hop in response.history), response.url])
        start, total = _place(response, there)
        if response.status_code == 416 and start == there:
            return
        if start not in (0, there) or (start and response.headers.get("ETag", validator) != validator):
            partial.unlink(missing_ok=True)  # the server gave another piece than the one asked for: begin anew
            raise _BrokenOff("the server sent another part of the file than it was asked for")
        if total and total > MAX_BYTES:
            raise DownloadError(f"{file.url} is refused: {total:,} bytes; the limit is {MAX_BYTES:,}.")
        if not start:
            _note(partial).write_text(json.dumps({"validator": _strong(response)}), encoding="utf-8")
        # Without a buffer: what came is on the disk, whatever ends this process.
        with partial.open("ab" if start else "wb", buffering=0) as copy:
            done = start
            for piece in _pieces(response):
                done += copy.write(piece)
                if done > MAX_BYTES:
                    break
                if meter:
                    meter(done, total)
    if done > MAX_BYTES:
        partial.unlink()
        raise DownloadError(f"{file.url} is refused: it is longer than {MAX_BYTES:,} bytes, the limit.")
    if total is not None and done != total:
        raise _BrokenOff(f"it broke off after {done:,} of {total:,} bytes")


def _place(response: Any, there: int) -> tuple[int, int | None]:
    """Return where the body of an answer begins, -1 where it has no place in the file, and how long the file is."""
    status = response.status_code
    told = response.headers.get("Content-Range", "")
    if status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", told)
        return (int(match[1]), None if match[2] == "*" else int(match[2])) if match else (-1, None)
    if status == 416:  # nothing lies there: the file is whole, or it is another, shorter one
        match = re.fullmatch(r"bytes \*/(\d+)", told)
        return (there, there) if match and int(match[1]) == there else (-1, None)
    if status == 200:
        length = response.headers.get("Content-Length", "")
        return 0, int(length) if length.isdecimal() else None
    words = f"the server answers {status} {response.reason}"
    if status in _PASSING:
        raise _BrokenOff(words)
    raise DownloadError(
        f"{response.url}: {words}. Download the file by hand and put it into {cache_root() / 'archives'}, or see"
        " whether a newer keras-bert-zoo knows another address."
    )


def _pieces(response: Any) -> Iterator[bytes]:
    """Yield the body as it comes over the wire: a .gz that is called a transfer encoding is not unpacked."""
    with _plain_errors():
        yield from response.raw.stream(_PIECE, decode_content=False)


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    import requests
    import urllib3

    try:
        yield
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        reason = " ".join(str(error).split())
        raise _BrokenOff(f"it cannot be fetched ({type(error).__name__}: {reason})") from error


def check_secure(hops: list[str]) -> None:
    """Refuse a way that leads from https to http.  Raises: DownloadError."""
    for one, other in itertools.pairwise(hops):
        if one.startswith("https:") and not other.startswith("https:"):
            raise DownloadError(f"{one} is refused: it leads to {other}, where anybody on the way may change the file.")


def _strong(response: Any) -> str | None:
    """Return what tells this version of the file from every other, byte by byte; a weak tag does not."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else None


def _note(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.json")


def _validator(partial: Path) -> str | None:
    try:
        return json.loads(_note(partial).read_text(encoding="utf-8"))["validator"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None  # then the file is fetched from its beginning


def _size(partial: Path) -> int:
    return partial.stat().st_size if partial.is_file() else 0
