"""Learning rates over a training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_bert_zoo.errors import ConfigError


@keras.saving.register_keras_serializable("keras_bert_zoo")
class WarmupLinearDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Rises linearly from 0 over `warmup` updates to `learning_rate`, then falls linearly to 0 at `steps`.

    Raises: ConfigError where the numbers leave no room for the fall.
    Source: Devlin et al. 2019, appendix A.2; Hugging Face's get_linear_schedule_with_warmup.
    """

    usual = "5e-5 suits most tasks"

    def __init__(self, learning_rate: float, steps: int, warmup: int = 0) -> None:
        if not learning_rate > 0:
            raise ConfigError(f"learning_rate is {learning_rate}, it must be above 0 ({self.usual}).")
        if steps < 1:
            raise ConfigError(f"steps is {steps}, it must be the number of updates of the whole run, at least 1.")
        if not 0 <= warmup < steps:
            raise ConfigError(f"warmup is {warmup}, it must be from 0 up to (not with) the run's {steps} steps.")
        self.learning_rate, self.steps, self.warmup = float(learning_rate), int(steps), int(warmup)

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "float32")
        rise = step / max(self.warmup, 1)
        fall = (self.steps - step) / (self.steps - self.warmup)
        factor = ops.where(step < self.warmup, rise, ops.maximum(fall, 0.0))
        return self.learning_rate * factor

    def get_config(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("learning_rate", "steps", "warmup")}


@keras.saving.register_keras_serializable("keras_bert_zoo")
class WarmupPolynomialDecay(WarmupLinearDecay):
    """Rises linearly from 0 over `warmup` updates to `learning_rate`, then falls to `end` at `steps`.

    What is left of the fall goes with `power`: 1 is a straight line, 0.5 stays high and falls late.
    Raises: ConfigError where the numbers make no schedule.
    Source: Devlin et al. 2019, appendix A.2; You et al. 2020 (LAMB), section 4; the fall begins where the warm-up ends,
    as in Hugging Face's get_polynomial_decay_schedule_with_warmup.
    """

    usual = "1e-4 suits most pretraining"

    def __init__(
        self, learning_rate: float, steps: int, warmup: int = 0, *, power: float = 1.0, end: float = 0.0
    ) -> None:
        super().__init__(learning_rate, steps, warmup)
        if not power > 0:
            raise ConfigError(f"power is {power}, it must be above 0; 1 is a straight line.")
        if not 0 <= end <= learning_rate:
            raise ConfigError(f"end_learning_rate is {end}, it must be from 0 to the learning_rate, {learning_rate}.")
        self.power, self.end = float(power), float(end)

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "float32")
        rise = self.learning_rate * step / max(self.warmup, 1)
        left = ops.maximum((self.steps - step) / (self.steps - self.warmup), 0.0)
        left = left if self.power == 1 else left**self.power
        return ops.where(step < self.warmup, rise, self.end + (self.learning_rate - self.end) * left)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "power": self.power, "end": self.end}


@keras.saving.register_keras_serializable("keras_bert_zoo")
class InTurn(keras.optimizers.schedules.LearningRateSchedule):
    """One schedule after another, each counting its own `steps` from 0; the last one goes on."""

    def __init__(self, schedules: Sequence[Any]) -> None:
        self.schedules = [each if callable(each) else keras.saving.deserialize_keras_object(each) for each in schedules]

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "float32")
        begin, rate = 0, self.schedules[0](step)
        for before, schedule in zip(self.schedules, self.schedules[1:], strict=False):
            begin += before.steps
            rate = ops.where(step < begin, rate, schedule(ops.maximum(step - begin, 0.0)))
        return rate

    def get_config(self) -> dict[str, Any]:
        return {"schedules": [keras.saving.serialize_keras_object(each) for each in self.schedules]}
