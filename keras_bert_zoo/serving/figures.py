"""What an export remembers: its head and tokenizer, and the figures that training measured, to compare with later."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_bert_zoo.errors import ConfigError, ExportError

if TYPE_CHECKING:
    from keras_bert_zoo.data.tables import Table
    from keras_bert_zoo.heads.head import Head
    from keras_bert_zoo.text.tokenizer import Tokenizer

FILE = Path("assets.extra") / "zoo.json"  # which TensorFlow Serving leaves alone
_FORMAT = 1
_PARTS = ("test", "validation")  # of a run's data; the first that it measured says most
_RUN_FILE = "history.json"


@dataclasses.dataclass(frozen=True)
class Part:
    """What training measured on one part of its data: figures by name, rows, and a digest of them."""

    name: str
    figures: Mapping[str, float]
    rows: int
    digest: str | None


@dataclasses.dataclass(frozen=True)
class Training:
    """What a run told of itself; `read` are the arguments of `data.read_splits`, None where nobody noted them."""

    parts: tuple[Part, ...]
    read: Mapping[str, Any] | None = None

    def part_of(self, table: Table) -> Part | None:
        """Return the part whose rows these are, None where training measured other ones."""
        own = table.digest()
        return next((part for part in self.parts if part.digest == own), None)

    def table(self) -> tuple[str, Table]:
        """Read the rows again that the run's first part of figures was measured on, and return its name and them.

        Raises: DataError where they cannot be read; ConfigError where the run measured nothing, or noted no files.
        """
        from keras_bert_zoo.data.reading import read_part

        if not self.parts or self.read is None:
            raise ConfigError("The run noted no data that it was measured on: name a table.")
        return self.parts[0].name, read_part(self.parts[0].name, self.read)


@dataclasses.dataclass(frozen=True)
class Carried:
    """What an export carries along; `tokenizer` are the settings beside its vocabulary."""

    head: str
    config: Mapping[str, Any]
    max_length: int
    tokenizer: Mapping[str, Any]
    training: Training | None


def read_run(folder: str | Path) -> Training | None:
    """Return what a run's folder tells of its training, None where it is no run of fine-tuning.

    Raises: ConfigError where its history is no JSON.
    """
    path = Path(folder).expanduser() / _RUN_FILE
    if not path.is_file():
        return None
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path}: broken JSON ({error}). Delete it, or train again.") from None
    if not isinstance(told, dict) or "best_epoch" not in told:
        return None
    best = told["epochs"][told["best_epoch"] - 1]
    figures = {
        "test": told.get("test") or {},
        "validation": {name[4:]: value for name, value in best.items() if name.startswith("val_")},
    }
    digests = told.get("digests", {})
    parts = (Part(name, figures[name], told["rows"][name], digests.get(name)) for name in _PARTS if figures[name])
    return Training(tuple(parts), told.get("read"))


def write_figures(
    head: Head, tokenizer: Tokenizer, max_length: int, training: Training | None, version_folder: Path
) -> None:
    """Write `assets.extra/zoo.json` into a version's folder."""
    ours = {
        "format": _FORMAT,
        "head": {"name": head.name, "config": head.get_config()},
        "max_length": max_length,
        "tokenizer": dataclasses.asdict(tokenizer.settings),
        "training": None if training is None else dataclasses.asdict(training),
    }
    path = version_folder / FILE
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(ours, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_figures(version_folder: str | Path) -> Carried:
    """Return what an export carries along.  Raises: ExportError where it carries nothing that this version reads."""
    path = Path(version_folder) / FILE
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        if told["format"] != _FORMAT:
            found = told["format"]
            raise ExportError(f"{path}: its format is {found}, this version reads {_FORMAT}. Update keras-bert-zoo.")
        training = told["training"]
        if training is not None:
            training = Training(tuple(Part(**part) for part in training["parts"]), training["read"])
        return Carried(told["head"]["name"], told["head"]["config"], told["max_length"], told["tokenizer"], training)
    except OSError:
        raise ExportError(f"{version_folder}: there is no {FILE}. Export the model again with kbz export.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ExportError(f"{path}: this is not what kbz export writes ({error!r}). Export the model again.") from None
