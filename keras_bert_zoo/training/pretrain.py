"""The loop of a pretraining: Keras's `fit` once a phase, and what happens between updates."""

from __future__ import annotations

import dataclasses
import math
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras

from keras_bert_zoo.config import BertConfig
from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.stopping import Stopped
from keras_bert_zoo.training.lamb import Lamb
from keras_bert_zoo.training.masked_batches import Prepare, batches, held_out, preparation
from keras_bert_zoo.training.optimizer import AdamW
from keras_bert_zoo.training.progress import Display
from keras_bert_zoo.training.recipes import Recipe
from keras_bert_zoo.training.records import Limits, Stream
from keras_bert_zoo.training.resume import checkpoints, restore_checkpoint, save_checkpoint
from keras_bert_zoo.training.schedule import InTurn, WarmupPolynomialDecay
from keras_bert_zoo.training.shards import Shards
from keras_bert_zoo.training.shares import Share
from keras_bert_zoo.training.workers import Workers, share_state

if TYPE_CHECKING:
    from keras_bert_zoo.text.tokenizer import Tokenizer

_EXECUTION = 8  # steps in one call at most, see training/fit.py
_NAMES = {"masked_lm_perplexity": "perplexity"}  # Keras's names -> ours, as `Pretraining.measure` has them


@dataclasses.dataclass(frozen=True)
class PhaseData:
    """A phase's rows, and the function that makes batches of them what the model takes."""

    stream: Stream
    prepare: Prepare


def phase_data(
    recipe: Recipe,
    tokenizer: Tokenizer,
    config: BertConfig,
    shards: Shards,
    batch_size: int,
    seed: int,
    share: Share | None = None,
) -> PhaseData:
    """Return a phase's rows, or this process's share of them, and how they become batches.

    Raises: ConfigError on masks that the records do not hold, and rows that cannot be shared so.
    """
    dynamic = shards.kind == "ids" if recipe.masks == "auto" else recipe.masks == "dynamic"
    if not dynamic and shards.kind == "ids":
        raise ConfigError(
            f"{shards.files[0].path.parent}: the records hold no masks, so masks must be 'dynamic' or 'auto'."
        )
    told = shards.manifest.get("max_predictions") or shards.places or max(1, round(recipe.mask_share * shards.length))
    most = recipe.max_predictions or told
    stream = Stream(
        shards,
        batch_size,
        Limits(config.vocab_size, config.type_vocab_size),
        seed=seed,
        block=recipe.shuffle_block,
        corrupt=recipe.corrupt,
        dynamic=dynamic,
        trimmed=recipe.trimmed,
        share=share,
    )
    fixed = most if dynamic else shards.places
    prepare = preparation(
        tokenizer,
        dynamic=dynamic,
        share=recipe.mask_share,
        most=most,
        whole_words=recipe.whole_words,
        width=None if recipe.trimmed else fixed,
        sequences=recipe.pack_sequences,
        length=shards.length,
    )
    return PhaseData(stream, prepare)


def make_optimizer(recipe: Recipe) -> AdamW:
    """Return a recipe's optimizer: AdamW or LAMB, no decay on biases and norms, gradients clipped by their global norm.

    Source: google-research/bert optimization.py (β 0.9 and 0.999, ε 1e-6, decay 0.01, clip 1.0); You et al. 2020.
    """
    kind = {"adamw": AdamW, "lamb": Lamb}[recipe.optimizer]
    return kind(
        make_schedule(recipe),
        weight_decay=recipe.weight_decay,
        epsilon=1e-6,
        global_clipnorm=recipe.clip_norm,
    )


def make_schedule(recipe: Recipe) -> keras.optimizers.schedules.LearningRateSchedule:
    """Return a recipe's learning rates over all its phases."""
    options = {"power": recipe.power, "end": recipe.end_learning_rate}
    each = [WarmupPolynomialDecay(rate, steps, warmup, **options) for rate, steps, warmup in recipe.schedule_numbers()]
    return each[0] if len(each) == 1 else InTurn(each)


def steps_a_call(log_every: int) -> int:
    """Return how many steps run in one call: calls must end where figures are told."""
    return max(steps for steps in range(1, _EXECUTION + 1) if log_every % steps == 0)


def run_phases(
    model: keras.Model,
    recipe: Recipe,
    data: list[PhaseData],
    validation: PhaseData | None,
    *,
    folder: Path | None,
    workers: Workers,
    display: Display,
    stopping: Callable[[], int] = lambda: 0,
) -> dict[str, Any]:
    """Train a compiled model from where its newest checkpoint in `folder` stands to the end.

    In a cluster the chief alone has a folder; the others get from it what it reads there.

    Returns `rows`, a table of figures, `seconds` and `damaged`, rows that can be read of each damaged shard.
    Raises: DataError, CheckpointError; ConfigError where the loss is no number any more; Stopped, after a checkpoint,
    where `stopping` gives a signal's number, be it at another worker.
    """
    found = workers.first(lambda: restore_checkpoint(model, folder) if folder else None)
    found = share_state(model, workers, found)
    kept: dict[str, Any] = found.kept if found else {"rows": [], "seconds": 0.0, "damaged": {}}
    step = found.step if found else 0
    display.begin(recipe, step, [part.stream.shards.length for part in data])
    begin = 0
    for number, (phase, part) in enumerate(zip(recipe.phases, data, strict=True)):
        end = begin + phase.steps
        if step < end:
            part.stream.damaged.update(kept["damaged"].get(str(number), {}))
            between = _Between(model, recipe, number, (begin, step, end), part, validation, kept, folder, display)
            between.stopping = lambda: workers.most(stopping())
            # Every phase begins its own data anew, with batches numbered from 0.
            rows = batches(part.stream, part.prepare, step - begin, phase.steps, model.distribute_strategy)
            _fit(model, rows, between, (part, validation))
            if between.signal:
                workers.wait()  # for the chief's checkpoint
                raise Stopped(between.signal, between.step)
            step = end
        begin = end
    return kept


