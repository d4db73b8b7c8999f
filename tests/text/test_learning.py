"""WordPiece learnt: the same as byte-pair encoding done naively, and the same on every run."""

import itertools
import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import keras_bert_zoo as kbz
from keras_bert_zoo.errors import VocabularyError
from keras_bert_zoo.text import learning
from keras_bert_zoo.text.learning import learn_pieces, measure_fit

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
# Many words, many of them met equally often: ties everywhere.
_DRAW = random.Random(3)
WORDS = {
    "".join(_DRAW.choices("abcdeé漢", weights=(9, 7, 5, 3, 3, 2, 1), k=_DRAW.randint(1, 9))): 0 for _ in range(300)
}
COUNTS = {word: _DRAW.choice((1, 2, 3, 5, 40)) for word in WORDS}


def naive(counts, size, min_frequency):
    """Sennrich et al. 2016, figure 1, with ## and ties by the numbers of the pair; nothing is kept between rounds."""
    letters = sorted({c for word in counts for c in word})
    tokens = [*SPECIAL, *letters, *(f"##{c}" for c in sorted({c for w in counts if len(w) > 1 for c in w}))]
    words = {word: [word[0], *(f"##{c}" for c in word[1:])] for word in counts}
    while len(tokens) < size:
        pairs = Counter()
        for word, pieces in words.items():
            for pair in itertools.pairwise(pieces):
                pairs[pair] += counts[word]
        if not pairs:
            break
        left, right = min(pairs, key=lambda pair: (-pairs[pair], *map(tokens.index, pair)))
        if pairs[left, right] < min_frequency:
            break
        joined = left + right.removeprefix("##")
        if joined not in tokens:
            tokens.append(joined)
        for pieces in words.values():
            for i in range(len(pieces) - 1):
                if pieces[i : i + 2] == [left, right]:
                    pieces[i : i + 2] = [joined]
    return tokens


@pytest.mark.parametrize(("size", "min_frequency"), [(40, 1), (150, 2), (10_000, 1), (10_000, 4)])
def test_joins_are_those_of_byte_pair_encoding(size, min_frequency):
    wanted = naive(COUNTS, size, min_frequency)
    assert learn_pieces(COUNTS, size, min_frequency=min_frequency).tokens == wanted
    assert len(wanted) == size or size == 10_000


def test_other_processes_learn_the_same():
    script = (
        "import sys, json; from keras_bert_zoo.text.learning import learn_pieces\n"
        "print(json.dumps(learn_pieces(json.loads(sys.stdin.read()), 200).tokens))"
    )
    answers = set()
    for seed, items in (("1", list(COUNTS.items())), ("2", sorted(COUNTS.items())), ("3", list(COUNTS.items())[::-1])):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(kbz.__file__).parents[1])}
        given = json.dumps(dict(items))
        run = subprocess.run(
            [sys.executable, "-c", script], input=given, capture_output=True, text=True, check=True, env=environment
        )
        answers.add(run.stdout)
    assert len(answers) == 1


def test_what_comes_first():
    learnt = learn_pieces({"ab": 5, "b!": 3, "漢": 2, "é": 1}, 18, unused=2)
    alphabet = ["!", "a", "b", "漢", "##!", "##a", "##b"]
    assert learnt == ([*SPECIAL, "[unused0]", "[unused1]", *alphabet, "ab", "b!"], 4, 1)


def test_rare_characters_are_left_out_and_their_words_with_them():
    counts = {"ab": 9, "abz": 8, "cz": 8, "dd": 7, "q": 1}
    learnt = learn_pieces(counts, 50, limit_alphabet=4, min_frequency=2)  # z 16, a and b 17, d 14; c 8
    assert learnt == ([*SPECIAL, "a", "b", "d", "z", "##a", "##b", "##d", "##z", "ab", "abz", "dd"], 4, 2)
    assert learn_pieces({"b": 3, "a": 3, "c": 3, "dc": 1, "ba": 3}, 50, limit_alphabet=2).tokens[5:7] == ["a", "b"]
    assert "q" in learn_pieces(counts, 50, min_frequency=1).tokens


def test_of_very_many_words_a_share_is_fed(monkeypatch):
    learnt = learn_pieces(COUNTS, 10_000, min_frequency=1)
    many = {word: count * 1000 for word, count in COUNTS.items()}
    monkeypatch.setattr(learning, "_FED", sum(count for word, count in COUNTS.items() if len(word) > 1))
    monkeypatch.setattr(learning, "_LINE", 3)
    fed = Counter(word for line in learning._repeated(many) for word in line.split(" "))
    assert fed == {word: count for word, count in COUNTS.items() if len(word) > 1}
    assert learn_pieces(many, 10_000, min_frequency=1) == learnt


def test_how_it_fits():
    tokens = [*SPECIAL, "a", "b", "##a", "##b", "ab", "##ab"]
    fit = measure_fit({"ab": 6, "abab": 3, "bab": 2, "c": 4, "aaaaaa": 5}, tokens, word_limit=5)
    assert fit.tokens_per_word == (6 * 1 + 3 * 2 + 2 * 2 + 4 * 1 + 5 * 1) / 20
    assert (fit.whole, fit.unknown) == (6 / 20, 9 / 20)


@pytest.mark.parametrize(
    ("counts", "options", "told"),
    [
        ({"ab": 5}, {"size": 9}, r"size is 9, but .* characters take 9 alone\. Ask for more, or lower limit_alphabet"),
        ({"ab": 5}, {"size": 14, "unused": 5}, "characters take 14 alone"),
        ({"ab": 1}, {"size": 50}, "No word of the corpus is made of characters that it has 2 times or more"),
        ({}, {"size": 50}, "No word of the corpus"),
    ],
)
def test_what_makes_no_vocabulary(counts, options, told):
    with pytest.raises(VocabularyError, match=told):
        learn_pieces(counts, **options)
    if "size" in options and "ab" in counts and counts["ab"] == 5:
        assert len(learn_pieces(counts, **{**options, "size": options["size"] + 1}).tokens) == options["size"] + 1
