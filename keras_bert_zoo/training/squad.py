"""SQuAD's own figures and files from answers.  N questions.

Source: the evaluation scripts of SQuAD 1.1 and 2.0; google-research/bert run_squad.py, write_predictions.
"""

from __future__ import annotations

import json
import re
import string
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_bert_zoo.data.squad import question_labels
from keras_bert_zoo.data.tables import Table
from keras_bert_zoo.files import new_folder

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize_answer(text: str) -> str:
    """Return an answer as it is compared: lower case, without ASCII punctuation, English articles, extra spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def exact_match(prediction: str, truth: str) -> float:
    """Return 1 where both are the same after `normalize_answer`, else 0."""
    return float(normalize_answer(prediction) == normalize_answer(truth))


def f1(prediction: str, truth: str) -> float:
    """Return F1 of the words that both have; 1 where neither has any, as SQuAD 2.0 says."""
    got, want = normalize_answer(prediction).split(), normalize_answer(truth).split()
    if not got or not want:
        return float(got == want)
    both = sum((Counter(got) & Counter(want)).values())
    precision, recall = both / len(got), both / len(want)
    return 2 * precision * recall / (precision + recall) if both else 0.0


def squad_1(truths: Sequence[Sequence[str]], predictions: Sequence[str]) -> dict[str, float]:
    """Return `exact_match` and `f1`, means over all questions of the best over each one's answers, as in SQuAD 1.1."""

    def words(prediction: str, truth: str) -> float:
        return f1(prediction, truth) if normalize_answer(prediction) else 0.0  # 1.1: nothing in common counts 0

    pairs = list(zip(predictions, truths, strict=True))
    return {
        "exact_match": _mean(max(exact_match(got, truth) for truth in want) for got, want in pairs),
        "f1": _mean(max(words(got, truth) for truth in want) for got, want in pairs),
    }


def squad_2(
    truths: Sequence[Sequence[str]],
    predictions: Sequence[str],
    spans: Sequence[str] | None = None,
    odds: Sequence[float] | None = None,
) -> dict[str, float]:
    """Return SQuAD 2.0's figures; a question without an answer has no truths.

    `exact_match` and `f1` over all questions, and with `has_answer_` and `no_answer_` over those that have an answer
    and those that have none.  `spans` and `odds` are the answers there would be without "no answer", and what speaks
    for it: with them, `best_exact_match` and `best_f1` with their thresholds are what the best one would give.
    """
    # Answers that are nothing after normalization do not count; a question left without any wants the empty answer.
    wanted = [[text for text in texts if normalize_answer(text)] or [""] for texts in truths]

    def compared(answers: Sequence[str]) -> dict[str, list[float]]:
        pairs = list(zip(answers, wanted, strict=True))
        return {
            "exact_match": [max(exact_match(got, truth) for truth in want) for got, want in pairs],
            "f1": [max(f1(got, truth) for truth in want) for got, want in pairs],
        }

    has = [bool(texts) for texts in truths]
    scores = compared(predictions)
    figures = {name: _mean(values) for name, values in scores.items()}
    for part, there in (("has_answer", True), ("no_answer", False)):
        if there in has:
            for name, values in scores.items():
                chosen = [value for value, answerable in zip(values, has, strict=True) if answerable is there]
                figures[f"{part}_{name}"] = _mean(chosen)
    if spans is not None and odds is not None:
        for name, values in compared(spans).items():
            best, threshold = best_threshold(values, spans, odds, has)
            figures |= {f"best_{name}": best, f"best_{name}_threshold": threshold}
    return figures


def best_threshold(
    scores: Sequence[float], answers: Sequence[str], odds: Sequence[float], has: Sequence[bool]
) -> tuple[float, float]:
    """Return the best mean score that any threshold of `odds` gives, and that threshold.

    `scores` are those of `answers`, `has` tells which questions have one.  Up to its threshold a question is answered,
    above it not.  Source: evaluate-v2.0.py, find_best_thresh.
    """
    current = float(len(has) - sum(has))  # nothing answered
    best, threshold = current, 0.0
    for i in sorted(range(len(odds)), key=lambda i: odds[i]):
        current += scores[i] if has[i] else -1.0 if answers[i] else 0.0
        if current > best:
            best, threshold = current, odds[i]
    return best / len(scores), threshold


def squad_figures(table: Table, answers: Sequence[Mapping[str, Any]], *, no_answer: bool) -> dict[str, float]:
    """Return the figures of a head's trimmed answers: SQuAD 1.1's, or 2.0's where a question may have no answer."""
    labels = question_labels(table)
    truths = [[text for text, _ in label.answers] for label in labels]
    predictions = [answer["answer"] for answer in answers]
    if not no_answer and all(truths):
        return squad_1(truths, predictions)
    odds = [answer["no_answer_score"] for answer in answers]
    return squad_2(truths, predictions, [_best_span(answer) for answer in answers], odds)


def write_predictions(
    table: Table, answers: Sequence[Mapping[str, Any]], folder: str | Path, *, no_answer: bool
) -> None:
    """Write `predictions.json`, `nbest_predictions.json` and, with `no_answer`, `null_odds.json`, keyed by question.

    They are the files of the original, for the official scripts; the folder appears whole or not at all.
    Raises: ConfigError where the folder is there already; DataError on other labels.
    """
    ids = [label.id for label in question_labels(table)]
    files: dict[str, dict[str, Any]] = {
        "predictions.json": {id_: answer["answer"] for id_, answer in zip(ids, answers, strict=True)},
        "nbest_predictions.json": {id_: _best(answer) for id_, answer in zip(ids, answers, strict=True)},
    }
    if no_answer:
        files["null_odds.json"] = {id_: answer["no_answer_score"] for id_, answer in zip(ids, answers, strict=True)}
    with new_folder(folder) as partial:
        for name, content in files.items():
            text = json.dumps(content, indent=4, ensure_ascii=False)
            (partial / name).write_text(text + "\n", encoding="utf-8")


def _best(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    keys = {"text": "answers", "probability": "scores", "start_logit": "start_logits", "end_logit": "end_logits"}
    keys |= {"start": "starts", "end": "ends"}  # the original does not tell where an answer stands
    return [
        dict(zip(keys, values, strict=True)) for values in zip(*(answer[name] for name in keys.values()), strict=True)
    ]


def _best_span(answer: Mapping[str, Any]) -> str:
    return next((text for text, start in zip(answer["answers"], answer["starts"], strict=True) if start >= 0), "")


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)
