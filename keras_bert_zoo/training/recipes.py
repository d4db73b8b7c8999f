"""What a pretraining is: its phases and settings, as Python or as one JSON file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_bert_zoo.errors import ConfigError

OPTIMIZERS = ("adamw", "lamb")
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
MASKS = ("auto", "dynamic", "static")
SHAPES = ("auto", "trimmed", "fixed")
CORRUPT = ("refuse", "skip")
DETERMINISM = ("auto", "on", "off")
LAYOUTS = ("auto", "padded", "packed")  # as training/layouts.py has them, which needs Keras


@dataclasses.dataclass(frozen=True)
class Phase:
    """Some updates on some data: a folder of `kbz pretraining-data`, or files of foreign records.

    `learning_rate` and `warmup` (in updates) are for a phase that has a schedule of its own.
    Raises: ConfigError on numbers that make no phase.
    """

    data: Any  # str | Sequence[str]; kept as a tuple of strings
    steps: int
    batch_size: int = 32
    learning_rate: float | None = None
    warmup: int | None = None

    def __post_init__(self) -> None:
        data = [self.data] if isinstance(self.data, (str, Path)) else list(self.data)
        if not data or not all(isinstance(part, (str, Path)) and str(part) for part in data):
            raise ConfigError(
                f"A phase's data are {self.data!r}, they must be a folder, a pattern, or a list of files."
            )
        object.__setattr__(self, "data", tuple(map(str, data)))
        for name in ("steps", "batch_size"):
            _check_whole(f"A phase's {name}", getattr(self, name), 1)
        if self.warmup is not None:
            _check_whole("A phase's warmup", self.warmup, 0)
            if self.learning_rate is None:
                raise ConfigError("A phase has a warmup of its own but no learning_rate: give it both or neither.")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A pretraining: phases one after another on the same weights and optimizer.

    The learning rate rises over `warmup` updates (unless given a tenth of them all, 10,000 at most), then falls with
    `power` to `end_learning_rate`: one schedule over all phases, or, where every phase has its own `learning_rate`, one
    for each.  `masks` "dynamic" draws masks anew every epoch, "static" takes those in the records, "auto" does the
    latter where there are some.  `max_predictions` unless given is the data's, or the share of a whole row.  `shapes`
    "trimmed" cuts batches to their longest row, "fixed" leaves them, and "auto" does so under XLA.  `pack_sequences` is
    the most sequences that share a row, see `text/sequences.py`; a batch is of so many sequences, in fewer rows.
    `corrupt` "skip" counts rows in a damaged shard and goes on.  `determinism` "on" has TensorFlow give the same bits
    every time, "auto" where there is neither a GPU nor XLA.  `rematerialize` computes blocks again on the way back, for
    less memory, and `jit_compile` compiles the step with XLA, once for each length of rows.  `gradient_accumulation`
    cuts every batch into so many parts, of which one at a time is in memory: one update, the same numbers.
    `validation` are shards held out, measured every `validate_every` updates with the same masks each time.  Figures
    are told every `log_every` updates; all that happens between updates happens there.
    Raises: ConfigError on what makes no run.
    """

    phases: Sequence[Phase]
    validation: Any = None  # as a phase's data
    optimizer: str = "adamw"
    learning_rate: float = 1e-4
    warmup: int | None = None
    power: float = 1.0
    end_learning_rate: float = 0.0
    weight_decay: float = 0.01
    clip_norm: float | None = 1.0
    precision: str = "float32"
    gradient_accumulation: int = 1
    masks: str = "auto"
    mask_share: float = 0.15
    max_predictions: int | None = None
    whole_words: bool = False
    shapes: str = "auto"
    pack_sequences: int = 1
    layout: str = "auto"
    rematerialize: bool = False
    jit_compile: bool = False
    corrupt: str = "refuse"
    determinism: str = "auto"
    shuffle_block: int = 16384
    seed: int = 0
    log_every: int = 100
    validate_every: int = 1000
    checkpoint_every: int = 1000
    keep_checkpoints: int = 2

    def __post_init__(self) -> None:
        phases = tuple(each if isinstance(each, Phase) else _made(Phase, each, "A phase") for each in self.phases)
        if not phases:
            raise ConfigError("A recipe needs at least one phase: its data and how many steps.")
        object.__setattr__(self, "phases", phases)
        if self.validation is not None:
            parts = [self.validation] if isinstance(self.validation, (str, Path)) else self.validation
            object.__setattr__(self, "validation", tuple(map(str, parts)))
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigError(f"{name} is {getattr(self, name)!r}, it must be one of {', '.join(choices)}.")
        for name in _COUNTS:
            _check_whole(name, getattr(self, name), 1)
        _check_whole("seed", self.seed, 0)
        if self.seed >= 2**31:
            raise ConfigError(f"seed is {self.seed}, it must be below {2**31}.")
        for name in ("validate_every", "checkpoint_every"):
            if getattr(self, name) % self.log_every:
                raise ConfigError(
                    f"{name} is {getattr(self, name)}, it must be a multiple of log_every, which is {self.log_every}."
                )
        for name in ("rematerialize", "jit_compile"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name} is {getattr(self, name)!r}, it must be true or false.")
        if self.jit_compile:
            self._check_compiles()
        if self.warmup is not None:
            _check_whole("warmup", self.warmup, 0)
        if self.max_predictions is not None:
            _check_whole("max_predictions", self.max_predictions, 1)
        if not 0 < self.mask_share < 1:
            raise ConfigError(f"mask_share is {self.mask_share}, it must lie between 0 and 1.")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ConfigError(f"clip_norm is {self.clip_norm}, it must be above 0, or nothing for no clipping.")
        if not self.weight_decay >= 0:
            raise ConfigError(f"weight_decay is {self.weight_decay}, it must be 0 or more.")
        own = [phase.learning_rate is not None for phase in phases]
        if any(own) and not all(own):
            raise ConfigError("Some phases have a learning_rate and some have none: give it to all of them or to none.")
        if all(own) and self.warmup is not None:
            raise ConfigError("Every phase has a schedule of its own: give each its warmup, not the recipe.")
        self.schedule_numbers()

    def _check_compiles(self) -> None:
        """Raises: ConfigError on what XLA, which compiles anew for each shape, cannot have."""
        for name, wrong, why in _NOT_COMPILED:
            if wrong(getattr(self, name)):
                raise ConfigError(f"{name} is {getattr(self, name)!r}, but jit_compile is true: {why}")

    @property
    def trimmed(self) -> bool:
        """Whether batches are cut to their longest row."""
        return self.shapes == "trimmed" or (self.shapes == "auto" and not self.jit_compile)

    @property
    def trained_layout(self) -> str:
        """The layout that is trained in: under XLA "auto" means "padded"."""
        return "padded" if self.layout == "auto" and self.jit_compile else self.layout

    @property
    def steps(self) -> int:
        """How many updates there are in all."""
        return sum(phase.steps for phase in self.phases)

    def schedule_numbers(self) -> list[tuple[float, int, int]]:
        """Return (learning rate, updates, those it rises in) of each schedule.  Raises: ConfigError."""
        if self.phases[0].learning_rate is None:
            numbers = [(self.learning_rate, self.steps, self.warmup)]
        else:
            numbers = [(phase.learning_rate or 0, phase.steps, phase.warmup) for phase in self.phases]
        full = [(rate, steps, min(10_000, steps // 10) if up is None else up) for rate, steps, up in numbers]
        for rate, steps, warmup in full:
            if not rate > 0:
                raise ConfigError(f"learning_rate is {rate}, it must be above 0 (1e-4 suits most pretraining).")
            if not warmup < steps:
                raise ConfigError(f"warmup is {warmup} updates, but there are only {steps}: warm up for fewer.")
        return full

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as JSON knows it."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "recipe") -> Recipe:
        """Build from plain values.  Raises: ConfigError on a name that is no setting."""
        return _made(cls, values, where)

    @classmethod
    def from_file(cls, path: str | Path) -> Recipe:
        """Read a JSON file.  Raises: ConfigError where there is none, or it makes no recipe."""
        try:
            values = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{path}: no recipe can be read: {error}.") from None
        return cls.from_dict(values, str(path))


_COUNTS = (
    "gradient_accumulation",
    "log_every",
    "validate_every",
    "checkpoint_every",
    "keep_checkpoints",
    "shuffle_block",
    "pack_sequences",
)
_CHOICES = {
    "optimizer": OPTIMIZERS,
    "precision": PRECISIONS,
    "masks": MASKS,
    "shapes": SHAPES,
    "layout": LAYOUTS,
    "corrupt": CORRUPT,
    "determinism": DETERMINISM,
}
# Setting, what of it cannot be compiled, and why.
_NOT_COMPILED: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("layout", lambda layout: layout == "packed", "a packed batch has as many tokens as it has. Take 'padded'."),
    ("shapes", lambda shapes: shapes == "trimmed", "XLA would compile anew for every length. Take 'fixed'."),
    ("pack_sequences", lambda most: most > 1, "XLA would compile anew for every number of rows. Take 1."),
    ("determinism", lambda wanted: wanted == "on", "TensorFlow then compiles nothing. Take 'off'."),
)


def _made(kind: Any, values: Any, where: str) -> Any:
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: want a table of settings, got {values!r:.60}.")
    fields = {field.name: field for field in dataclasses.fields(kind)}
    if unknown := [name for name in values if name not in fields]:
        raise ConfigError(f"{where}: there is no setting {', '.join(unknown)}. There are: {', '.join(fields)}.")
    needed = [name for name, field in fields.items() if field.default is dataclasses.MISSING]
    if missing := [name for name in needed if name not in values]:
        raise ConfigError(f"{where}: {', '.join(missing)} must be given.")
    try:
        return kind(**values)
    except TypeError as error:  # "3" < 1
        raise ConfigError(f"{where}: a value is not of its kind: {error}.") from None
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _check_whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigError(f"{name} is {value!r}, it must be a whole number of at least {least}.")
