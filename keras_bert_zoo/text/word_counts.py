"""The words of a text without end, counted exactly and in bounded memory, as our tokenizer sees them."""

from __future__ import annotations

import heapq
import itertools
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import tensorflow as tf

from keras_bert_zoo.errors import DataError
from keras_bert_zoo.files import cleared
from keras_bert_zoo.text.normalizer import Normalizer
from keras_bert_zoo.text.rules import CJK_RANGES, Switches

MOST_WORDS = 2**19  # that are handed on; the rarer ones shape no vocabulary
_HELD = 2**19  # distinct words in memory: when there are more, they go to disk
_READ = 2**25  # characters between two times that what lies between spaces is cut into words
_AT_ONCE = 2**15  # texts normalised in one call

_ALONE = "!-/:-@\\[-`{-~" + "".join(f"{chr(low)}-{chr(high)}" for low, high in CJK_RANGES)  # ASCII punctuation, CJK
_FIND_ALONE = re.compile(f"[{_ALONE}]|[^{_ALONE}]+")


class WordCounts(NamedTuple):
    """`counts` holds the `MOST_WORDS` most frequent words, in an order that is a function of them and their counts.

    `words` is how many there are in all, repetitions counted, `distinct` without them; `too_long` of the `words` are
    longer than the limit, and are in neither of the other two.
    """

    counts: Mapping[str, int]
    words: int
    distinct: int
    too_long: int


def count_words(texts: Iterable[str], switches: Switches, *, word_limit: int) -> WordCounts:
    """Count the words of texts, whose order makes no difference.

    Memory is bounded: whenever more than half a million distinct words are held they are written to disk in sorted
    order, and all such runs are merged at the end.  `word_limit` is in characters.
    Raises: DataError where the disk is full.
    """
    folder = Path(tempfile.mkdtemp(prefix="kbz-words-"))
    with cleared(lambda: shutil.rmtree(folder, ignore_errors=True)):
        counter = _Counter(folder, _Splitter(switches), word_limit)
        try:
            for text in texts:
                counter.add(text)
            return counter.result()
        except OSError as error:
            if isinstance(error.filename, str) and not error.filename.startswith(str(folder)):
                raise
            raise DataError(f"{folder}: counts of words cannot be kept there: {error.strerror}. Set TMPDIR.") from error


class _Splitter:
    """Cuts texts without spaces into words, with the normaliser that tokenizers run in the graph."""

    def __init__(self, switches: Switches) -> None:
        normalizer = Normalizer(switches)
        self._back = {ord(alias): character for character, alias in normalizer.aliases.items()}
        self._op_splits = switches.split_cjk  # else the normaliser puts spaces around all that stands alone
        self._normalize = tf.function(
            lambda texts: normalizer.normalize(normalizer.lower_final_sigma(texts)),
            input_signature=[tf.TensorSpec([None], tf.string)],
            autograph=False,
        )

    def words(self, texts: Mapping[str, int]) -> Iterator[tuple[str, int]]:
        """Yield each text's words with the text's count."""
        items = iter(texts.items())
        while some := list(itertools.islice(items, _AT_ONCE)):
            normal = self._normalize(tf.constant([text.encode() for text, _ in some])).numpy()
            for spaced, (_, count) in zip(normal, some, strict=True):
                for part in spaced.decode().split():
                    for word in self._cut(part):
                        yield word, count

    def _cut(self, part: str) -> Iterable[str]:
        if part.isascii() and part.isalnum():
            return (part,)
        words = _FIND_ALONE.findall(part) if self._op_splits else [part]
        return words if part.isascii() else [word.translate(self._back) for word in words]


class _Counter:
    def __init__(self, folder: Path, splitter: _Splitter, word_limit: int) -> None:
        self._folder, self._splitter, self._word_limit = folder, splitter, word_limit
        self._between_spaces: Counter[str] = Counter()
        self._characters = 0
        self._held: Counter[str] = Counter()
        self._runs: list[Path] = []
        self._words = self._too_long = 0

    def add(self, text: str) -> None:
        # At spaces alone, whatever the rules: most of what lies between them comes again and again, and is counted
        # here before it is cut into words.
        self._between_spaces.update(text.split(" "))
        self._characters += len(text)
        if self._characters >= _READ:
            self._cut()

    def result(self) -> WordCounts:
        self._cut()
        distinct = 0

        def counted() -> Iterator[tuple[int, str]]:
            nonlocal distinct
            for word, count in self._merged():
                distinct += 1
                yield -count, word

        most = heapq.nsmallest(MOST_WORDS, counted())
        return WordCounts({word: -count for count, word in most}, self._words, distinct, self._too_long)

    def _cut(self) -> None:
        for word, count in self._splitter.words(self._between_spaces):
            self._words += count
            if len(word) > self._word_limit:
                self._too_long += count
                continue
            self._held[word] += count
            if len(self._held) > _HELD:
                self._spill()
        self._between_spaces.clear()
        self._characters = 0

    def _spill(self) -> None:
        path = self._folder / f"{len(self._runs)}"
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{word} {count}\n" for word, count in sorted(self._held.items()))
        self._runs.append(path)
        self._held.clear()

    def _merged(self) -> Iterator[tuple[str, int]]:
        if not self._runs:
            yield from self._held.items()
            return
        runs = [_run(path) for path in self._runs]
        both = heapq.merge(*runs, sorted(self._held.items()))
        for word, same in itertools.groupby(both, key=lambda counted: counted[0]):
            yield word, sum(count for _, count in same)


def _run(path: Path) -> Iterator[tuple[str, int]]:
    with path.open(encoding="utf-8", newline="\n") as file:
        for line in file:
            word, _, count = line.rpartition(" ")
            yield word, int(count)
