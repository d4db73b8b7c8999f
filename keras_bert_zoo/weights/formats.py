"""What a weight format is: how its folders are told from others, opened and written."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import keras

from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.weights.rows import AnyRow
from keras_bert_zoo.weights.transfer import Audit, TensorReader


@dataclasses.dataclass(frozen=True)
class Opened:
    """A folder of weights that is understood but not yet read.

    `format` is its name in `FORMATS`.  `config` is the encoder's; `values` is its config file as parsed, `where` that
    file's path.  `reader` holds the tensors, `rows` say where the encoder's weights are among them.  `head` is the
    name and the arguments of the head whose weights are there too, None where there is none or where `values` tell
    it.  `vocabulary` is the file of tokens and `switches` the tokenizer's arguments, None where a
    `tokenizer_config.json` beside them tells both.  `spelt` gives a head's row the names that this folder has for it.
    """

    format: str
    config: BertConfig
    values: Mapping[str, Any]
    where: str
    reader: TensorReader
    rows: Sequence[AnyRow]
    head: tuple[str, Mapping[str, Any]] | None = None
    vocabulary: Path | None = None
    switches: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    spelt: Callable[[AnyRow], AnyRow] = lambda row: row


class Weights:
    """All weights of an encoder and of the task model on it, each once; the task model need not read all of it."""

    def __init__(self, encoder: keras.Model, model: keras.Model | None = None) -> None:
        parts = [encoder] if model is None else [model, encoder]
        self.name = parts[0].name
        self.weights = list({id(weight): weight for part in parts for weight in part.weights}.values())


@dataclasses.dataclass(frozen=True)
class Parts:
    """What is written: an encoder and its config, its tokenizer, and a head with the task model if there is one.

    `dtype` is that of the tensors in the file, what the model stores unless given; `max_shard_size` is the most bytes
    of one file, such as "5GB", for a format that has several.
    """

    config: BertConfig
    encoder: keras.Model
    tokenizer: Any
    head: Any = None
    model: keras.Model | None = None
    max_length: int = 512
    dtype: str | None = None
    max_shard_size: int | str | None = None

    @property
    def all(self) -> Weights:
        """Every weight, be it read by the head or not."""
        return Weights(self.encoder, self.model)

    @property
    def used(self) -> keras.Model:
        """The weights that the head reads, or the encoder's: a file of transformers' class holds no others."""
        return self.encoder if self.model is None else self.model


class Format(Protocol):
    """A module of this package that reads and writes one format.

    It may have a `TRANSFORM`: fields of a masked LM's layer before the logits that are not as its encoder's config
    says, see `expressed_head`; and a true `SHARDS` where it writes several files.
    """

    def belongs(self, folder: Path) -> bool:
        """Say whether a folder is of this format, by what its files hold."""
        ...

    def open_folder(self, folder: Path) -> Opened:
        """Open a folder.  Raises: ConfigError, CheckpointError where it cannot be read."""
        ...

    def write_folder(self, parts: Parts, folder: Path, *, allow: Sequence[str] = ()) -> Audit:
        """Write config, weights and vocabulary into an empty folder.

        `allow` names fields of the config that may be changed where the format has no word for them.
        Raises: ConfigError naming such a field; CheckpointError where a weight has no place.
        """
        ...


def expressed(
    config: BertConfig, known: Mapping[str, Sequence[Any]], *, format: str, allow: Sequence[str]
) -> tuple[BertConfig, tuple[str, ...]]:
    """Return the config as a format can say it, and what had to be changed for that.

    `known` are the values a format has for a field, its usual one first.
    Raises: ConfigError naming each field with another value, unless `allow` names it.
    """
    values = config.to_dict()
    wrong = {name: usual[0] for name, usual in known.items() if values[name] not in usual}
    if refused := {name: values[name] for name in wrong if name not in allow}:
        told = ", ".join(f"{name} {value!r} (only {_listed(known[name])})" for name, value in refused.items())
        raise ConfigError(f"The format '{format}' has no word for {told}. {_how_to_allow(refused)}")
    return config.replace(**wrong), tuple(f"{name} {values[name]!r} -> {value!r}" for name, value in wrong.items())


def expressed_head(
    head: Any, config: BertConfig, known: Mapping[str, Any], *, format: str, allow: Sequence[str]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the arguments with which a head computes as a format's does, and what had to be changed for that.

    `known` are the fields in which the format's own layers before the logits differ from their encoder.
    Raises: ConfigError naming each field (`head_hidden_act`) with another value, unless `allow` names it.
    """
    values = head.transform(config)
    usual = {name: known.get(name, getattr(config, name)) for name in values}
    wrong = {f"head_{name}": value for name, value in values.items() if value != usual[name]}
    if refused := {name: value for name, value in wrong.items() if name not in allow}:
        told = ", ".join(
            f"{name} {value!r} (only {usual[name.removeprefix('head_')]!r})" for name, value in refused.items()
        )
        raise ConfigError(
            f"The format '{format}' has no word for {told} in the head '{head.name}'. {_how_to_allow(refused)}"
        )
    arguments = {name: known.get(name) for name in values}  # None: as the encoder
    return arguments, tuple(
        f"{name} {value!r} -> {usual[name.removeprefix('head_')]!r}" for name, value in wrong.items()
    )


def _how_to_allow(refused: Iterable[str]) -> str:
    flags = " ".join(f"--allow-change {name}" for name in refused)
    return f"The answers would change: allow it with allow={sorted(refused)} ({flags})."


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(repr(value) for value in values)
