"""WordPiece learnt from counted words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from keras_bert_zoo.errors import VocabularyError
from keras_bert_zoo.text.vocabulary import SPECIAL_TOKENS

_FED = 2**25  # words that the trainer reads, repetitions counted: it takes 4 million a second
_LINE = 2**12  # words in one string for it


class Learnt(NamedTuple):
    """`tokens`, one per id; how many characters they know, and how many they do not."""

    tokens: list[str]
    characters: int
    characters_left_out: int


class Fit(NamedTuple):
    """How a vocabulary suits words: shares of all words, repetitions counted."""

    tokens_per_word: float
    whole: float  # words that are one token
    unknown: float  # words that no tokens spell


def learn_pieces(
    counts: Mapping[str, int], size: int, *, unused: int = 0, min_frequency: int = 2, limit_alphabet: int = 1000
) -> Learnt:
    """Learn a vocabulary of at most `size` tokens: special ones, `[unused0]` and on, characters, then what was joined.

    The `limit_alphabet` most frequent characters are known, and of them those met `min_frequency` times; a word with
    another one teaches nothing, since it could not be spelt.  Pieces are joined while they are met side by side
    `min_frequency` times.  The same counts give the same tokens, on every run and machine.

    Raises: VocabularyError where `size` has no room for more than characters, or there is nothing to learn from.
    Source: tokenizers, WordPieceTrainer, which joins as byte-pair encoding does (Sennrich et al. 2016).
    """
    met = Counter[str]()
    for word, count in counts.items():
        for character in word:
            met[character] += count
    frequent = [c for c in met if met[c] >= min_frequency]
    known = sorted(frequent, key=lambda c: (-met[c], c))[:limit_alphabet]
    alphabet = frozenset(known)
    spelt = {word: count for word, count in counts.items() if alphabet.issuperset(word)}
    inside = frozenset(character for word in spelt if len(word) > 1 for character in word)
    if not spelt:
        raise VocabularyError(
            f"No word of the corpus is made of characters that it has {min_frequency} times or more. Give it more text."
        )
    first = [*SPECIAL_TOKENS.values(), *(f"[unused{i}]" for i in range(unused)), *sorted(alphabet)]
    first += [f"##{character}" for character in sorted(inside)]
    if len(first) >= size:
        raise VocabularyError(
            f"size is {size:,}, but special tokens, [unused] ones and characters take {len(first):,} alone. "
            f"Ask for more, or lower limit_alphabet, which is {limit_alphabet:,}."
        )
    tokens = first + _joined(spelt, first, size, min_frequency)
    return Learnt(tokens, len(alphabet), len(met) - len(alphabet))


def measure_fit(counts: Mapping[str, int], tokens: list[str], *, word_limit: int) -> Fit:
    """Cut counted words into tokens, the longest first, as BERT does."""
    from tokenizers.models import WordPiece

    unknown = SPECIAL_TOKENS["unk"]
    ids = {token: id_ for id_, token in enumerate(tokens)}
    model = WordPiece(ids, unk_token=unknown, max_input_chars_per_word=word_limit, continuing_subword_prefix="##")
    total = pieces = whole = lost = 0
    for word, count in counts.items():
        cut = model.tokenize(word)
        total += count
        pieces += count * len(cut)
        lost += count * (cut[0].value == unknown)
        whole += count * (len(cut) == 1 and cut[0].value != unknown)
    return Fit(pieces / total, whole / total, lost / total)


def _joined(counts: Mapping[str, int], first: list[str], size: int, min_frequency: int) -> list[str]:
    """Return the tokens that the trainer adds to the `first` ones, in its order."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.pre_tokenizers import CharDelimiterSplit
    from tokenizers.trainers import WordPieceTrainer

    tokenizer = Tokenizer(WordPiece(unk_token=SPECIAL_TOKENS["unk"]))
    tokenizer.pre_tokenizer = CharDelimiterSplit(" ")
    # All characters are handed over as special tokens: the trainer would number those that begin with ## in the order
    # of its hash table, another one in each run, and it breaks ties by number (tokenizers issue 1794).
    trainer = WordPieceTrainer(
        vocab_size=size,
        min_frequency=min_frequency,
        special_tokens=first,
        continuing_subword_prefix="##",
        show_progress=False,
    )
    tokenizer.train_from_iterator(_repeated(counts), trainer)
    ids = tokenizer.get_vocab(with_added_tokens=False)
    return [token for token in sorted(ids, key=ids.__getitem__) if ids[token] >= len(first)]


def _repeated(counts: Mapping[str, int]) -> Iterator[str]:
    """Yield each word as often as it was counted: the trainer counts for itself, and cannot be handed counts.

    Of more than `_FED` words a proportional share is fed, rounded to whole numbers.  Single characters have nothing
    to join.
    """
    words = {word: count for word, count in counts.items() if len(word) > 1}
    share = min(1.0, _FED / max(sum(words.values()), 1))
    for word, count in words.items():
        left = count if share == 1 else round(count * share)
        while left > 0:
            yield " ".join([word] * min(left, _LINE))
            left -= _LINE
