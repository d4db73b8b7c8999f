"""Answers for people: an answer's fields as the cells of a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_WIDTH = 200  # characters of a text that a cell shows
_SHOWN = 4  # numbers of a vector that a cell shows


def shown(answer: Mapping[str, Any]) -> dict[str, str]:
    """Return an answer's cells: single values as they are, what belongs together side by side."""
    answer = dict(answer)
    cells: dict[str, str] = {}
    if "entity" in answer:
        found = zip(answer.pop("entity"), answer.pop("label"), answer.pop("score"), strict=True)
        cells["entities"] = "  ".join(f"{entity} [{label} {score:.2f}]" for entity, label, score in found)
        answer = {}  # where they begin and end is for programs
    if "embedding" in answer:
        values = answer["embedding"]
        answer["embedding"] = " ".join(f"{value:+.4f}" for value in values[:_SHOWN]) + f" ... ({len(values)})"
    if "answers" in answer:  # the second best and those after are for programs
        answer = {name: value for name, value in answer.items() if not isinstance(value, list)}
    if {"labels", "probabilities"} <= set(answer):
        pairs = list(zip(answer.pop("probabilities"), answer.pop("labels"), strict=True))
        if "predicted" in answer:
            chosen = [label for (_, label), yes in zip(pairs, answer.pop("predicted"), strict=True) if yes]
            cells["predicted"] = ", ".join(chosen)
        ranked = "  ".join(f"{label} {probability:.4f}" for probability, label in sorted(pairs, reverse=True))
        answer["probabilities"] = ranked
    if "choice" in answer:
        answer["probabilities"] = "\n".join(f"{i}  {value:.4f}" for i, value in enumerate(answer["probabilities"]))
    if {"tokens", "scores"} <= set(answer):  # a line for each mask
        masks = zip(answer["tokens"], answer.pop("scores"), strict=True)
        answer["tokens"] = "\n".join("  ".join(map("{} {:.4f}".format, *mask)) for mask in masks)
    return {**cells, **{name: cell(value) for name, value in answer.items()}}


def asked(value: Any) -> str:
    """Return a text, or numbered choices."""
    if isinstance(value, list):
        return "\n".join(f"{i}  {cell(text)}" for i, text in enumerate(value))
    return cell(value)


def cell(value: Any) -> str:
    """Return one value, or a list of values."""
    if isinstance(value, float):
        return f"{value:.4f}"
    if not isinstance(value, list):
        text = str(value)
        return text if len(text) <= _WIDTH or "\n" in text else f"{text[:_WIDTH]}…"
    if any(isinstance(each, list) for each in value):
        return " | ".join(map(cell, value))
    return ", ".join(map(cell, value))


def bytes_shown(value: float) -> str:
    """Return a number of bytes in GiB or MiB."""
    return f"{value / 2**30:,.1f} GiB" if value >= 2**30 else f"{value / 2**20:,.0f} MiB"
