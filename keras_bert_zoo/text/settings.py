"""The tokenizer's settings as Hugging Face's tokenizer_config.json holds them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_bert_zoo.errors import VocabularyError
from keras_bert_zoo.files import new_file
from keras_bert_zoo.text.vocabulary import SPECIAL_TOKENS

FILE = "tokenizer_config.json"
_OURS = "keras_bert_zoo"  # what Hugging Face has no word for; its readers keep and ignore it
# Hugging Face's word for "no limit known": int(1e30).
_NO_MAX_LENGTH = int(1e30)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Everything about a tokenizer but its vocabulary, resolved: no field is "as the other one".

    `max_length` is the longest row the model takes, or None if unknown.
    """

    lower: bool
    strip_accents: bool
    split_cjk: bool = True
    rules: str = "original"
    word_limit: int = 200
    max_length: int | None = None
    special_tokens: Mapping[str, str] = dataclasses.field(default_factory=lambda: dict(SPECIAL_TOKENS))


def read_settings(folder: Path) -> dict[str, Any]:
    """Reads the folder's tokenizer_config.json as keyword arguments of `Tokenizer`; what it does not say is left out.

    Raises VocabularyError if the file is missing, damaged, or asks for what this tokenizer does not do.
    """
    path = folder / FILE
    try:
        config = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise VocabularyError(
            f"{path}: no such file, so nothing says whether the text is to be lower-cased. "
            "Pass lower=True for an uncased model or lower=False for a cased one."
        ) from error
    except ValueError as error:
        raise VocabularyError(f"{path}: not valid JSON ({error}).") from error
    if not isinstance(config, dict):
        raise VocabularyError(f"{path}: holds a JSON {type(config).__name__}, not an object.")
    if config.get("do_basic_tokenize") is False:
        raise VocabularyError(f"{path}: do_basic_tokenize is false; only BERT's own word splitting is supported.")

    found: dict[str, Any] = {}
    for key, name, kinds in (
        ("do_lower_case", "lower", (bool,)),
        ("strip_accents", "strip_accents", (bool, type(None))),
        ("tokenize_chinese_chars", "split_cjk", (bool,)),
    ):
        if key in config:
            if not isinstance(config[key], kinds):
                raise VocabularyError(f"{path}: {key} is {config[key]!r}, want true or false.")
            found[name] = config[key]
    limit = config.get("model_max_length")
    if limit is not None and not (isinstance(limit, int | float) and not isinstance(limit, bool) and limit > 0):
        raise VocabularyError(f"{path}: model_max_length is {limit!r}, want a whole number above 0.")
    if limit is not None and limit < 2**31:
        found["max_length"] = int(limit)
    special = dict(SPECIAL_TOKENS)
    for role in special:
        token = config.get(f"{role}_token")
        if isinstance(token, dict):  # Hugging Face's AddedToken
            token = token.get("content")
        if token is not None:
            if not isinstance(token, str):
                raise VocabularyError(f"{path}: {role}_token is {token!r}, want a string.")
            special[role] = token
    found["special_tokens"] = special
    ours = config.get(_OURS, {})
    return found | {key: ours[key] for key in ("rules", "word_limit") if key in ours}


def write_settings(settings: Settings, token_ids: Mapping[str, int], folder: Path, *, ours: Mapping[str, Any]) -> None:
    """Writes tokenizer_config.json with the fields that Hugging Face's BertTokenizer writes.

    `ours` holds the settings that Hugging Face has no word for; empty, the file is as theirs.
    """
    special = settings.special_tokens
    plain = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    config: dict[str, Any] = {
        "added_tokens_decoder": {
            str(id_): {"content": token, **plain}
            for id_, token in sorted((token_ids[token], token) for token in special.values())
        },
        "clean_up_tokenization_spaces": True,
        "do_lower_case": settings.lower,
        "extra_special_tokens": {},
        "model_max_length": _NO_MAX_LENGTH if settings.max_length is None else settings.max_length,
        "strip_accents": settings.strip_accents if settings.strip_accents != settings.lower else None,
        "tokenize_chinese_chars": settings.split_cjk,
        "tokenizer_class": "BertTokenizer",
    }
    config |= {f"{role}_token": token for role, token in special.items()}
    if ours:
        config[_OURS] = dict(ours)
    with new_file(folder / FILE) as partial:
        partial.write_text(json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
