"""Weights in the formats of others, read and written with every tensor accounted for."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from keras_bert_zoo.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from keras_bert_zoo.weights.formats import Format

# The name of a format -> its module (see formats.Format), imported when it is asked for.
FORMATS = {
    "huggingface": "keras_bert_zoo.weights.huggingface",
    "tf1": "keras_bert_zoo.weights.tf1",
    "model_garden": "keras_bert_zoo.weights.model_garden",
    "keras_hub": "keras_bert_zoo.weights.keras_hub",
    "saved_model": "keras_bert_zoo.weights.saved_model",
}
# Those that weights are written in; a SavedModel is an export, for it holds a graph too.
TARGETS = tuple(name for name in FORMATS if name != "saved_model")

__all__ = ["FORMATS", "TARGETS", "find", "named"]


def named(name: str) -> Format:
    """Return the format of that name.  Raises: ConfigError where there is none."""
    if name not in FORMATS:
        raise ConfigError(f"There is no weight format '{name}'. There are: {', '.join(FORMATS)}.")
    return import_module(FORMATS[name])


def find(folder: Path) -> str:
    """Return the name of the one format a folder is of.  Raises: CheckpointError where it is none, or of several."""
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: there is no such folder.")
    found = [name for name in FORMATS if named(name).belongs(folder)]
    if len(found) != 1:
        which = f"of several weight formats: {', '.join(found)}" if found else "of no weight format known here"
        raise CheckpointError(f"{folder} is {which} ({', '.join(FORMATS)}). Name one of them with format=.")
    return found[0]
