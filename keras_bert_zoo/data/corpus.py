"""Plain text without end: files read one after another, document by document, in little memory."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from keras_bert_zoo.data.corpora import CORPORA, fetch_corpus
from keras_bert_zoo.data.corpus_files import INVALID, Counts, Reading, is_rows, rows_of, texts_of
from keras_bert_zoo.data.sentences import split_sentences
from keras_bert_zoo.errors import DataError
from keras_bert_zoo.zoo.cache import Meter, Progress

__all__ = ["CORPORA", "INVALID", "UNITS", "Corpus", "fetch_corpus", "read_corpus"]

UNITS = ("lines", "documents")
# A longer document goes on as another, so that none has to fit into memory.
LONGEST_DOCUMENT = 2**24  # characters
MOST_LINES = 2**17


@dataclasses.dataclass
class Corpus:
    """The documents of some files; see `read_corpus`.  `counts` tells of the pass that began last."""

    files: tuple[Path, ...]
    text: str = "text"
    unit: str = "lines"
    invalid: str = "replace"
    language: str = "en"
    counts: Counts = dataclasses.field(default_factory=Counts, compare=False)
    is_part: bool = dataclasses.field(default=False, compare=False)  # one of `parts` may well have no text

    @property
    def size(self) -> int:
        """How many bytes the files have on disk."""
        return sum(path.stat().st_size for path in self.files)

    @property
    def reading(self) -> dict[str, str]:
        """How text is taken from the files: `read_corpus`'s options, for accounts and for other processes."""
        return {"text": self.text, "unit": self.unit, "invalid": self.invalid, "language": self.language}

    def __str__(self) -> str:
        return _named(self.files)

    def documents(self, meter: Meter | None = None) -> Iterator[list[str]]:
        """Read the files once more and yield each document's sentences; no document is empty and no sentence blank.

        `meter` is called with the bytes on disk that were read and those of all files.
        Raises: DataError where a file cannot be read, or none of them has any text.
        """
        self.counts = counts = Counts()
        reading = Reading(self.invalid, counts, meter, self.size)
        for path in self.files:
            for sentences in self._documents_of(path, reading):
                counts.documents += 1
                counts.sentences += len(sentences)
                yield sentences
        reading.tell(lambda: 0, at_end=True)
        if not counts.documents and not self.is_part:
            raise DataError(f"{self}: there is no text in {'it' if len(self.files) == 1 else 'them'}.")

    def parts(self, count: int) -> list[Corpus]:
        """Divide the files, in their order, among at most `count` corpora of about equal size; a file stays whole."""
        if count < 1:
            raise DataError(f"a corpus cannot be divided into {count} parts; want 1 or more.")
        groups: list[list[Path]] = [[] for _ in range(count)]
        total, before = max(self.size, 1), 0
        for path in self.files:
            size = path.stat().st_size
            groups[min((2 * before + size) * count // (2 * total), count - 1)].append(path)  # where its middle lies
            before += size
        return [
            dataclasses.replace(self, files=tuple(group), counts=Counts(), is_part=True) for group in groups if group
        ]

    def _documents_of(self, path: Path, reading: Reading) -> Iterator[list[str]]:
        if is_rows(path):
            for row in rows_of(path, self.text, reading):
                lines = [row] if self.unit == "documents" else row.split("\n")
                yield from self._cut(lines, reading.counts, blank_parts=False)
        else:
            yield from self._cut(texts_of(path, reading), reading.counts, blank_parts=True)

    def _cut(self, lines: Iterator[str] | list[str], counts: Counts, *, blank_parts: bool) -> Iterator[list[str]]:
        """Yield the documents among lines; `blank_parts` tells whether blank lines part them."""
        found: list[str] = []
        length = 0
        for line in lines:
            for piece in [line] if len(line) <= LONGEST_DOCUMENT else _pieces(line):
                blank = not piece.strip()
                full = bool(found) and (length + len(piece) > LONGEST_DOCUMENT or len(found) == MOST_LINES)
                if (blank and blank_parts) or full:
                    counts.cut += full
                    if document := self._sentences(found):
                        yield document
                    found, length = [], 0
                if not blank:
                    found.append(piece)
                    length += len(piece) + 1
        if document := self._sentences(found):
            yield document

    def _sentences(self, lines: list[str]) -> list[str]:
        if self.unit == "lines":
            return [line.strip() for line in lines]
        return list(split_sentences("\n".join(lines), self.language))


def read_corpus(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    text: str = "text",
    unit: str = "lines",
    invalid: str = "replace",
    language: str = "en",
    progress: Progress | None = None,
) -> Corpus:
    """Find the files of a corpus; nothing is read before `Corpus.documents` is asked for them.

    `source` is a file, a folder, which is searched through (hidden names left out, sorted), or several of them; or a
    name of `CORPORA`, which is fetched on first use (`./name` is a folder of that name).  A `.jsonl` file has an object
    a line, whose `text` is a document; any other is plain text; each may be `.gz` too.
    `unit` "lines": a sentence a line, with blank lines between documents, as the original takes it; "documents":
    running text, which is cut into sentences by the rules of `language`.  Documents end with their files.  `invalid`
    says what becomes of bytes that are not UTF-8: "replace" (by U+FFFD, and counted) or "refuse".  A document of more
    than `LONGEST_DOCUMENT` characters or `MOST_LINES` lines is cut, and counted.

    Raises: DataError for an unknown `unit`, `invalid` or `language`, and where there is no such file or none at all;
    DownloadError as `fetch_corpus` does.
    """
    if unit not in UNITS:
        raise DataError(f"unit is {unit!r}, want one of {', '.join(map(repr, UNITS))}.")
    if invalid not in INVALID:
        raise DataError(f"invalid is {invalid!r}, want one of {', '.join(map(repr, INVALID))}.")
    if not re.fullmatch("[a-z]{2,3}", language):
        raise DataError(f"language is {language!r}, want a code of ISO 639 such as 'en' or 'de'.")
    sources = [source] if isinstance(source, str | os.PathLike) else list(source)
    files: dict[Path, Path] = {}  # each file once, however often it is named
    for one in sources:
        named = isinstance(one, str) and one in CORPORA
        for path in [fetch_corpus(str(one), progress=progress)] if named else _files(Path(one).expanduser()):
            files.setdefault(path.resolve(), path)
    if not files:
        raise DataError(f"{_named([Path(one) for one in sources])}: no file is there. Want .txt or .jsonl files.")
    return Corpus(tuple(files.values()), text, unit, invalid, language)


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise DataError(f"{path} does not exist. A corpus is a file, a folder, or one of: {', '.join(CORPORA)}.")
    if not path.is_dir():
        return [path]
    found = []
    for folder, folders, names in os.walk(path, onerror=_unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(folder, name) for name in names if not name.startswith(".")]
    return sorted(found, key=lambda file: file.relative_to(path).parts)


def _unreadable(error: OSError) -> None:
    raise DataError(f"{error.filename} cannot be read: {error.strerror}.") from error


def _pieces(line: str) -> Iterator[str]:
    return (line[start : start + LONGEST_DOCUMENT] for start in range(0, len(line), LONGEST_DOCUMENT))


def _named(paths: Sequence[Path]) -> str:
    if not paths:
        return "the corpus"
    return str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
