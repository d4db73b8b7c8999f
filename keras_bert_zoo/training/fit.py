"""Fine-tuning: the recipe of the BERT paper around Keras's own `fit`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from keras_bert_zoo.data.batching import batches, table_targets
from keras_bert_zoo.data.tables import Table
from keras_bert_zoo.data.widths import check_widths
from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.rematerialization import rematerialize
from keras_bert_zoo.training.depth import check_layer_decay, frozen
from keras_bert_zoo.training.epochs import Epochs
from keras_bert_zoo.training.evaluation import check_labelled, evaluate
from keras_bert_zoo.training.layouts import CHOICES, laid_out, place_of
from keras_bert_zoo.training.optimizer import adamw
from keras_bert_zoo.training.recipes import DETERMINISM, PRECISIONS

if TYPE_CHECKING:
    from keras_bert_zoo.heads.head import Head
    from keras_bert_zoo.text.tokenizer import Tokenizer


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a model is fine-tuned.

    `warmup` is the share of all updates; `length` the limit in tokens; `patience` how many epochs without a
    better one end the run (None: never); `class_weight` None, "balanced" or a weight per label; `layout` how tokens
    lie in memory while training: "padded", "packed" or "auto", see `training/layouts.py`; `monitor` the figure whose
    highest value tells the best epoch (unless given, the head's), or several, joined by "+", whose mean does; "-loss"
    means the lowest loss.

    `layer_decay` below 1 multiplies the learning rate of the last block, by its square that of the one before, and so
    on; `freeze_layers` holds the embeddings and so many of the first blocks fixed; see `training/depth.py`.
    `rematerialize` computes blocks again on the way back, for less memory.  `jit_compile` compiles the step with XLA,
    once for each shape: `pad_to` are the lengths that batches are padded to, unless given 32, 64, 128 and so on up to
    `length`.  `drop_remainder` leaves out each epoch's last batch where it is not full.  `steps_per_execution` are the
    steps in one call of TensorFlow's graph, chosen unless given.

    `gradient_accumulation` cuts every batch into so many parts, of which one at a time is in memory.  `precision` is
    what `finetune` loads weights for: "float32", "mixed_bfloat16" or "mixed_float16", which computes in half precision
    and scales losses; weights stay float32.  Unless given it is float32, or what a bundle has already.

    `checkpoint_every` are the updates between checkpoints, of which the newest `keep_checkpoints` are kept until a run
    is finished.  `determinism` "on" has TensorFlow give the same bits every time, "auto" where the run is kept
    and there is neither a GPU nor XLA.
    Raises: ConfigError on numbers that make no run.
    """

    epochs: int = 3
    batch_size: int = 32
    learning_rate: float = 5e-5
    warmup: float = 0.1
    weight_decay: float = 0.01
    length: int = 128
    seed: int = 0
    patience: int | None = None
    class_weight: str | Mapping[str, float] | None = None
    layout: str = "auto"
    monitor: str | None = None
    layer_decay: float = 1.0
    freeze_layers: int = 0
    rematerialize: bool = False
    jit_compile: bool = False
    pad_to: int | Sequence[int] | None = None
    drop_remainder: bool = False
    steps_per_execution: int | None = None
    gradient_accumulation: int = 1
    precision: str | None = None
    checkpoint_every: int = 1000
    keep_checkpoints: int = 2
    determinism: str = "auto"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "length", "gradient_accumulation", "checkpoint_every", "keep_checkpoints"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}, it must be at least 1.")
        if not 0 <= self.warmup < 1:
            raise ConfigError(f"warmup is {self.warmup}, it must be a share of the run from 0 up to (not with) 1.")
        if self.patience is not None and self.patience < 1:
            raise ConfigError(f"patience is {self.patience}, it must be at least 1 epoch.")
        if self.monitor is not None and not all(self.monitor.split("+")):
            raise ConfigError(f"monitor is {self.monitor!r}, it must be a figure, or several joined by '+'.")
        if self.layout not in CHOICES:
            raise ConfigError(f"layout is {self.layout!r}, it must be one of {', '.join(CHOICES)}.")
        check_layer_decay(self.layer_decay)
        if self.freeze_layers < 0:
            raise ConfigError(f"freeze_layers is {self.freeze_layers}, it must be 0 or more.")
        if self.steps_per_execution is not None and self.steps_per_execution < 1:
            raise ConfigError(f"steps_per_execution is {self.steps_per_execution}, it must be at least 1.")
        check_widths(self.pad_to, 0)
        if self.precision not in (None, *PRECISIONS):
            raise ConfigError(f"precision is {self.precision!r}, it must be one of {', '.join(PRECISIONS)}.")
        if self.determinism not in DETERMINISM:
            raise ConfigError(f"determinism is {self.determinism!r}, it must be one of {', '.join(DETERMINISM)}.")
        if self.determinism == "on" and self.jit_compile:
            raise ConfigError("jit_compile or determinism 'on': TensorFlow compiles nothing while it is deterministic.")

    @property
    def widths(self) -> tuple[int, ...] | None:
        """The lengths that batches are padded to; None where each follows its own longest row.

        Raises: ConfigError where the longest is less than `length`.
        """
        if self.pad_to is None and self.jit_compile:
            return (*(2**k for k in range(5, 20) if 2**k < self.length), self.length)
        return check_widths(self.pad_to, self.length) or None

    @property
    def trained_layout(self) -> str:
        """The layout that is trained in: where shapes are to stay, "auto" means "padded"."""
        return "padded" if self.layout == "auto" and self.widths else self.layout


