"""What happens while a table is learnt: epochs are measured, the best is remembered, checkpoints are kept.

S updates an epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from keras_bert_zoo.data.batching import pass_draws
from keras_bert_zoo.data.tables import Table
from keras_bert_zoo.stopping import Stopped
from keras_bert_zoo.training.answers import Answers
from keras_bert_zoo.training.evaluation import evaluate, scored_answers
from keras_bert_zoo.training.layouts import place_of
from keras_bert_zoo.training.resume import restore_checkpoint, save_checkpoint
from keras_bert_zoo.training.steps import figures
from keras_bert_zoo.training.workers import Workers, share_state, workers_of

if TYPE_CHECKING:
    from keras_bert_zoo.heads.head import Head
    from keras_bert_zoo.text.tokenizer import Tokenizer
    from keras_bert_zoo.training.fit import Settings


class Epochs(keras.callbacks.Callback):
    """Measures the validation table after each epoch, remembers the best weights, and ends a run that stands still.

    `folder` is where checkpoints are kept, the chief's alone; `stopping` gives the number of a signal that is to end
    the training, 0 for none.  `epoch` and `batch` tell how many of them are done; `batch` is S while an epoch
    that has had all its updates is not measured yet.
    """

    def __init__(
        self,
        head: Head,
        tokenizer: Tokenizer,
        validation: Table | None,
        settings: Settings,
        folder: Path | None = None,
        stopping: Callable[[], int] | None = None,
    ) -> None:
        super().__init__()
        self.head, self.tokenizer, self.validation, self.settings = head, tokenizer, validation, settings
        self.folder, self.stopping = folder, stopping
        self.steps = 0  # an epoch, known when there are batches
        self.answers: Answers | None = None  # traced once, not every epoch
        self.epochs: list[dict[str, float]] = []
        self.best = 0
        self.monitor = ""
        self.weights: list[np.ndarray] = []
        self.workers: Workers | None = None
        self.epoch = self.batch = self.first = self.saved = 0
        self.sums: list[Any] = []  # what an epoch's figures stood at, where a run goes on in the midst of it
        self._draws = enumerate(pass_draws(settings.seed))
        with tf.device("CPU:0"):  # where data are made
            self._draw = tf.Variable(0, dtype=tf.int64)

    def draw(self) -> tf.Tensor:
        """Return what the epoch that begins next is drawn from, see `batches`."""
        return tf.identity(self._draw)

    # ---- going on

    def begin(self, model: keras.Model, *, say: bool) -> None:
        """Give a compiled model the state of the newest checkpoint, if there is one.

        Raises: CheckpointError.
        """
        workers = self.workers = workers_of(model)
        found = workers.first(lambda: restore_checkpoint(model, self.folder) if self.folder else None)
        found = share_state(model, workers, found)
        if found is None:
            return
        kept = found.kept
        self.epochs, self.best, self.monitor = kept["epochs"], kept["best"], kept["monitor"]
        self.epoch, self.batch, self.sums = kept["epoch"], kept["batch"], kept["sums"]
        self.saved = found.step
        if kept["weights"]:
            here = zip(model.weights, model.get_weights(), strict=True)
            self.weights = [workers.chiefs_array(found.arrays.get(weight.path, array)) for weight, array in here]
        if say:
            print(f"Going on after step {self.step:,} of {self.steps * self.settings.epochs:,}.", flush=True)

    def measure(self, model: keras.Model) -> None:
        """Do what is left of an epoch that has had all its updates."""
        self.set_model(model)
        _restore_sums(model, self.sums)
        self.sums = []
        self.on_epoch_end(self.epoch, _result(model))

    @property
    def ended(self) -> bool:
        """Whether there is nothing left to learn."""
        patience = self.settings.patience
        still = patience is not None and bool(self.epochs) and self.epoch - 1 - self.best >= patience
        return still or self.epoch == self.settings.epochs

    @property
    def step(self) -> int:
        """How many updates are done."""
        return self.epoch * self.steps + self.batch

    # ---- what Keras calls in turn

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        self._draw.assign(next(draw for number, draw in self._draws if number == epoch))
        self.first = self.batch
        if self.sums:
            _restore_sums(self.model, self.sums)
            self.sums = []

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        self.batch = min(self.first + batch + 1, self.steps)
        # After the last update of an epoch it is better to wait until that is measured.
        self._between(due=self._due() and self.batch < self.steps)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = {} if logs is None else logs
        if self.validation is not None:
            found = self._measured(self.validation)
            self.monitor = self.settings.monitor or self.head.best_by(found)
            logs.update({f"val_{name}": value for name, value in found.items()})  # shown by the progress bar
        self.epochs.append({name: float(value) for name, value in logs.items()})
        if self.validation is None or epoch == 0 or self.watched(epoch) > self.watched(self.best):
            self.best = epoch
            self.weights = [] if self.validation is None else self.model.get_weights()
        self.epoch, self.batch = epoch + 1, 0
        self._between(due=self._due())
        # After the rest of an epoch come whole ones, which are other data.
        if self.ended or self.first:
            self.model.stop_training = True

    def _measured(self, validation: Table) -> dict[str, float]:
        if self.answers is None and self.head.scored_by == "answers":
            self.answers = scored_answers(self.model, self.head, self.tokenizer, self.settings.length)
        found = evaluate(
            self.model,
            self.head,
            self.tokenizer,
            validation,
            batch_size=self.settings.batch_size,
            length=self.settings.length,
            answers=self.answers,
            pad_to=self.settings.widths,
        )
        # The chief's, for all workers must take the same epoch for the best.
        self.workers = self.workers or workers_of(self.model)
        return self.workers.chiefs(found)

    # ---- the best epoch

    def watched(self, epoch: int) -> float:
        """Return what is compared: the mean of the monitored figures."""
        return watched(self.epochs[epoch], self.monitor)

    def restore(self, model: keras.Model) -> None:
        """Give a model the weights of the best epoch."""
        if self.weights and self.best < len(self.epochs) - 1:
            model.set_weights(self.weights)
        self.weights = []

    # ---- checkpoints

    def _due(self) -> bool:
        every = self.settings.checkpoint_every
        return self.step // every > self.saved // every

    def _between(self, *, due: bool) -> None:
        """Save a checkpoint where one is due, or before a signal ends the training."""
        if self.stopping is None or self.workers is None:
            return
        signal = self.workers.most(self.stopping())
        if due or signal:
            self._save()
        if signal:
            self.workers.wait()  # for the chief's checkpoint
            raise Stopped(signal, self.step)

    def _save(self) -> None:
        kept = {
            "epoch": self.epoch,
            "batch": self.batch,
            "epochs": self.epochs,
            "best": self.best,
            "monitor": self.monitor,
            "weights": bool(self.weights),
            # Read by all workers, for it sums up all of theirs.
            "sums": _sums(self.model) if self.batch else [],
        }
        self.saved = self.step
        if self.folder is not None:
            paths = [weight.path for weight in self.model.weights]
            arrays = dict(zip(paths, self.weights, strict=True)) if self.weights else {}
            keep = self.settings.keep_checkpoints
            save_checkpoint(self.model, self.folder, self.step, kept, arrays=arrays, keep=keep)


def watched(figures: Mapping[str, float], monitor: str) -> float:
    """Return the mean of the monitored figures on the validation table, of an epoch's; the highest is the best."""
    names = monitor.split("+")
    return sum((-1 if name[0] == "-" else 1) * figures[f"val_{name.removeprefix('-')}"] for name in names) / len(names)


