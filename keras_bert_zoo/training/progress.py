"""What a long training shows: a bar on a terminal, a line now and then in a file, and TensorBoard's files."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_bert_zoo.training.recipes import Recipe

_SHOWN = {"loss": "loss", "perplexity": "perplexity", "masked_lm_accuracy": "mlm", "next_sentence_accuracy": "nsp"}


class Display:
    """Shows how a run goes on.

    `verbose` is 0 for nothing, 1 for a bar that moves, 2 for a line whenever figures are told, "auto" for the bar on a
    terminal and lines elsewhere.  `tensorboard` is a folder for its event files.
    """

    def __init__(self, verbose: int | str = "auto", tensorboard: str | Path | None = None) -> None:
        self.verbose = (1 if sys.stdout.isatty() else 2) if verbose == "auto" else int(verbose)
        self.tensorboard = Path(tensorboard).expanduser() if tensorboard is not None else None
        self._writers: dict[str, Any] = {}
        self._bar: Any = None
        self._task: Any = None

    def begin(self, recipe: Recipe, step: int, lengths: Sequence[int]) -> None:
        """Show that the training begins, or goes on, at a step; `lengths` are the tokens a row of each phase."""
        self.recipe, self.lengths = recipe, lengths
        self.since: tuple[float, float] | None = None  # when the first call was over, and the work done then
        if step and self.verbose:
            print(f"Going on after step {step:,} of {recipe.steps:,}.", flush=True)
        if self.verbose == 1:
            self._bar = _bar()
            self._task = self._bar.add_task("", total=recipe.steps, completed=step, told="making the graph …")
            self._bar.start()

    def moved(self, step: int, figures: Mapping[str, float], speed: float) -> None:
        """Show where the training stands."""
        left = self._left(step)
        if self._bar is not None:
            words = f"loss {figures['loss']:.3f}  {speed:,.0f} tokens/s  {span(left)} left"
            self._bar.update(self._task, completed=step, told=words)

    def say(self, what: str) -> None:
        """Show what else is being done."""
        if self._bar is not None:
            self._bar.update(self._task, told=f"{what} …")

    def row(self, row: Mapping[str, Any]) -> None:
        """Show figures, and write them for TensorBoard at their step."""
        step, left = row["step"], self._left(row["step"])
        parts = [f"{words} {row[name]:,.4g}" for name, words in _SHOWN.items() if name in row]
        parts += [f"val_{words} {row[f'val_{name}']:,.4g}" for name, words in _SHOWN.items() if f"val_{name}" in row]
        line = f"step {step:,}/{self.recipe.steps:,}  {'  '.join(parts)}  {row['tokens_per_second']:,.0f} tokens/s"
        if self._bar is not None:
            self._bar.update(self._task, completed=step)
            self._bar.console.print(line, highlight=False, markup=False)
        elif self.verbose:
            print(f"{line}  {span(left)} left", flush=True)
        if self.tensorboard is not None:
            self._write(step, row)

    def end(self) -> None:
        """Take the bar away and close the files."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def _left(self, step: int) -> float:
        """Return the seconds that are left: work done since the first call, which made the graph, tells how many."""
        now, done = time.monotonic(), self._work(step)
        if self.since is None:
            self.since = (now, done)
        since, before = self.since
        if done == before:
            return math.nan
        return (self._work(self.recipe.steps) - done) * (now - since) / (done - before)

    def _work(self, step: int) -> float:
        """Return how much work the first steps are: a row is as much as it is long."""
        done, begin = 0.0, 0
        for phase, length in zip(self.recipe.phases, self.lengths, strict=True):
            done += min(max(step - begin, 0), phase.steps) * phase.batch_size * length
            begin += phase.steps
        return done

    def _write(self, step: int, row: Mapping[str, Any]) -> None:
        import tensorflow as tf

        for name, value in row.items():
            if name in ("step", "steps", "phase"):
                continue
            part, figure = ("validation", name[4:]) if name.startswith("val_") else ("train", name)
            if part not in self._writers:
                self._writers[part] = tf.summary.create_file_writer(str(self.tensorboard / part))  # type: ignore[operator]
            with self._writers[part].as_default():
                tf.summary.scalar(figure, value, step=step)
        for writer in self._writers.values():
            writer.flush()


def span(seconds: float) -> str:
    """Return a span of time as people say it: "3 h 12 min"."""
    if math.isnan(seconds):
        return "? min"
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


def _bar() -> Any:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    return Progress(
        BarColumn(bar_width=30), MofNCompleteColumn(), TextColumn("{task.fields[told]}", markup=False), transient=True
    )
