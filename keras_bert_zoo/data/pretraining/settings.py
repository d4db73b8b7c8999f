"""What pretraining examples are to be like."""

from __future__ import annotations

import dataclasses
from typing import Any

from keras_bert_zoo.errors import ConfigError

MASKS = ("dynamic", "static")
PAIRS = ("next_sentence", "none")
NAMES = ("google", "model_garden")
KINDS = {"dynamic": "ids", "static": "masked"}
_LONGEST = 65_535  # a row's lengths are spooled in two bytes
_MOST_COPIES = 10_000


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of pretraining examples, checked at birth.

    `masks`: "dynamic" writes token ids only, training draws masks anew each epoch; "static" draws them now.
    `pairs`: "next_sentence", or "none" for one segment a row.  `names`: of the features, see `examples.feature_names`.
    `max_predictions`: places a row has for masks; a `mask_share` of `max_length` unless given.  `dupe_factor`: how
    often the corpus is gone through; 10 unless given where masks are static, else 1.  `short_share`: documents that
    get a shorter target length.  `max_ngram`: words next to one another that may be masked as one; needs
    `whole_words`.
    Raises: ConfigError.
    Source of the defaults: google-research/bert create_pretraining_data.py.
    """

    masks: str = "dynamic"
    pairs: str = "next_sentence"
    names: str = "google"
    max_length: int = 128
    max_predictions: int | None = None
    mask_share: float = 0.15
    whole_words: bool = False
    max_ngram: int = 1
    short_share: float = 0.1
    dupe_factor: int | None = None
    seed: int = 12345

    def __post_init__(self) -> None:
        for field, known in (("masks", MASKS), ("pairs", PAIRS), ("names", NAMES)):
            if getattr(self, field) not in known:
                choices = ", ".join(map(repr, known))
                raise ConfigError(f"{field} is {getattr(self, field)!r}, want one of {choices}.")
        if not self.special + 2 <= self.max_length <= _LONGEST:
            raise ConfigError(
                f"max_length is {self.max_length}, want {self.special + 2} to {_LONGEST:,}: "
                f"{self.special} special tokens and two others."
            )
        if not 0 < self.mask_share < 1:
            raise ConfigError(f"mask_share is {self.mask_share}, want a share between 0 and 1.")
        if not 0 <= self.short_share <= 1:
            raise ConfigError(f"short_share is {self.short_share}, want a share from 0 to 1.")
        if self.max_predictions is not None and not 1 <= self.max_predictions <= self.max_length:
            raise ConfigError(f"max_predictions is {self.max_predictions}, want 1 to max_length, {self.max_length}.")
        if self.dupe_factor is not None and not 1 <= self.dupe_factor <= _MOST_COPIES:
            raise ConfigError(f"dupe_factor is {self.dupe_factor}, want 1 to {_MOST_COPIES:,}.")
        if self.max_ngram < 1:
            raise ConfigError(f"max_ngram is {self.max_ngram}, want 1 or more.")
        if self.max_ngram > 1 and not self.whole_words:
            raise ConfigError(f"max_ngram is {self.max_ngram}: n-grams are of whole words, so set whole_words too.")
        if self.whole_words and self.masks == "dynamic":
            raise ConfigError("whole_words is for masks='static'; dynamic masks are drawn, and settled, in training.")
        if self.max_predictions is None:
            object.__setattr__(self, "max_predictions", max(1, round(self.mask_share * self.max_length)))
        if self.dupe_factor is None:
            object.__setattr__(self, "dupe_factor", 10 if self.masks == "static" else 1)

    @property
    def kind(self) -> str:
        """What the records hold: "ids" or "masked"."""
        return KINDS[self.masks]

    @property
    def special(self) -> int:
        """Special tokens a row has: [CLS], and [SEP] behind each segment."""
        return 3 if self.pairs == "next_sentence" else 2

    @property
    def room(self) -> int:
        """Tokens of a row that are not special."""
        return self.max_length - self.special

    @property
    def places(self) -> int:
        """`max_predictions`, settled."""
        assert self.max_predictions is not None
        return self.max_predictions

    @property
    def copies(self) -> int:
        """`dupe_factor`, settled."""
        assert self.dupe_factor is not None
        return self.dupe_factor

    def to_dict(self) -> dict[str, Any]:
        """Return the fields, for the manifest."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Plan:
    """All that a step needs to know: the settings, the vocabulary's ids, and how much the corpus holds."""

    settings: Settings
    vocab_size: int
    pad_id: int
    cls_id: int
    sep_id: int
    mask_id: int
    documents: int
    sentences: int

    @property
    def id_bytes(self) -> int:
        """Bytes that hold any id."""
        return 2 if self.vocab_size <= 1 << 16 else 4

    def to_dict(self) -> dict[str, Any]:
        """Return what `from_dict` takes."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Plan:
        """Make a plan again from `to_dict`'s values."""
        return cls(**{**values, "settings": Settings(**values["settings"])})
