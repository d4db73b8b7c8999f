"""The task heads: one file each, one table.  A new head is its file and one line here."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from keras_bert_zoo.errors import ConfigError


class Entry(NamedTuple):
    """Where a head's class is, which of `data.reading.READERS` reads its files, and its usual limit in tokens."""

    module: str
    class_name: str
    reader: str
    length: int = 128


# name on the command line and on disk -> its entry
HEADS: dict[str, Entry] = {
    "classification": Entry("keras_bert_zoo.heads.classification", "Classification", "table"),
    "multi_label": Entry("keras_bert_zoo.heads.multi_label", "MultiLabel", "table"),
    "regression": Entry("keras_bert_zoo.heads.regression", "Regression", "table"),
    "masked_lm": Entry("keras_bert_zoo.heads.masked_lm", "MaskedLM", "lines"),
    "next_sentence": Entry("keras_bert_zoo.heads.next_sentence", "NextSentence", "table"),
    "pretraining": Entry("keras_bert_zoo.heads.pretraining", "Pretraining", "table"),
    "question_answering": Entry("keras_bert_zoo.heads.question_answering", "QuestionAnswering", "questions", 384),
    "multiple_choice": Entry("keras_bert_zoo.heads.multiple_choice", "MultipleChoice", "choices"),
    "sentence_embedding": Entry("keras_bert_zoo.heads.sentence_embedding", "SentenceEmbedding", "pairs"),
    "token_classification": Entry("keras_bert_zoo.heads.token_classification", "TokenClassification", "tagged"),
}
# Hugging Face's (architecture, problem_type) -> our name; None: an encoder without a head
ARCHITECTURES: dict[tuple[str, str | None], str | None] = {
    ("BertModel", None): None,
    ("BertForSequenceClassification", "single_label_classification"): "classification",
    ("BertForSequenceClassification", "multi_label_classification"): "multi_label",
    ("BertForSequenceClassification", "regression"): "regression",
    ("BertForMaskedLM", None): "masked_lm",
    ("BertForNextSentencePrediction", None): "next_sentence",
    ("BertForPreTraining", None): "pretraining",
    ("BertForQuestionAnswering", None): "question_answering",
    ("BertForMultipleChoice", None): "multiple_choice",
    ("BertForTokenClassification", None): "token_classification",
}

_CLASSES = {entry.class_name: entry.module for entry in HEADS.values()}

__all__ = [
    "ARCHITECTURES",
    "HEADS",
    "arguments",
    "for_labels",
    "from_huggingface",
    "make",
    "reader_of",
    "summaries",
    *_CLASSES,
]


def reader_of(name: str | None) -> str:
    """Return which of `data.reading.READERS` reads a head's files; without a head they are plain tables."""
    return HEADS[name].reader if name else "table"


def make(name: str, config: Mapping[str, Any]) -> Any:
    """Make a head from its name and arguments.  Raises: ConfigError on an unknown name or wrong arguments."""
    wanted = arguments(name)
    if unknown := [argument for argument in config if argument not in wanted]:
        raise ConfigError(f"The head '{name}' takes no {', '.join(unknown)}. It takes: {', '.join(wanted)}.")
    if missing := [argument for argument, needed in wanted.items() if needed and argument not in config]:
        raise ConfigError(f"The head '{name}' needs {', '.join(missing)}.")
    try:
        return _class(name)(**config)
    except TypeError as error:
        raise ConfigError(f"The head '{name}' cannot be made from {dict(config)}: {error}.") from None


def arguments(name: str) -> dict[str, bool]:
    """Return the arguments a head takes and whether it must be given each.  Raises: ConfigError on an unknown name."""
    parameters = inspect.signature(_class(name)).parameters
    return {argument: told.default is told.empty for argument, told in parameters.items()}


def summaries() -> dict[str, str]:
    """Return what each head of the table does: the first sentence of its class, read without importing Keras."""
    found = {}
    for name, entry in HEADS.items():
        source = Path(__file__).with_name(f"{entry.module.rpartition('.')[2]}.py").read_text(encoding="utf-8")
        classes = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
        words = next(ast.get_docstring(node) or "" for node in classes if node.name == entry.class_name)
        found[name] = " ".join(words.split()).partition(". ")[0].removesuffix(".") + "."
    return found


def for_labels(name: str, values: Sequence[Any], config: Mapping[str, Any]) -> Any:
    """Make a head; what `config` does not name and a table's label column tells, such as labels, is found there.

    Raises: ConfigError, see `make` and the head.
    """
    return make(name, {**_class(name).arguments_in(values), **config})


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
