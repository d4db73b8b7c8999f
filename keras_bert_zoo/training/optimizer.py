"""AdamW, as BERT is tuned with it."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_bert_zoo.training.depth import check_layer_decay, layer_scales
from keras_bert_zoo.training.schedule import WarmupLinearDecay

# Keras asks with "bias" under JAX, but with TensorFlow's "bias:0" or "bias/replica_1:0" under TensorFlow.
_NOT_DECAYED = r"(^|/)(bias|gamma|beta)(/replica_\d+)?(:\d+)?$"


@keras.saving.register_keras_serializable("keras_bert_zoo")
class AdamW(keras.optimizers.AdamW):
    """Keras's AdamW that never decays a bias or a parameter of a layer norm, also after it is saved and loaded.

    Under TensorFlow it differs four times more.  Gradients of a table's row that is read several times in a batch
    are added up before anything is squared; Keras squares each alone, which makes the norm it clips by, or without
    clipping the second moment, wrong.  Under a strategy the norm is that of all replicas' gradients together.  Each
    weight is updated by TensorFlow's own Adam in one pass, not in a dozen, and decays in one, not in three.  And a
    table's gradient stays a short list of rows until it is clipped; the update itself is dense, since moments and
    decay change every row in every step.

    With `layer_decay` below 1 lower layers learn more slowly and decay less, see `training/depth.py`.
    """

    def __init__(self, *args: Any, layer_decay: float = 1.0, **kwargs: Any) -> None:
        check_layer_decay(layer_decay)
        super().__init__(*args, **kwargs)
        self.layer_decay = layer_decay
        self.exclude_from_weight_decay(var_names=[_NOT_DECAYED])

    def build(self, variables: Any) -> None:
        super().build(variables)
        self._scales = layer_scales([variable.path for variable in variables], self.layer_decay)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "layer_decay": self.layer_decay}

    def _scale(self, variable: Any) -> float:
        """Return what this variable's learning rate is multiplied by."""
        return self._scales[self._get_variable_index(variable)]

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            strategy = tf.distribute.get_strategy()
            alone = strategy.num_replicas_in_sync == 1
            # Keras's own arithmetic between here and the clipping takes dense gradients only.
            short = alone and not (self.gradient_accumulation_steps or self.loss_scale_factor)
            grads = [_added_up(g, short) if isinstance(g, tf.IndexedSlices) else g for g in grads]
            if not alone and self.global_clipnorm:
                # Keras clips each replica's gradients alone and adds them up afterwards; the norm that counts is that
                # of the sum.  What is clipped here is handed on in equal shares, for Keras to add up again.
                context = tf.distribute.get_replica_context()
                total, _ = tf.clip_by_global_norm(context.all_reduce("sum", grads), self.global_clipnorm)
                grads = [g / strategy.num_replicas_in_sync for g in total]
        super().apply(grads, trainable_variables)

    def _clip_gradients(self, grads: Any) -> Any:
        if keras.backend.backend() != "tensorflow":
            return super()._clip_gradients(grads)
        import tensorflow as tf

        if self.global_clipnorm:
            grads, _ = tf.clip_by_global_norm(grads, self.global_clipnorm)  # Keras's reads each gradient twice
            return [tf.convert_to_tensor(g) for g in grads]
        return super()._clip_gradients([tf.convert_to_tensor(g) for g in grads])

    def _apply_weight_decay(self, variables: Any) -> None:
        if self.weight_decay is None:
            return
        lost = ops.cast(self.learning_rate, "float32") * self.weight_decay
        for variable in variables:
            if self._use_weight_decay(variable):
                kept = 1.0 - lost * self._scale(variable)
                variable.assign(variable.value * ops.cast(kept, variable.dtype))

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        learning_rate = learning_rate * self._scale(variable)
        if keras.backend.backend() != "tensorflow" or self.amsgrad:
            super().update_step(gradient, variable, learning_rate)
            return
        import tensorflow as tf

        place = self._get_variable_index(variable)
        beta_1, beta_2, epsilon, lr = (
            tf.cast(value, variable.dtype) for value in (self.beta_1, self.beta_2, self.epsilon, learning_rate)
        )
        step = tf.cast(self.iterations + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[place].value.handle,
            v=self._velocities[place].value.handle,
            beta1_power=beta_1**step,
            beta2_power=beta_2**step,
            lr=lr,
            beta1=beta_1,
            beta2=beta_2,
            epsilon=epsilon,
            grad=tf.cast(gradient, variable.dtype),
        )


def _added_up(slices: Any, short: bool) -> Any:
    """Add up the gradients of each row of a table: a dense tensor, or as many rows as `slices`, each of them once.

    Rows are sorted, so that all shapes are those of `slices`: XLA can have it too.
    """
    import tensorflow as tf

    rows = tf.shape(slices.indices)[0]
    if not short:
        return tf.convert_to_tensor(slices)
    order = tf.argsort(slices.indices)
    indices = tf.gather(slices.indices, order)  # [n], equal ones side by side
    first = tf.concat([tf.ones_like(indices[:1]), tf.cast(indices[1:] != indices[:-1], indices.dtype)], axis=0)
    place = tf.cumsum(first) - 1  # [n]
    values = tf.math.unsorted_segment_sum(tf.gather(slices.values, order), place, rows)
    # Places that stay empty name row 0 and add nothing to it.
    names = tf.maximum(tf.math.unsorted_segment_max(indices, place, rows), 0)
    return tf.IndexedSlices(values, names, slices.dense_shape)


def adamw(
    learning_rate: float,
    *,
    steps: int,
    warmup: int = 0,
    weight_decay: float = 0.01,
    global_clipnorm: float | None = 1.0,
    layer_decay: float = 1.0,
) -> AdamW:
    """Return AdamW as BERT uses it: decoupled decay, none on biases and layer norms, global gradient norm clipped.

    `steps` and `warmup` count updates; with `layer_decay` below 1 lower layers learn more slowly, see
    `training/depth.py`.  Raises: ConfigError on numbers that make no schedule.
    Source: google-research/bert optimization.py (β 0.9 and 0.999, ε 1e-6, decay 0.01, clip 1.0); the bias
    correction that code leaves out is kept, as in Loshchilov & Hutter 2019.
    """
    return AdamW(
        WarmupLinearDecay(learning_rate, steps, warmup),
        weight_decay=weight_decay,
        epsilon=1e-6,
        global_clipnorm=global_clipnorm,
        layer_decay=layer_decay,
    )