def _sums(model: keras.Model) -> list[Any]:
    """Return what a model's metrics have added up, over all replicas, as JSON knows it."""
    variables = _added_up(model)
    if keras.backend.backend() != "tensorflow":
        return [keras.ops.convert_to_numpy(variable).tolist() for variable in variables]

    def read() -> tf.Tensor:
        context = tf.distribute.get_replica_context()
        flat = tf.concat([tf.reshape(tf.cast(v.value, tf.float32), [-1]) for v in variables], axis=0)
        return context.all_reduce("sum", flat) if context.num_replicas_in_sync > 1 else flat

    parts = np.split(
        _by_replicas(model, read).numpy(), np.cumsum([np.prod(v.shape, dtype=int) for v in variables])[:-1]
    )
    return [part.reshape(v.shape).tolist() for part, v in zip(parts, variables, strict=True)]


def _restore_sums(model: keras.Model, values: list[Any]) -> None:
    """Let a model's metrics go on from there: the first replica has it all, the others nothing."""
    variables = _added_up(model)
    if keras.backend.backend() != "tensorflow":
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        return

    def assign() -> None:
        mine = tf.distribute.get_replica_context().replica_id_in_sync_group == 0
        for variable, value in zip(variables, values, strict=True):
            whole = tf.cast(tf.constant(value), variable.dtype)
            variable.assign(tf.where(mine, whole, tf.zeros_like(whole)))

    _by_replicas(model, assign)


def _result(model: keras.Model) -> dict[str, Any]:
    """Return a model's figures over the rows that all replicas have seen."""
    if keras.backend.backend() != "tensorflow":
        return model.get_metrics_result()
    return _by_replicas(model, lambda: figures(model))


def _added_up(model: keras.Model) -> list[Any]:
    return [variable for metric in model.metrics for variable in metric.variables]


def _by_replicas(model: keras.Model, work: Callable[[], Any]) -> Any:
    """Return what the first replica here gives where all do the same; in a cluster every process calls this."""
    strategy = model.distribute_strategy
    with place_of(model):
        each = strategy.run(tf.function(work, autograph=False))
    return tf.nest.map_structure(lambda value: strategy.experimental_local_results(value)[0], each)
