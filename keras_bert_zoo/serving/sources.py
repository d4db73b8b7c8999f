"""What a run or an export tells of itself: its head, its tokenizer, and what training measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_bert_zoo import heads
from keras_bert_zoo.answers import head_of
from keras_bert_zoo.bundle import Bundle, load
from keras_bert_zoo.errors import ConfigError, DataError, ExportError
from keras_bert_zoo.serving.exported import zoo_folder
from keras_bert_zoo.serving.figures import Part, Training, read_figures, read_run
from keras_bert_zoo.serving.scoring import evaluate_served, head_by_answers
from keras_bert_zoo.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from keras_bert_zoo.data.tables import Table
    from keras_bert_zoo.heads.head import Head
    from keras_bert_zoo.serving.answerer import Answerer


class Source:
    """A run, a Hugging Face folder or an export, which is a version's folder or a model's; without one, nothing.

    Raises: what `load` raises; ExportError where an export is damaged.
    """

    def __init__(self, source: str | Path | None) -> None:
        self.source = source
        self.bundle: Bundle | None = None
        self.head: Head | None = None
        self.tokenizer: Tokenizer | None = None
        self.max_length: int | None = None
        self.training: Training | None = None
        folder = None if source is None else zoo_folder(source)
        if folder is not None:
            carried = read_figures(folder)
            self.head, self.max_length = heads.make(carried.head, carried.config), carried.max_length
            self.tokenizer = Tokenizer.from_file(folder / "assets" / "vocab.txt", **carried.tokenizer)
            self.training = carried.training
        elif source is not None:
            self.bundle, self.training = load(source), read_run(source)
            self.head, self.tokenizer = self.bundle.head, self.bundle.tokenizer
            self.max_length = self.bundle.max_length

    def reader(self, answerer: Answerer | None = None) -> str:
        """Return which of `data.reading.READERS` reads a table for its head, or for what a server answers."""
        name = None if self.head is None else self.head.name
        if self.source is None and answerer is not None:
            name = head_of(answerer.signature().outputs)
        return heads.reader_of(name)

    def table(self) -> tuple[str, Table]:
        """Read the rows that training was measured on, and return the name of that part of its data and them.

        Raises: ConfigError where nothing tells of them; DataError where they cannot be read any more.
        """
        if self.training is None:
            raise ConfigError(f"{self.source} tells of no data that it was measured on: name a table.")
        try:
            return self.training.table()
        except DataError as error:
            raise DataError(f"{error} It is what training was measured on; name another table.") from None

    def part_of(self, table: Table) -> Part | None:
        """Return what training measured on these very rows, if it did."""
        return None if self.training is None else self.training.part_of(table)

    def evaluate(
        self,
        table: Table,
        answerer: Answerer | None = None,
        *,
        settings: Mapping[str, Any] | None = None,
        batch_size: int = 32,
        predictions: str | Path | None = None,
        progress: Callable[[int, int], object] | None = None,
    ) -> dict[str, float]:
        """Return the figures of what answers, or else of the run itself; see `evaluate_served`, `Bundle.evaluate`.

        Without a source the head is made from what answers, with `settings`, see `head_by_answers`.
        Raises: ConfigError where SOURCE has no head, and what those raise.
        """
        if answerer is None:
            if self.bundle is None:
                raise ConfigError(f"{self.source} is an export: hand in what answers, such as Exported.")
            return self.bundle.evaluate(table, batch_size=batch_size, predictions=predictions)
        if self.head is None:
            if self.source is not None:
                raise ConfigError(f"{self.source} is an encoder without a head: it does not tell how to score answers.")
            self.head = head_by_answers(answerer, table, settings or {})
        return evaluate_served(
            answerer,
            self.head,
            table,
            batch_size=batch_size,
            tokenizer=self.tokenizer,
            max_length=self.max_length,
            predictions=predictions,
            progress=progress,
        )

    def hold(self, figures: Mapping[str, float], table: Table, tolerance: float) -> None:
        """Check that the figure that chose the best epoch is not lower than training's by more than `tolerance`.

        Raises: ExportError where it is; ConfigError where training did not measure it on these rows.
        """
        part = self.part_of(table)
        name = "figure" if self.head is None else self.head.best_by(figures)
        if part is None or name not in part.figures:
            raise ConfigError(f"{table.source}: training measured no {name} on these rows to hold to.")
        if not part.figures[name] - figures[name] <= tolerance:
            raise ExportError(
                f"{name} is {figures[name]:.4f}, training measured {part.figures[name]:.4f} on the same rows: lower by"
                f" more than {tolerance:g}."
            )
