"""The task heads: one file each, one table.  A new head is its file and one line here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple

from keras_bert_zoo.errors import ConfigError


class Entry(NamedTuple):
    """Where a head's class is, and which of `data.reading.READERS` reads its files."""

    module: str
    class_name: str
    reader: str


# name on the command line and on disk -> its entry
HEADS: dict[str, Entry] = {
    "classification": Entry("keras_bert_zoo.heads.classification", "Classification", "table"),
    "multi_label": Entry("keras_bert_zoo.heads.multi_label", "MultiLabel", "table"),
    "regression": Entry("keras_bert_zoo.heads.regression", "Regression", "table"),
    "token_classification": Entry("keras_bert_zoo.heads.token_classification", "TokenClassification", "tagged"),
}
# Hugging Face's (architecture, problem_type) -> our name; None: an encoder without a head
ARCHITECTURES: dict[tuple[str, str | None], str | None] = {
    ("BertModel", None): None,
    ("BertForSequenceClassification", "single_label_classification"): "classification",
    ("BertForSequenceClassification", "multi_label_classification"): "multi_label",
    ("BertForSequenceClassification", "regression"): "regression",
    ("BertForTokenClassification", None): "token_classification",
}

_CLASSES = {entry.class_name: entry.module for entry in HEADS.values()}

__all__ = ["ARCHITECTURES", "HEADS", "for_labels", "from_huggingface", "make", *_CLASSES]


def make(name: str, config: Mapping[str, Any]) -> Any:
    """Make a head from its name and arguments.  Raises: ConfigError on an unknown name or argument."""
    made = _class(name)
    try:
        return made(**config)
    except TypeError as error:
        raise ConfigError(f"The head '{name}' cannot be made from {dict(config)}: {error}.") from None


def for_labels(name: str, values: Sequence[Any], config: Mapping[str, Any]) -> Any:
    """Make a head whose labels, if it has any and `config` names none, are those found in a table's label column.

    Raises: ConfigError, see `make` and the head.
    """
    if "labels" not in config:
        found = _class(name).labels_in(values)
        config = config if found is None else {**config, "labels": found}
    return make(name, config)


def from_huggingface(raw: Mapping[str, Any], where: str) -> Any:
    """Make the head that a Hugging Face `config.json` describes, or return None for a bare encoder.

    Raises: ConfigError on an architecture no head of ours stands for, or labels that are not numbered from 0.
    """
    names = raw.get("architectures") or ["BertModel"]
    labels = {int(number): label for number, label in (raw.get("id2label") or {0: "LABEL_0", 1: "LABEL_1"}).items()}
    if sorted(labels) != list(range(len(labels))):
        raise ConfigError(f"{where}: id2label must number the labels from 0 without a gap, got {sorted(labels)}.")
    problem = raw.get("problem_type")
    if names[0] == "BertForSequenceClassification" and problem is None:
        # modeling_bert.py: one label is a regression, several are a choice
        problem = "regression" if len(labels) == 1 else "single_label_classification"
    key = (names[0], problem if names[0] == "BertForSequenceClassification" else None)
    if len(names) != 1 or key not in ARCHITECTURES:
        known = ", ".join(dict.fromkeys(name for name, _ in ARCHITECTURES))
        raise ConfigError(
            f"{where}: architectures {names} (problem_type {problem!r}) has no head here; known: {known}."
            " To read the encoder alone, pass encoder_only=True and name the other tensors with unused=[...]."
        )
    name = ARCHITECTURES[key]
    if name is None:
        return None
    return make(name, _class(name).from_huggingface(raw, [labels[i] for i in range(len(labels))]))


def _class(name: str) -> Any:
    if name not in HEADS:
        raise ConfigError(f"There is no head '{name}'. There are: {', '.join(HEADS)}.")
    return getattr(import_module(HEADS[name].module), HEADS[name].class_name)


def __getattr__(name: str) -> Any:
    if name not in _CLASSES:
        raise AttributeError(f"module 'keras_bert_zoo.heads' has no attribute '{name}'")
    return getattr(import_module(_CLASSES[name]), name)
