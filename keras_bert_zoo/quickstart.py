"""The main job from end to end: real weights, real data, fine-tune, measure, export, answer raw sentences."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_bert_zoo.data.datasets import load_dataset
from keras_bert_zoo.data.tables import Table
from keras_bert_zoo.errors import ExportError
from keras_bert_zoo.heads.classification import Classification
from keras_bert_zoo.recipe import finetune
from keras_bert_zoo.serving import fresh_process
from keras_bert_zoo.serving.saved_model import export_bundle
from keras_bert_zoo.training.fit import Settings
from keras_bert_zoo.zoo import fetch

PRESET, DATASET = "minilm_l6_h384_uncased", "movie_snippets"
# Ratings run from -4 to 4; between these two a sentence has no clear mood and is left out.
NEUTRAL_BAND = (-0.5, 0.5)
LABELS = ("negative", "positive")
SENTENCES = (
    "A warm, funny film that I will watch again with my children.",
    "Two hours of my life that nobody will give back to me.",
    "The plot makes no sense, yet the actors save every single scene.",
    "I expected nothing, and even so I was disappointed.",
    "Quiet, patient and beautifully shot: the best surprise of the year.",
)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What the quickstart found: held-out accuracy, that of always saying the commonest label, and the answers."""

    run: Path
    exported: Path
    accuracy: float
    majority: float
    test_rows: int
    answers: list[dict[str, Any]]


def clear_mood(table: Table) -> Table:
    """Drop the sentences rated inside the neutral band and label the others negative or positive."""
    low, high = NEUTRAL_BAND
    clear = table.where([not low <= rating <= high for rating in table.labels or []])
    return clear.map_labels(lambda rating: LABELS[rating > high])


def quickstart(
    out: str | Path = "runs/quickstart",
    export_to: str | Path = "saved_models/movie_mood",
    *,
    settings: Settings | None = None,
    say: Callable[[str], None] = print,
    verbose: int | str = "auto",
) -> Outcome:
    """Fine-tune MiniLM on film-review sentences, export it, and let a fresh process answer raw sentences.

    The run folder is replaced, the export gets the next version.  `say` is told each step.
    Raises: whatever its parts raise; ExportError where the fresh process fails.
    """
    fetch(PRESET, progress=say)
    splits = load_dataset(DATASET, progress=say)
    train, validation, test = (clear_mood(part) for part in (splits.train, splits.validation, splits.test))
    say(
        f"Data: {DATASET}, {len(train):,} sentences to learn from, {len(validation):,} to choose the epoch,"
        f" {len(test):,} held out. Ratings from {NEUTRAL_BAND[0]} to {NEUTRAL_BAND[1]} have no clear mood and were"
        " left out, before any training."
    )
    say(f"Weights: {PRESET}. Fine-tuning …")
    run = finetune(
        PRESET,
        Classification(LABELS),
        train,
        validation,
        test=test,
        out=out,
        settings=settings or Settings(epochs=2, length=64, learning_rate=1e-4),
        overwrite=True,
        command="kbz quickstart",
        data=f"{DATASET} ({splits.citation})",
        verbose=verbose,
    )
    labels = test.labels or []
    majority = Counter(labels).most_common(1)[0][1] / len(labels)
    accuracy = (run.test or {})["accuracy"]
    say(f"Held-out accuracy {accuracy:.1%} on {len(test):,} sentences; always the commonest label: {majority:.1%}.")
    exported = export_bundle(run.bundle, export_to, run=out)
    say(f"Exported to {exported}. A fresh process with only TensorFlow and TF.Text answers:")
    return Outcome(Path(out), exported, accuracy, majority, len(test), ask_fresh_process(exported, SENTENCES))


def ask_fresh_process(version_folder: Path, texts: tuple[str, ...]) -> list[dict[str, Any]]:
    """Load an export in a new Python that knows nothing of this package, and return a dict for each text.

    Raises: ExportError with the process's own last words where it fails.
    """
    script = str(Path(fresh_process.__file__))
    command = [sys.executable, script, str(version_folder), "tf2"]
    done = subprocess.run(command, input=json.dumps({"text": texts}), capture_output=True, text=True, check=False)
    if done.returncode:
        raise ExportError(f"{version_folder}: a fresh process could not answer. It said:\n{done.stderr[-2000:]}")
    columns = json.loads(done.stdout)
    return [{name: values[i] for name, values in columns.items()} for i in range(len(texts))]
