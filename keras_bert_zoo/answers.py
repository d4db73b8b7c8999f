"""What models answer: the fields by head, their types, and the padding that one text's answer does without.

Light, so that a client of a server needs neither Keras nor TensorFlow.  E entities, N answers, C labels or choices,
M masks, K tokens a mask, D size of a vector.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypedDict

import numpy as np


class ClassificationAnswer(TypedDict):
    """The label, its probability, and both of all labels [C]."""

    label: str
    score: float
    labels: list[str]
    probabilities: list[float]


class MultiLabelAnswer(TypedDict):
    """All labels [C], their probabilities, and whether each is predicted."""

    labels: list[str]
    probabilities: list[float]
    predicted: list[bool]


class RegressionAnswer(TypedDict):
    """One number."""

    value: float


class MaskedLMAnswer(TypedDict):
    """The best tokens [M,K] of each mask, their probabilities, and the text filled in."""

    tokens: list[list[str]]
    scores: list[list[float]]
    filled: str


class NextSentenceAnswer(TypedDict):
    """The probability that the second text follows the first."""

    probability: float


class PretrainingAnswer(TypedDict):
    """The best tokens [M,K] of the masks of both texts, both texts filled in, and whether the second follows."""

    tokens: list[list[str]]
    scores: list[list[float]]
    filled: str
    filled_pair: str
    probability: float


class QuestionAnsweringAnswer(TypedDict):
    """The answer, its characters in the context, its scores, and the best ones [N]."""

    answer: str
    start: int
    end: int
    score: float
    no_answer_score: float
    answers: list[str]
    starts: list[int]
    ends: list[int]
    scores: list[float]
    start_logits: list[float]
    end_logits: list[float]


class MultipleChoiceAnswer(TypedDict):
    """The number of the choice, from 0, and the probability of each [C]."""

    choice: int
    probabilities: list[float]


class SentenceEmbeddingAnswer(TypedDict):
    """The text's vector [D]."""

    embedding: list[float]


class TokenClassificationAnswer(TypedDict):
    """The entities [E] of a text: as they stand there, their labels, characters and probabilities."""

    entity: list[str]
    label: list[str]
    start: list[int]
    end: list[int]
    score: list[float]


# name of a head -> what one text's answer is
KINDS: dict[str, type] = {
    "classification": ClassificationAnswer,
    "multi_label": MultiLabelAnswer,
    "regression": RegressionAnswer,
    "masked_lm": MaskedLMAnswer,
    "next_sentence": NextSentenceAnswer,
    "pretraining": PretrainingAnswer,
    "question_answering": QuestionAnsweringAnswer,
    "multiple_choice": MultipleChoiceAnswer,
    "sentence_embedding": SentenceEmbeddingAnswer,
    "token_classification": TokenClassificationAnswer,
}


def fields(kind: type) -> frozenset[str]:
    """Return the names of an answer's fields."""
    return frozenset(kind.__annotations__)


def head_of(outputs: Iterable[str]) -> str | None:
    """Return the name of the head that gives these outputs, None for outputs of no head of ours."""
    found = frozenset(outputs)
    return next((name for name, kind in KINDS.items() if fields(kind) == found), None)


def plain(values: np.ndarray) -> list[Any]:
    """Turn an array into nested lists of plain values, bytes into text."""
    if values.dtype == object:
        values = np.vectorize(_text, otypes=[object])(values)
    return values.tolist()


def _text(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


# One text's answer, as plain values, without the padding that a batch's dense tensors need.


def _entities(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the entities that are there: what is none begins at -1."""
    count = sum(start >= 0 for start in answer["start"])
    return {name: values[:count] for name, values in answer.items()}


def _best(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the answer with as many of the best ones as there are: what is none begins at -1 and scores 0."""
    told = zip(answer["starts"], answer["scores"], strict=True)
    many = max((i + 1 for i, (start, score) in enumerate(told) if start >= 0 or score > 0), default=0)
    return {name: value[:many] if isinstance(value, list) else value for name, value in answer.items()}


def _choices(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the answer with a probability for each choice up to its last one: what is none has 0."""
    found = answer["probabilities"]
    there = max((i for i, probability in enumerate(found, start=1) if probability), default=0)
    return {**answer, "probabilities": found[:there]}


def _masks(answer: dict[str, Any]) -> dict[str, Any]:
    """Return the answer without the masks that other texts of the batch have more: their scores are 0."""
    masks = sum(scores[0] > 0 for scores in answer["scores"])
    return {**answer, "tokens": answer["tokens"][:masks], "scores": answer["scores"][:masks]}


_TRIMS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "masked_lm": _masks,
    "pretraining": _masks,
    "question_answering": _best,
    "multiple_choice": _choices,
    "token_classification": _entities,
}


def trim_of(head: str, answer: dict[str, Any]) -> dict[str, Any]:
    """Return one text's answer of a head without padding; of a head that has none, the answer itself."""
    return _TRIMS[head](answer) if head in _TRIMS else answer


def trim(answer: dict[str, Any]) -> dict[str, Any]:
    """Return one text's answer without padding, fields in order; which head gave it is told by their names."""
    head = head_of(answer)
    return answer if head is None else trim_of(head, {name: answer[name] for name in KINDS[head].__annotations__})


def log_probabilities(values: Any) -> np.ndarray:
    """Return the logarithms of probabilities, float32 of the same shape; that of 0 is the least there is."""
    return np.log(np.maximum(np.asarray(values, "float64"), np.finfo("float32").tiny)).astype("float32")
