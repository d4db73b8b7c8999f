"""The lines of plain text and the rows of jsonl, compressed or not, decoded as they are read."""

from __future__ import annotations

import dataclasses
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from keras_bert_zoo.data.tables import check_column
from keras_bert_zoo.errors import DataError
from keras_bert_zoo.zoo.cache import Meter

INVALID = ("replace", "refuse")

_LONGEST_LINE = 2**24  # bytes of plain text that are taken at once; a longer line comes in pieces
_LONGEST_ROW = 2**26  # bytes of one line of jsonl
_STEP = 2**20  # bytes between two calls of a meter
_BUFFER = 2**18
_SEEN = 8000  # bytes at a file's beginning where a zero byte tells that it is no text: git's rule
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclasses.dataclass
class Counts:
    """What a pass over a corpus met: `bytes` of unpacked text, characters `replaced`, documents `cut` in two."""

    documents: int = 0
    sentences: int = 0
    bytes: int = 0
    replaced: int = 0
    cut: int = 0


@dataclasses.dataclass
class Reading:
    """One pass over files: what is invalid, what was counted, and who is told how far it is."""

    invalid: str
    counts: Counts
    meter: Meter | None
    size: int
    done: int = 0  # bytes on disk of the files that are read
    told: int = 0  # the unpacked bytes at the last call of the meter

    def tell(self, place: Callable[[], int], *, at_end: bool = False) -> None:
        """Call the meter if enough was read since: `place` tells the bytes on disk of the file that is open."""
        if self.meter and (at_end or self.counts.bytes - self.told >= _STEP):
            self.told = self.counts.bytes
            self.meter(self.done + place(), self.size)

    def decoded(self, raw: bytes, path: Path, line: int) -> str:
        """Decode a line.  Raises: DataError where it is not UTF-8 and is to be refused."""
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            if self.invalid == "refuse":
                raise DataError(
                    f"{path}, line {line}: byte 0x{raw[error.start]:02x} is not UTF-8. "
                    'Save the file as UTF-8, or allow it to be replaced: invalid="replace".'
                ) from None
            text = raw.decode("utf-8", "replace")
            self.counts.replaced += text.count("\ufffd") - raw.count(b"\xef\xbf\xbd")  # some may have stood there
            return text

    def without_surrogates(self, text: str, path: Path, line: int) -> str:
        """JSON can spell half of a surrogate pair, UTF-8 cannot.  Raises: DataError where that is to be refused."""
        if (found := _SURROGATE.search(text)) is None:
            return text
        if self.invalid == "refuse":
            raise DataError(f"{path}, line {line}: the lone surrogate {found[0]!a} is no character.")
        text, count = _SURROGATE.subn("\ufffd", text)
        self.counts.replaced += count
        return text


def is_rows(path: Path) -> bool:
    """Tell whether a file is jsonl, rather than plain text, by its name."""
    return path.name.lower().removesuffix(".gz").endswith(".jsonl")


def texts_of(path: Path, reading: Reading) -> Iterator[str]:
    """Yield the lines of plain text, without their ends; one longer than 16 MiB comes in pieces."""
    number, rest = 1, b""
    with _opened(path, reading) as (file, place):
        while raw := file.readline(_LONGEST_LINE):
            reading.counts.bytes += len(raw)
            raw = rest + raw
            whole = raw.endswith(b"\n")
            end = len(raw) if whole or len(raw) < _LONGEST_LINE else _cut_before(raw)
            yield reading.decoded(raw[:end], path, number).removesuffix("\n").removesuffix("\r")
            rest = raw[end:]
            number += whole
            reading.tell(place.tell)  # not called for each line: it takes longer than reading one
        if rest:
            yield reading.decoded(rest, path, number)


def rows_of(path: Path, column: str, reading: Reading) -> Iterator[str]:
    """Yield the texts of a jsonl file.  Raises: DataError for a line that is no object with that text."""
    with _opened(path, reading) as (file, place):
        number = 0
        while raw := file.readline(_LONGEST_ROW + 1):
            number += 1
            if len(raw) > _LONGEST_ROW:
                raise DataError(f"{path}, line {number}: longer than {_LONGEST_ROW:,} bytes. Use plain text for it.")
            reading.counts.bytes += len(raw)
            if not raw.isspace():
                yield _text_of(raw, column, path, number, reading)
            reading.tell(place.tell)  # not called for each line: it takes longer than reading one


def _text_of(raw: bytes, column: str, path: Path, number: int, reading: Reading) -> str:
    line = reading.decoded(raw, path, number)
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}, line {number}: not JSON: {error}.") from None
    if not isinstance(row, dict):
        raise DataError(f"{path}, line {number}: want one JSON object a line, got {type(row).__name__}.")
    check_column(f"{path}, line {number}", "text", column, list(row))
    text = row[column]
    if not isinstance(text, str):
        raise DataError(f"{path}, line {number}: '{column}' must be a string, got {type(text).__name__}.")
    return reading.without_surrogates(text, path, number) if b"\\u" in raw else text


@contextmanager
def _opened(path: Path, reading: Reading) -> Iterator[tuple[io.BufferedReader, IO[bytes]]]:
    """Open a file behind its byte order mark; also hand out the file on disk, whose place tells how far it is."""
    try:
        with path.open("rb") as disk:
            with _unpacked(disk, path) as file:
                begin = file.peek(_SEEN)[:_SEEN]
                if begin.startswith(_UTF16):
                    raise DataError(f"{path}: this is UTF-16. Save the file as UTF-8.")
                if b"\0" in begin:
                    raise DataError(f"{path}: there are zero bytes in it, so this is no text. Leave the file out.")
                if begin.startswith(b"\xef\xbb\xbf"):
                    reading.counts.bytes += len(file.read(3))
                yield file, disk
            reading.done += path.stat().st_size
    except EOFError:
        raise DataError(f"{path}: the compressed file ends too early. Fetch or make it again.") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: not whole gzip: {error}. Fetch or make it again.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def _unpacked(disk: io.BufferedReader, path: Path) -> io.BufferedReader:
    if not path.name.lower().endswith(".gz"):
        return disk
    unpacked = gzip.GzipFile(fileobj=disk)
    return io.BufferedReader(unpacked, _BUFFER)  # GzipFile's own readline is slow


def _cut_before(raw: bytes) -> int:
    """Return where to cut a long line: before its last white space if that is near, else between two characters."""
    end = raw.rfind(b" ", len(raw) - 4096)
    if end > 0:
        return end
    end = len(raw) - 1
    while end > len(raw) - 4 and raw[end] & 0xC0 == 0x80:  # the inside of a character
        end -= 1
    return end
