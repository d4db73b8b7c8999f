"""AdamW and the learning-rate schedule BERT is tuned with."""

from __future__ import annotations

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

    def __init__(self, learning_rate: float, steps: int, warmup: int = 0) -> None:
        if not learning_rate > 0:
            raise ConfigError(f"learning_rate is {learning_rate}, it must be above 0 (5e-5 suits most tasks).")
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
        return {"learning_rate": self.learning_rate, "steps": self.steps, "warmup": self.warmup}


# Keras asks with "bias" under JAX, but with TensorFlow's "bias:0" or "bias/replica_1:0" under TensorFlow.
_NOT_DECAYED = r"(^|/)(bias|gamma|beta)(/replica_\d+)?(:\d+)?$"


@keras.saving.register_keras_serializable("keras_bert_zoo")
class AdamW(keras.optimizers.AdamW):
    """Keras's AdamW that never decays a bias or a parameter of a layer norm, also after it is saved and loaded."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.exclude_from_weight_decay(var_names=[_NOT_DECAYED])


def adamw(
    learning_rate: float,
    *,
    steps: int,
    warmup: int = 0,
    weight_decay: float = 0.01,
    global_clipnorm: float | None = 1.0,
) -> AdamW:
    """Return AdamW as BERT uses it: decoupled decay, none on biases and layer norms, global gradient norm clipped.

    `steps` and `warmup` count updates.  Raises: ConfigError on numbers that make no schedule.
    Source: google-research/bert optimization.py (β 0.9 and 0.999, ε 1e-6, decay 0.01, clip 1.0); the bias
    correction that code leaves out is kept, as in Loshchilov & Hutter 2019.
    """
    return AdamW(
        WarmupLinearDecay(learning_rate, steps, warmup),
        weight_decay=weight_decay,
        epsilon=1e-6,
        global_clipnorm=global_clipnorm,
    )
