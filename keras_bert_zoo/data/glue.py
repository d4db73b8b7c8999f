"""GLUE's tasks: how their files look, and which figures count.

A file is read as it comes out of the archive: tabs part the cells, quotes mean nothing, and a test file has an index in
place of labels.  Source: Wang et al. 2018, "GLUE", table 1; the files behind gluebenchmark.com/tasks.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_bert_zoo.data import formats
from keras_bert_zoo.data.tables import Table
from keras_bert_zoo.errors import ConfigError, DataError

# Of the lines of a file that is known to have broken ones, how many may be: QQP has a few in 363,849.
_BROKEN_SHARE = 0.01
_HIGHEST_SCORE = 5.0  # STS-B rates from 0 to 5, and its server takes no other predictions


@dataclasses.dataclass(frozen=True)
class Task:
    """One task: its columns, its labels in GLUE's order, the head that learns it and the figures that count.

    `headless` names the columns of labelled files that have no header line.  `broken` says that the released file has
    lines that a line break inside a text has torn.
    """

    text: str
    pair: str | None
    label: str
    labels: tuple[str, ...]
    metrics: tuple[str, ...]
    head: str = "classification"
    index: str = "index"
    headless: tuple[str, ...] = ()
    broken: bool = False

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments that make the task's head: `heads.make(task.head, task.arguments)`."""
        return {"pair": self.pair is not None, **({"labels": list(self.labels)} if self.labels else {})}

    @property
    def monitor(self) -> str:
        """The figures whose mean tells the best epoch, for `Settings`."""
        return "+".join(self.metrics)

    def score(self, figures: Mapping[str, float]) -> float:
        """Return the task's place in GLUE's average: the mean of its figures, from 0 (or -1) to 1.

        Raises: ConfigError where the figures are those of another kind of model.
        """
        if missing := [name for name in self.metrics if name not in figures]:
            raise ConfigError(
                f"There is no figure {', '.join(missing)} among {', '.join(figures)}: the model's head or labels are"
                f" not the task's. It wants the head '{self.head}'{self._told_labels()}."
            )
        return sum(figures[name] for name in self.metrics) / len(self.metrics)

    def prediction(self, answer: Mapping[str, Any]) -> str:
        """Return an answer of the task's head as GLUE's server takes it: a label, or a number with three digits.

        Raises: ConfigError on the answer of another kind of model, or a label that the task does not have.
        """
        if self.head == "regression" and "value" in answer:
            return f"{min(max(answer['value'], 0.0), _HIGHEST_SCORE):.3f}"
        if self.labels and answer.get("label") in self.labels:
            return str(answer["label"])
        raise ConfigError(
            f"The model answers {dict(answer)!r:.80}, which is no prediction for this task."
            f" It wants the head '{self.head}'{self._told_labels()}."
        )

    def _told_labels(self) -> str:
        return f" with the labels {', '.join(self.labels)}" if self.labels else ""


_YES_NO = ("0", "1")
_ENTAILED = ("entailment", "not_entailment")

GLUE: dict[str, Task] = {
    "cola": Task(
        "sentence", None, "label", _YES_NO, ("mcc",), headless=("source", "label", "mark of the author", "sentence")
    ),
    "sst2": Task("sentence", None, "label", _YES_NO, ("accuracy",)),
    "mrpc": Task("#1 String", "#2 String", "Quality", _YES_NO, ("accuracy", "f1")),
    "stsb": Task("sentence1", "sentence2", "score", (), ("pearson", "spearman"), head="regression"),
    "qqp": Task("question1", "question2", "is_duplicate", _YES_NO, ("accuracy", "f1"), index="id", broken=True),
    "mnli": Task("sentence1", "sentence2", "gold_label", ("entailment", "neutral", "contradiction"), ("accuracy",)),
    "qnli": Task("question", "sentence", "label", _ENTAILED, ("accuracy",)),
    "rte": Task("sentence1", "sentence2", "label", _ENTAILED, ("accuracy",)),
    "wnli": Task("sentence1", "sentence2", "label", _YES_NO, ("accuracy",)),
}


