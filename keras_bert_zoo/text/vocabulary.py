"""Vocabulary files: one token a line, where the line's number, from 0, is the token's id."""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from keras_bert_zoo.errors import VocabularyError
from keras_bert_zoo.files import new_file

# Role -> token, as in every published BERT.
SPECIAL_TOKENS: Mapping[str, str] = {
    "pad": "[PAD]",
    "unk": "[UNK]",
    "cls": "[CLS]",
    "sep": "[SEP]",
    "mask": "[MASK]",
}


def read_vocabulary(path: str | os.PathLike[str]) -> list[str]:
    """Reads the tokens of a vocab.txt, stripped of surrounding white space as the original does.

    Raises VocabularyError if the file is missing, empty or not UTF-8.
    Source: google-research/bert tokenization.py, load_vocab.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise VocabularyError(f"{path}: no such vocabulary file. It holds one token a line.") from error
    lines = data.split(b"\n")  # only here: other line ends, such as U+2028, may be tokens
    if lines[-1] == b"":
        lines.pop()
    if not lines:
        raise VocabularyError(f"{path}: the vocabulary is empty. It must hold one token a line.")
    tokens = []
    for id_, line in enumerate(lines):
        try:
            tokens.append(line.decode("utf-8").strip())
        except UnicodeDecodeError as error:
            raise VocabularyError(
                f"{path}: line {id_ + 1} (id {id_}) is not UTF-8: {line[:40]!r}. Save the file as UTF-8."
            ) from error
    return tokens


def read_tokenizer_json(path: str | os.PathLike[str]) -> list[str]:
    """Reads the tokens of a tokenizer.json, all that newer versions of transformers write, in the order of their ids.

    Raises VocabularyError if it is damaged, no WordPiece, or its ids leave a gap.
    Source: tokenizers, the JSON of models/wordpiece.
    """
    try:
        model = json.loads(Path(path).read_bytes())["model"]
        kind, ids = model["type"], dict(model["vocab"])
    except (ValueError, KeyError, TypeError) as error:
        raise VocabularyError(f"{path}: not a tokenizer's JSON ({type(error).__name__}: {error}).") from error
    if kind != "WordPiece" or model.get("continuing_subword_prefix", "##") != "##":
        raise VocabularyError(f"{path}: its model is {kind!r}; a BERT's is WordPiece with '##' before later pieces.")
    if sorted(ids.values()) != list(range(len(ids))):
        raise VocabularyError(f"{path}: the ids of its {len(ids):,} tokens are not numbered from 0 without a gap.")
    return sorted(ids, key=lambda token: ids[token])


def write_vocabulary(vocabulary: Sequence[str], path: str | os.PathLike[str]) -> None:
    """Writes one token a line, aside first and then moved into place.

    Raises VocabularyError for a token with a line end, which the file could not hold.
    """
    for id_, token in enumerate(vocabulary):
        if "\n" in token:
            raise VocabularyError(f"{path}: token {id_} is {token!r}; a line end inside a token cannot be written.")
    with new_file(Path(path)) as partial:
        partial.write_bytes("".join(f"{token}\n" for token in vocabulary).encode("utf-8"))


def check_vocabulary(
    vocabulary: Sequence[str], special_tokens: Mapping[str, str], *, duplicates: str, where: str
) -> dict[str, int]:
    """Looks up every token's id and checks that the vocabulary can be used.

    `duplicates` is "error", or "last": the later id then wins and the earlier one is never produced, as in the
    original.  `where` names the source in errors.  Returns token -> id.
    Raises VocabularyError for an empty vocabulary, a missing special token or a token twice.
    """
    if not vocabulary:
        raise VocabularyError(f"{where}: the vocabulary is empty. It must hold one token per id.")
    ids: dict[str, int] = {}
    for id_, token in enumerate(vocabulary):
        if duplicates == "error" and token and token in ids:
            raise VocabularyError(
                f"{where}: '{token}' stands twice, on lines {ids[token] + 1} and {id_ + 1} "
                f"(ids {ids[token]} and {id_})."
                ' Remove one, keeping the count of lines, or pass duplicates="last" to use the later id.'
            )
        ids[token] = id_
    missing = [token for token in special_tokens.values() if token not in ids]
    if missing:
        raise VocabularyError(
            f"{where}: no {', '.join(missing)} among its {len(vocabulary):,} tokens. "
            "A BERT vocabulary has them all; if yours names them otherwise, pass special_tokens."
        )
    return ids


def reachable_tokens(vocabulary: Sequence[str], ids: Mapping[str, int]) -> list[str]:
    """The vocabulary as the WordPiece builder takes it: tokens that no text can give are replaced.

    Those are a duplicate's earlier line, empty tokens, a bare '##', and tokens with white space or control
    characters, which cleaning takes out of every text.
    """

    def usable(id_: int, token: str) -> bool:
        clean = not any(c.isspace() or unicodedata.category(c) == "Cc" for c in token)
        return clean and token not in ("", "##") and ids[token] == id_

    return [token if usable(id_, token) else f"\x12{id_}" for id_, token in enumerate(vocabulary)]
