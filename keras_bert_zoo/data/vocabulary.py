"""From a corpus to a vocabulary."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_bert_zoo.data.corpus import read_corpus
from keras_bert_zoo.errors import ConfigError, VocabularyError
from keras_bert_zoo.text.vocabulary import write_vocabulary
from keras_bert_zoo.zoo.cache import Meter, Progress

_WORD_LIMIT = 200  # characters, the original's: a longer word is [UNK] whatever the vocabulary


@dataclasses.dataclass(frozen=True)
class LearntVocabulary:
    """A vocabulary and how it suits its corpus.

    `words` counts the corpus's words, repetitions included.  `tokens_per_word` is the mean; `whole` is the share of
    words that are one token, `unknown` of those that no tokens spell.  `characters` are known, `characters_left_out`
    are not.  `documents` and `replaced` are those of `Corpus.counts`.
    """

    tokens: tuple[str, ...]
    words: int
    distinct_words: int
    tokens_per_word: float
    whole: float
    unknown: float
    characters: int
    characters_left_out: int
    documents: int
    replaced: int

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the tokens, and how many those are."""
        return {"size": len(self.tokens)} | {
            field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "tokens"
        }


def learn_vocabulary(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    size: int,
    lower: bool = True,
    strip_accents: bool | None = None,
    split_cjk: bool = True,
    unused: int = 0,
    min_frequency: int = 2,
    limit_alphabet: int = 1000,
    text: str = "text",
    invalid: str = "replace",
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    meter: Meter | None = None,
) -> LearntVocabulary:
    """Learn a WordPiece vocabulary of `size` tokens, and with `out` write it there as a vocab.txt.

    `source`, `text` and `invalid` are those of `read_corpus`; `lower`, `strip_accents` and `split_cjk` those of
    `Tokenizer`, whose own rules cut the corpus into words; `unused`, `min_frequency` and `limit_alphabet` see
    `text.learning.learn_pieces`.  The same text gives the same tokens, however it is cut into files and in whatever
    order they come.  `progress` is called with a sentence at every slow step, `meter` with bytes read and to read.

    Where the text has no more to teach there are fewer than `size` tokens.
    Raises: ConfigError where `out` is there already and `overwrite` is false; VocabularyError on numbers that make no
    vocabulary, or where `out` cannot be written; DataError as `read_corpus` and `Corpus.documents` do.
    """
    for name, value, least in (("unused", unused, 0), ("min_frequency", min_frequency, 1)):
        if value < least:
            raise VocabularyError(f"{name} is {value}, it must be at least {least}.")
    if limit_alphabet < 1:
        raise VocabularyError(f"limit_alphabet is {limit_alphabet}, it must be at least 1 character.")
    target = None if out is None else Path(out).expanduser()
    if target is not None and target.exists() and (target.is_dir() or not overwrite):
        advice = "Name a file in it." if target.is_dir() else "Choose another name, or allow overwriting (--overwrite)."
        raise ConfigError(f"{target} is there already. {advice}")
    corpus = read_corpus(source, text=text, invalid=invalid, progress=progress)

    if progress:
        progress("loading TensorFlow")
    from keras_bert_zoo.text.learning import learn_pieces, measure_fit
    from keras_bert_zoo.text.rules import Switches
    from keras_bert_zoo.text.word_counts import count_words

    switches = Switches("original", lower, lower if strip_accents is None else strip_accents, split_cjk)
    if progress:
        progress(f"reading {len(corpus.files):,} file{'s' * (len(corpus.files) != 1)}")
    sentences = (sentence for document in corpus.documents(meter) for sentence in document)
    counted = count_words(sentences, switches, word_limit=_WORD_LIMIT)
    if progress:
        progress(f"learning {size:,} tokens from {counted.words:,} words")
    learnt = learn_pieces(
        counted.counts, size, unused=unused, min_frequency=min_frequency, limit_alphabet=limit_alphabet
    )
    fit = measure_fit(counted.counts, learnt.tokens, word_limit=_WORD_LIMIT)
    if target is not None:
        try:
            write_vocabulary(learnt.tokens, target)
        except OSError as error:
            raise VocabularyError(f"{target} cannot be written: {error.strerror}.") from error
    return LearntVocabulary(
        tuple(learnt.tokens),
        words=counted.words,
        distinct_words=counted.distinct,
        tokens_per_word=fit.tokens_per_word,
        whole=fit.whole,
        unknown=fit.unknown,
        characters=learnt.characters,
        characters_left_out=learnt.characters_left_out,
        documents=corpus.counts.documents,
        replaced=corpus.counts.replaced,
    )