def read_glue(task: str, path: str | os.PathLike[str], *, labelled: bool = False) -> Table:
    """Read one of GLUE's files, `task` being a name of `GLUE`; a test file gives a table without labels.

    Lines torn by a line break inside a question, which QQP's labelled files have, are left out, with a warning that
    says how many.  `labelled` refuses a file without labels.
    Raises: DataError on an unknown task, naming file and line on anything else.
    """
    found = _task(task)
    path = Path(path).expanduser()
    header, rows = _rows(task, path)
    if labelled and found.label not in header:
        raise DataError(
            f"{path}: a test file of GLUE has no labels to learn from or to compare with. Use train.tsv or dev.tsv."
        )
    return Table(
        [cells[found.text] for _, cells in rows],
        None if found.pair is None else [cells[found.pair] for _, cells in rows],
        [cells[found.label] for _, cells in rows] if found.label in header else None,
        str(path),
        [line for line, _ in rows],
    )


def write_predictions(
    task: str, path: str | os.PathLike[str], answers: Sequence[Mapping[str, Any]], out: str | os.PathLike[str]
) -> None:
    """Write answers to the rows of a task's file as GLUE's server takes them: tsv with `index` and `prediction`.

    The index is the file's own where it has one, else the row's number from 0.
    Raises: DataError where the numbers of answers and rows differ, or a file cannot be read or written; ConfigError
    on answers that are no predictions for the task.
    """
    found, path = _task(task), Path(path).expanduser()
    header, rows = _rows(task, path)
    if len(answers) != len(rows):
        raise DataError(f"{path} has {len(rows)} rows, but there are {len(answers)} answers.")
    index = [cells[found.index] for _, cells in rows] if found.index in header else map(str, range(len(rows)))
    predicted = map(found.prediction, answers)
    lines = ({"index": i, "prediction": p} for i, p in zip(index, predicted, strict=True))
    formats.write(Path(out).expanduser(), "tsv", ["index", "prediction"], lines)


def _task(name: str) -> Task:
    if name not in GLUE:
        close = difflib.get_close_matches(name.lower(), GLUE, n=1, cutoff=0.5)
        hint = f"Did you mean {close[0]}?" if close else f"There are: {', '.join(GLUE)}."
        raise DataError(f"GLUE has no task '{name}'. {hint}")
    return GLUE[name]


def _rows(name: str, path: Path) -> tuple[list[str], list[formats.Line]]:
    """Return a file's columns and rows.  Raises: DataError, see `read_glue`."""
    task = _task(name)
    first = formats.parse(path, "tsv", None).header or []
    headless = list(task.headless) if task.headless and task.index not in first else None
    columns = headless or first
    texts = [task.text] if task.pair is None else [task.text, task.pair]
    if not {*texts} <= {*columns} or not {task.label, task.index} & {*columns}:
        raise DataError(
            f"{path} is no file of GLUE's {name}: its columns are {', '.join(columns)}. It wants {', '.join(texts)}"
            f" and {task.label} (train, dev) or {task.index} (test)."
        )
    # A test file must keep its every row: what is handed in is compared with all of them.
    broken: list[int] | None = [] if task.broken and task.label in columns else None
    rows = list(formats.parse(path, "tsv", headless, broken=broken).rows)
    if broken and len(broken) > _BROKEN_SHARE * (len(rows) + len(broken)):
        raise DataError(
            f"{path}: {len(broken)} lines, the first is line {broken[0]}, have not {len(columns)} cells"
            f" ({', '.join(columns)}). Some torn lines are known, but not so many: fetch the file anew."
        )
    if not rows:
        raise DataError(f"{path} has no rows after its header.")
    if broken:
        warnings.warn(
            f"{path}: {len(broken)} torn lines were left out, the first is line {broken[0]}; {len(rows):,} rows stay.",
            stacklevel=3,
        )
    return columns, rows
