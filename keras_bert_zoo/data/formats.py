"""The three file formats of a table, read and written.  Cells are kept exactly as they stand.

A parser returns the column names (None where every row brings its own) and the rows as (line, cells by column).
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

from keras_bert_zoo.errors import DataError

Line = tuple[int, dict[str, Any]]  # 1-based line on which a row starts, its cells by column


class Parsed(NamedTuple):
    header: list[str] | None
    rows: Iterator[Line]


def parse(path: Path, format: str, columns: list[str] | None, *, broken: list[int] | None = None) -> Parsed:
    """Read a file as "tsv", "csv" or "jsonl"; `columns` names the columns of a file without a header.

    Lines of tsv and csv with too few or too many cells are left out where their numbers can be put into `broken`.
    Raises: `DataError` naming file and line.
    """
    text = decoded(path)
    if not text.strip():
        raise DataError(f"{path} is empty.")
    if format == "jsonl":
        if columns is not None:
            raise DataError(f"{path}: a jsonl row names its own columns; leave out columns={columns}.")
        return Parsed(None, _json_rows(path, text))
    records = _tsv_records(text) if format == "tsv" else _csv_records(path, text)
    return _with_header(path, format, records, columns, broken)


def write(path: Path, format: str, columns: list[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows in one of the three formats, so that `parse` gives the same cells back; the file appears whole.

    Raises: `DataError` for a cell that the format has no way to write.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            _WRITERS[format](path, file, rows, columns)
        os.replace(partial, path)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}.") from error
    except (TypeError, ValueError) as error:  # from json and from encoding
        raise DataError(f"{path} cannot be written: {error}.") from error
    finally:
        partial.unlink(missing_ok=True)


def decoded(path: Path) -> str:
    """Return a UTF-8 file's text, without a byte order mark.  Raises: `DataError` naming file and line."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path} does not exist.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    data = data.removeprefix(b"\xef\xbb\xbf")  # some editors start UTF-8 files with a byte order mark
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8. Save the file as UTF-8."
        ) from None


def _with_header(
    path: Path,
    format: str,
    records: Iterator[tuple[int, list[str]]],
    columns: list[str] | None,
    broken: list[int] | None,
) -> Parsed:
    if columns is None:
        line, header = next(records, (1, []))
        source = f"the header has {len(header)}"
    else:
        line, header = 0, list(columns)
        source = f"columns= names {len(header)}"
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise DataError(f"{path}{f', line {line}' if line else ''}: column '{twice[0]}' appears twice.")

    def rows() -> Iterator[Line]:
        for line, cells in records:
            if len(cells) != len(header):
                if format == "tsv" and cells == [""]:  # a blank line cannot be a row of several cells
                    continue
                if broken is not None:
                    broken.append(line)
                    continue
                advice = " A tab or line break inside a cell needs csv or jsonl." if format == "tsv" else ""
                raise DataError(f"{path}, line {line}: {len(cells)} cells, {source} ({', '.join(header)}).{advice}")
            yield line, dict(zip(header, cells, strict=True))

    return Parsed(header, rows())


def _tsv_records(text: str) -> Iterator[tuple[int, list[str]]]:
    # str.splitlines would also break at U+2028, U+0085 and others, which belong to the text.
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    for number, line in enumerate(lines, start=1):
        yield number, line.removesuffix("\r").split("\t")


def _csv_records(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    limit = csv.field_size_limit(len(text) + 1)  # the default refuses a cell above 128 KiB
    try:
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        line = 1
        records = []
        for cells in reader:
            if cells:  # [] is a blank line
                records.append((line, cells))
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}, line {line}: {error}.") from None
    finally:
        csv.field_size_limit(limit)
    return iter(records)


def _json_rows(path: Path, text: str) -> Iterator[Line]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}, line {number}: not JSON: {error}.") from None
        if not isinstance(row, dict):
            raise DataError(f"{path}, line {number}: want one JSON object a line, got {type(row).__name__}.")
        yield number, row


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _plain_cell(path: Path, cell: object) -> str:
    if isinstance(cell, (str, int, float)):
        return str(cell)
    raise DataError(f"{path}: a cell of tsv or csv cannot hold {cell!r}; use jsonl.")


def _write_tsv(path: Path, file: IO[str], rows: Iterable[Mapping[str, Any]], columns: list[str]) -> None:
    file.write("\t".join(columns) + "\n")
    for row in rows:
        cells = [_plain_cell(path, row[name]) for name in columns]
        for cell in cells:
            if "\t" in cell or "\n" in cell or cell.endswith("\r"):
                raise DataError(f"{path}: tsv cannot hold the tab or line break in {cell[:60]!r}; use csv or jsonl.")
        file.write("\t".join(cells) + "\n")


def _write_csv(path: Path, file: IO[str], rows: Iterable[Mapping[str, Any]], columns: list[str]) -> None:
    writer = csv.writer(file)  # RFC 4180: quotes doubled, \r\n after each record
    writer.writerow(columns)
    writer.writerows([_plain_cell(path, row[name]) for name in columns] for row in rows)


def _write_jsonl(path: Path, file: IO[str], rows: Iterable[Mapping[str, Any]], columns: list[str]) -> None:
    for row in rows:
        file.write(json.dumps({name: row[name] for name in columns}, ensure_ascii=False, allow_nan=False) + "\n")


_WRITERS = {"tsv": _write_tsv, "csv": _write_csv, "jsonl": _write_jsonl}
FORMATS = tuple(_WRITERS)
