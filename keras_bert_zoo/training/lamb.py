"""LAMB, the optimizer of large batches."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_bert_zoo.training.optimizer import AdamW


@keras.saving.register_keras_serializable("keras_bert_zoo")
class Lamb(AdamW):
    """Adam's step with the decay added to it, made as long in every weight as the weight itself is.

    Biases and parameters of layer norms neither decay nor have their steps scaled.  Gradients are added up and clipped
    as `AdamW` does.
    Source: You et al. 2020, "Large Batch Optimization for Deep Learning", algorithm 2 with both moments' bias
    corrected; Model Garden's official/modeling/optimization/lamb.py and NVIDIA's LAMB leave out the same weights.
    """

    def _apply_weight_decay(self, variables: Any) -> None:
        """Do nothing: the decay is part of the step."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        place = self._get_variable_index(variable)
        learning_rate = learning_rate * self._scale(variable)
        first, second = self._momentums[place], self._velocities[place]
        dtype = variable.dtype
        rates = self._rates(learning_rate)
        rate, beta_1, beta_2, epsilon = (ops.cast(value, dtype) for value in (*rates, self.epsilon))
        gradient = ops.cast(gradient, dtype)
        count = ops.cast(self.iterations + 1, dtype)
        self.assign(first, first * beta_1 + gradient * (1 - beta_1))
        self.assign(second, second * beta_2 + ops.square(gradient) * (1 - beta_2))
        mean = first / (1 - ops.power(ops.cast(self.beta_1, dtype), count))
        spread = second / (1 - ops.power(ops.cast(self.beta_2, dtype), count))
        update = mean / (ops.sqrt(spread) + epsilon)
        if self._use_weight_decay(variable):  # the same weights decay and are scaled
            if self.weight_decay is not None:
                update = update + ops.cast(self.weight_decay, dtype) * variable
            own, other = (ops.sqrt(ops.sum(ops.square(ops.cast(x, "float32")))) for x in (variable, update))
            safe = ops.where(other > 0, other, 1.0)
            ratio = ops.where(ops.logical_and(own > 0, other > 0), own / safe, 1.0)
            rate = rate * ops.cast(ratio, dtype)
        self.assign_sub(variable, rate * update)