@dataclasses.dataclass(frozen=True)
class History:
    """What happened: one dict of figures an epoch, and the number (from 0) of the epoch that was kept."""

    epochs: list[dict[str, float]]
    best: int


def fit(
    model: keras.Model,
    head: Head,
    tokenizer: Tokenizer,
    train: Table,
    validation: Table | None = None,
    settings: Settings | None = None,
    *,
    folder: Path | None = None,
    stopping: Callable[[], int] | None = None,
    verbose: int | str = "auto",
) -> History:
    """Compile and train a task model; afterwards it holds the weights of its best epoch.

    The best epoch has the highest `settings.monitor` on `validation`, `head.best_by` unless given; without a validation
    table it is the last.  Where
    `settings.layout` is not the model's own, a model that shares all its layers is trained in its stead; `model` keeps
    its layout.

    Where `stopping` is given, which tells a signal's number or 0, the training goes on from the newest checkpoint in
    `folder`, keeps more of them there, and ends after one with `Stopped` where there is a signal.  In a cluster all
    workers give `stopping`, and the chief alone a folder.
    Raises: DataError and ConfigError as `batches`, `adamw` and `laid_out` do; CheckpointError; Stopped.
    """
    settings = settings or Settings()
    if head.labelled:
        check_labelled(train)
    if settings.monitor is not None and validation is not None:
        # One row tells the figures' names: a wrong one must not end a run after its first epoch.
        one = validation.select([0])
        figures = evaluate(model, head, tokenizer, one, length=settings.length, pad_to=settings.widths)
        if unknown := [name for name in settings.monitor.split("+") if name.removeprefix("-") not in figures]:
            raise ConfigError(f"monitor: there is no figure {', '.join(unknown)}; there are {', '.join(figures)}.")
    check_positions(model, settings.widths)
    between = Epochs(head, tokenizer, validation, settings, folder, stopping)

    def batches_after(skip: int) -> tf.data.Dataset:
        return batches(
            train,
            head,
            tokenizer,
            settings.batch_size,
            length=settings.length,
            shuffle=True,
            seed=settings.seed,
            drop_remainder=settings.drop_remainder,
            pad_to=settings.widths,
            draw=between.draw,
            skip=skip,
        )

    rows = batches_after(0)
    between.steps = int(rows.cardinality())
    steps = settings.epochs * between.steps
    warmup = int(settings.warmup * steps)
    with place_of(model):  # where the model's variables live, its optimizer's must be made
        optimizer = adamw(
            settings.learning_rate,
            steps=steps,
            warmup=warmup,
            weight_decay=settings.weight_decay,
            layer_decay=settings.layer_decay,
        )
        trained = laid_out(model, settings.trained_layout)
        if settings.rematerialize:
            trained = rematerialize(trained)
    weights = _class_weight(settings.class_weight, head, train)
    with frozen(model, settings.freeze_layers):
        with place_of(model):
            for each in (model, trained) if trained is not model else (model,):
                each.compile(
                    optimizer,
                    head.loss(),
                    metrics=head.metrics(),
                    jit_compile=settings.jit_compile and each is trained,
                    steps_per_execution=settings.steps_per_execution or _steps_a_call(each),
                    gradient_accumulation=settings.gradient_accumulation,
                )
        if stopping is not None:
            trained.make_variables(rows)  # which a checkpoint may bring values for
            between.begin(trained, say=verbose != 0)
        while not between.ended:
            if between.batch == between.steps:
                between.measure(trained)
                continue
            trained.fit(
                batches_after(between.batch) if between.batch else rows,  # the rest of an epoch, or whole ones
                initial_epoch=between.epoch,
                epochs=settings.epochs,
                class_weight=weights,
                callbacks=[between],
                verbose=verbose,
            )
    between.restore(trained)
    return History(between.epochs, between.best)


def check_positions(model: keras.Model, widths: Sequence[int] | None) -> None:
    """Raises: ConfigError where batches would be padded to more tokens than the model has positions."""
    most = model.get_layer("embeddings").max_position_embeddings
    if widths and max(widths) > most:
        raise ConfigError(f"pad_to ends at {max(widths)}, but the model has {most} positions: pad to {most} at most.")


def _steps_a_call(model: keras.Model) -> int:
    """Return how many steps run in one call: between calls, and only there, figures are read and the bar moves on."""
    alone = keras.backend.backend() == "tensorflow" and model.distribute_strategy.num_replicas_in_sync == 1
    # Up to 10 % quicker than 1, sometimes not at all; 16 is no better: benchmarks/training_steps.py.
    return 8 if alone else 1


def _class_weight(wanted: str | Mapping[str, float] | None, head: Any, train: Table) -> dict[int, float] | None:
    """Return Keras's weight by label number: "balanced" makes every label count the same in sum."""
    if wanted is None:
        return None
    if head.name != "classification":
        raise ConfigError(f"class_weight belongs to the head 'classification', not to '{head.name}'.")
    if wanted == "balanced":
        counts = np.bincount(np.array(table_targets(train, head)), minlength=len(head.labels))
        return {i: len(train) / (len(head.labels) * max(int(n), 1)) for i, n in enumerate(counts)}
    if isinstance(wanted, str) or set(wanted) != set(head.labels):
        raise ConfigError(f"class_weight must be 'balanced' or a weight for each of {', '.join(head.labels)}.")
    return {i: float(wanted[label]) for i, label in enumerate(head.labels)}
