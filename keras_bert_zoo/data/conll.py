"""Tagged words: files of columns (CoNLL), JSON lines, and lists in memory.

A row of the table is a sentence.  Its text are the words, joined by one space; its label is a list of the words as
(start, end, tag), in characters of that text.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from keras_bert_zoo.data import formats
from keras_bert_zoo.data.tables import IN_MEMORY, Table
from keras_bert_zoo.errors import DataError

_SPACE = re.compile(r"[ \t\n\r]")  # what parts words; the tokenizer reads a no-break space the same way
_NO_BREAK = "\u00a0"
_LANGUAGE = re.compile(r"[a-z][a-z-]*:")  # WikiANN writes en:word
_NO_WORD = re.compile(r"\d+[-.]\d+")  # CoNLL-U: the number of a token of several words, or of a word left out
_DOCUMENT = "-DOCSTART-"

Line = tuple[int, str, str]  # 1-based line, word, tag


def read_conll(path: str | os.PathLike[str], *, word: int = 1, tag: int | None = None) -> Table:
    """Read a file with a word a line, its tag in another column, and a blank line after each sentence.

    `word` and `tag` are columns, counted from 1: unless given the first and the last; CoNLL-U has them in 2 and 4.
    Columns are parted by tabs, or on a line without any by spaces.  Left out are `-DOCSTART-` lines, comments before a
    sentence's first word (a first column "#", unless the line has as many columns as the others; in CoNLL-U all that
    begins with "#") and CoNLL-U's numbers 3-4 and 3.1.  Where all words of a file begin with the same `en:`, as
    WikiANN's do, it is taken off.
    Raises: DataError naming file and line.
    """
    path = Path(path).expanduser()
    if word < 1 or (tag is not None and tag < 1):
        raise DataError(f"{path}: columns are counted from 1; got word={word}, tag={tag}.")
    sentences = list(_sentences(path, formats.decoded(path), word, tag))
    if not sentences:
        raise DataError(f"{path} has no words.")
    language = _language(sentences)
    words, tags, lines = [], [], []
    for sentence in sentences:
        lines.append(sentence[0][0])
        words.append([each.removeprefix(language) for _, each, _ in sentence])
        tags.append([each for _, _, each in sentence])
        for number, each, _ in sentence:
            if each == language:
                raise DataError(f"{path}, line {number}: '{language}' has no word after it.")
    return _table(words, tags, str(path), lines)


def from_words(words: Sequence[Any], tags: Sequence[Any] | None = None) -> Table:
    """Make a table from words and tags in memory: for each sentence a list, or one string with spaces between.

    White space inside a word becomes a no-break space.
    Raises: DataError naming the item where a word is empty or no string, or words and tags differ in number.
    """
    if tags is not None and len(tags) != len(words):
        raise DataError(f"{IN_MEMORY}: {len(words)} sentences but {len(tags)} sequences of tags.")
    lines = list(range(1, len(words) + 1))
    split = [_listed(cell, f"{IN_MEMORY}, item {i}", "words") for i, cell in zip(lines, words, strict=True)]
    if tags is None:
        return Table([_text(cell) for cell in split], None, None, IN_MEMORY, lines)
    split_tags = [_listed(cell, f"{IN_MEMORY}, item {i}", "tags") for i, cell in zip(lines, tags, strict=True)]
    return _table(split, split_tags, IN_MEMORY, lines)


def read_tagged(
    path: str | os.PathLike[str], *, text: str = "text", label: str = "label", text_pair: str | None = None
) -> Table:
    """Read a file of tagged words for a command: JSON lines of words and tags (`.jsonl`), else `read_conll`.

    `text` and `label` name the keys of the two, lists or strings with spaces between.  In a file of columns they are
    the columns' numbers, or "text" and "label" for the first and the last.
    Raises: DataError naming file and line.
    """
    path = Path(path).expanduser()
    if text_pair is not None:
        raise DataError(f"{path}: tagged words come in single texts. Leave out text_pair='{text_pair}'.")
    if path.suffix.lower() != ".jsonl":
        return read_conll(path, word=_column(path, text, "text") or 1, tag=_column(path, label, "label"))
    words: list[list[str]] = []
    tags: list[list[str]] = []
    lines = []
    for line, row in formats.parse(path, "jsonl", None).rows:
        for column, name, what in ((words, text, "words"), (tags, label, "tags")):
            if name not in row:
                raise DataError(f"{path}, line {line}: no key '{name}' for the {what}; found: {', '.join(row)}.")
            column.append(_listed(row[name], f"{path}, line {line}", what))
        lines.append(line)
    return _table(words, tags, str(path), lines)


def _column(path: Path, name: str, standard: str) -> int | None:
    if name == standard:
        return None
    if not name.isdecimal():
        raise DataError(f"{path}: its columns have numbers, from 1, not names; got {standard}='{name}'.")
    return int(name)


def _sentences(path: Path, content: str, word: int, tag: int | None) -> Iterator[list[Line]]:
    lines = [line.removesuffix("\r") for line in content.split("\n")]
    rows = [line.split("\t") if "\t" in line else [cell for cell in line.split(" ") if cell] for line in lines]
    usual = Counter(len(cells) for cells in rows if cells and not cells[0].startswith("#")).most_common(1)
    width = usual[0][0] if usual else 0
    sentence: list[Line] = []
    for number, (line, cells) in enumerate(zip(lines, rows, strict=True), start=1):
        comment = line.startswith("#") if word > 1 else line.startswith(("# ", "#\t")) and len(cells) != width
        if not line.strip() or cells[0] == _DOCUMENT:
            if sentence:
                yield sentence
            sentence = []
        elif not (comment and not sentence) and not (word > 1 and _NO_WORD.fullmatch(cells[0])):
            needed = max(word, tag or 0, 2)
            if len(cells) < needed or not cells[word - 1] or not cells[(tag or 0) - 1]:
                raise DataError(
                    f"{path}, line {number}: {line[:60]!r} lacks a word in column {word} or a tag in"
                    f" {f'column {tag}' if tag else 'the last column'}; columns are parted by tabs or spaces."
                )
            sentence.append((number, cells[word - 1], cells[(tag or 0) - 1]))
    if sentence:
        yield sentence


def _language(sentences: list[list[Line]]) -> str:
    first = _LANGUAGE.match(sentences[0][0][1])
    if first and all(word.startswith(first[0]) for sentence in sentences for _, word, _ in sentence):
        return first[0]
    return ""


def _listed(cell: Any, where: str, what: str) -> list[str]:
    parts = [part for part in _SPACE.split(cell) if part] if isinstance(cell, str) else cell
    if not isinstance(parts, (list, tuple)):
        raise DataError(f"{where}: the {what} must be a list of strings, or one string, got {cell!r:.60}.")
    for i, part in enumerate(parts, start=1):
        if not isinstance(part, str) or not part:
            raise DataError(f"{where}: number {i} of the {what} is {part!r:.60}, want a filled string.")
    return list(parts)


def _text(words: list[str]) -> str:
    return " ".join(_SPACE.sub(_NO_BREAK, word) for word in words)


def _table(words: list[list[str]], tags: list[list[str]], source: str, lines: list[int]) -> Table:
    item = "item" if source == IN_MEMORY else "line"
    labels = []
    for line, own, their in zip(lines, words, tags, strict=True):
        if len(own) != len(their):
            raise DataError(f"{source}, {item} {line}: {len(own)} words but {len(their)} tags; every word needs one.")
        spans, start = [], 0
        for word, tag in zip(own, their, strict=True):
            spans.append((start, start + len(word), tag))
            start += len(word) + 1
        labels.append(spans)
    return Table([_text(own) for own in words], None, labels, source, lines)