def _fit(model: keras.Model, rows: Any, between: keras.callbacks.Callback, parts: tuple[PhaseData | None, ...]) -> None:
    import tensorflow as tf

    try:
        model.fit(rows, epochs=1, verbose=0, callbacks=[between])
    except tf.errors.OpError:
        for part in parts:
            if part is not None and part.stream.error is not None:
                raise part.stream.error from None  # what TensorFlow told as an error of its own
        raise


class _Between(keras.callbacks.Callback):
    """What happens between updates: figures, measuring, checkpoints, stopping."""

    def __init__(
        self,
        model: keras.Model,
        recipe: Recipe,
        number: int,
        steps: tuple[int, int, int],
        part: PhaseData,
        validation: PhaseData | None,
        kept: dict[str, Any],
        folder: Path | None,
        display: Display,
    ) -> None:
        super().__init__()
        self.recipe, self.number, self.part, self.validation = recipe, number, part, validation
        self.begin, self.start, self.end = steps
        self.kept, self.folder, self.display = kept, folder, display
        self.step = self.told = self.start
        self.stopping: Callable[[], int] = lambda: 0
        self.signal = 0
        self.tokens = 0  # real ones since the figures were told
        self.clock = time.monotonic()
        # When the first call was over, in which the graph is made, and the tokens until then.
        self.first: tuple[float, int] | None = None
        self.held_out = held_out(validation.stream, validation.prepare) if validation else None

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        before, self.step = self.step, min(self.start + batch + 1, self.end)
        told = {name: float(value) for name, value in (logs or {}).items()}
        if not math.isfinite(told["loss"]):
            raise ConfigError(self._diverged(before, told["loss"]))
        self.tokens += sum(self.part.stream.tokens.pop(i - self.begin) for i in range(before, self.step))
        if self.first is None:
            self.first = (time.monotonic(), self.tokens)
        done = self.step - self.begin
        if done % self.recipe.log_every == 0 or self.step == self.end:
            self._tell(told)
            if done % self.recipe.checkpoint_every == 0 or self.step == self.end:
                self._save()
        else:
            self.display.moved(self.step, told, self._speed())
        self.signal = self.stopping()
        if self.signal and self.step < self.recipe.steps:
            self._save()
            self.model.stop_training = True

    def _tell(self, logs: Mapping[str, float]) -> None:
        speed, seconds = self._speed(), time.monotonic() - self.clock
        rate = make_schedule(self.recipe)(self.step - 1)  # the last update's
        row = {
            "step": self.step,
            "phase": self.number + 1,
            "steps": self.step - self.told,  # the figures are means over so many: fewer where a run went on
            **_figures(logs),
            "learning_rate": float(keras.ops.convert_to_numpy(rate)),
            "tokens_per_second": speed,
        }
        if self.held_out is not None and (
            (self.step - self.begin) % self.recipe.validate_every == 0 or self.step == self.end
        ):
            self.display.say("measuring on held-out rows")
            row |= {f"val_{name}": value for name, value in _figures(_measured(self.model, self.held_out)).items()}
        self._note_damage()
        self.kept["rows"].append(row)
        self.kept["seconds"] += seconds
        self.display.row(row)
        self.model.reset_metrics()
        self.told, self.tokens, self.clock = self.step, 0, time.monotonic()
        self.first = (self.clock, 0)  # no graph is left to make

    def _note_damage(self) -> None:
        known = self.kept["damaged"].setdefault(str(self.number), {})
        for name, rows in list(self.part.stream.damaged.items()):  # a list: the reading goes on beside us
            if known.get(name) != rows:
                warnings.warn(f"{name} is damaged: only its first {rows:,} rows are read.", UserWarning, stacklevel=2)
                known[name] = rows

    def _save(self) -> None:
        if self.folder is None:
            return
        self._note_damage()
        save_checkpoint(self.model, self.folder, self.step, self.kept, keep=self.recipe.keep_checkpoints)

    def _speed(self) -> float:
        """Return real tokens a second; the call in which the graph was made is left out where there are others."""
        since, tokens = self.first or (self.clock, 0)
        if self.tokens == tokens:
            since, tokens = self.clock, 0
        return (self.tokens - tokens) / max(time.monotonic() - since, 1e-9)

    def _diverged(self, before: int, loss: float) -> str:
        where = f"step {self.step}" if self.step == before + 1 else f"one of the steps {before + 1} to {self.step}"
        found = checkpoints(self.folder) if self.folder else []
        last = f"The last good checkpoint is {found[0]}." if found else "There is no checkpoint before it."
        return (
            f"The loss became {loss} in {where}. {last} Lower the learning rate, warm up longer, or look at the data"
            " there; with other settings the run begins anew (--overwrite)."
        )


def _measured(model: keras.Model, rows: Any) -> dict[str, float]:
    with warnings.catch_warnings():
        # Keras complains of data whose number of batches it was not told.
        warnings.filterwarnings("ignore", "Your input ran out of data", UserWarning)
        return model.evaluate(rows, return_dict=True, verbose=0)


def _figures(logs: Mapping[str, float]) -> dict[str, float]:
    """Return Keras's figures under our names; the masked-LM loss is that of all places alike, as its perplexity is."""
    figures = {_NAMES.get(name, name): float(value) for name, value in logs.items()}
    return {**figures, "masked_lm_loss": math.log(figures["perplexity"])}
