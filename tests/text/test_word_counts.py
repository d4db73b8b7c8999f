"""Words counted: those of the original's own splitting, whatever the text, and however little fits into memory."""

import tempfile
from collections import Counter
from pathlib import Path

import pytest
import text_strings
from test_against_original import moved
from text_oracles import HuggingFace, Original, needs_garden

from keras_bert_zoo.errors import DataError
from keras_bert_zoo.text import word_counts
from keras_bert_zoo.text.rules import Switches
from keras_bert_zoo.text.word_counts import count_words

UNCASED, CASED = Switches("original", True, True, True), Switches("original", False, False, True)
NO_CJK = Switches("original", True, False, False)


def counts(texts, switches=UNCASED, word_limit=200):
    return dict(count_words(texts, switches, word_limit=word_limit).counts)


@needs_garden
@pytest.mark.parametrize("switches", [UNCASED, CASED], ids=["uncased", "cased"])
def test_words_are_the_original_s(switches):
    made = text_strings.strings(seed=5, count=3000) + text_strings.TEXTS
    # The tokenizer keeps a part of the last private use for itself.
    texts = [text for text in made if not moved(text) and not any("\U000f0000" <= c < "\U000f2000" for c in text)]
    oracle = Original(text_strings.realistic_vocabulary(), lower=switches.lower)
    words = Counter(word for text in texts for word in oracle._words.tokenize(text))
    assert len(words) > 3000
    found = count_words(texts, switches, word_limit=10**6)
    assert found.counts == words
    assert (found.words, found.distinct, found.too_long) == (words.total(), len(words), 0)


def test_ideographs_stay_together_where_they_are_not_split():
    texts = ["中国 Übel, don't", "中国!"]
    assert counts(texts, NO_CJK) == {"中国": 2, "übel": 1, ",": 1, "don": 1, "'": 1, "t": 1, "!": 1}
    assert counts(texts) == {"中": 2, "国": 2, "ubel": 1, ",": 1, "don": 1, "'": 1, "t": 1, "!": 1}
    oracle = HuggingFace(text_strings.realistic_vocabulary(), strip_accents=False, split_cjk=False).tokenizer
    pieces = oracle.pre_tokenizer.pre_tokenize_str(oracle.normalizer.normalize_str(" ".join(texts)))
    assert counts(texts, NO_CJK) == Counter(word for word, _ in pieces)


def test_long_words_are_counted_apart():
    found = count_words(["abcde abcdef é" + "e" * 5, "abcdef 12345"], UNCASED, word_limit=5)
    assert found == ({"12345": 1, "abcde": 1}, 5, 2, 3)


def test_order_makes_no_difference_nor_does_memory(monkeypatch):
    texts = text_strings.strings(seed=6, count=400) + ["the same words the same"] * 3
    whole = count_words(texts, UNCASED, word_limit=200)
    keys = list(whole.counts)
    assert keys == sorted(keys, key=lambda word: (-whole.counts[word], word))
    assert list(count_words(texts[::-1], UNCASED, word_limit=200).counts) == keys
    monkeypatch.setattr(word_counts, "_HELD", 50)
    monkeypatch.setattr(word_counts, "_READ", 300)
    monkeypatch.setattr(word_counts, "_AT_ONCE", 7)
    little = count_words(texts, UNCASED, word_limit=200)
    assert little == whole
    assert list(little.counts) == keys
    monkeypatch.setattr(word_counts, "MOST_WORDS", 9)
    assert count_words(texts, UNCASED, word_limit=200) == whole._replace(counts={w: whole.counts[w] for w in keys[:9]})


def test_no_more_is_held_than_was_said(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(word_counts, "_HELD", 40)
    monkeypatch.setattr(word_counts, "_READ", 10)
    held, kept = [], []

    class Watched(word_counts._Counter):
        def _spill(self):
            held.append(len(self._held))
            super()._spill()
            kept.append(len(list(self._folder.iterdir())))

    monkeypatch.setattr(word_counts, "_Counter", Watched)
    assert len(counts([f"w{i} w{i + 1}" for i in range(500)])) == 501
    assert set(held) == {41}
    assert kept == list(range(1, len(held) + 1))
    assert len(held) > 10
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(word_counts, "_HELD", 2)

    def full(path, *mode, **options):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(DataError, match=r"kbz-words-\w+: counts of words cannot be kept there: No space left"):
        counts(["a b c d"])
    assert list(tmp_path.iterdir()) == []


def test_what_the_texts_raise_is_not_the_disk_s():
    def broken():
        yield "fine"
        raise PermissionError(13, "Permission denied", "/corpus/a.txt")

    with pytest.raises(PermissionError):
        counts(broken())
