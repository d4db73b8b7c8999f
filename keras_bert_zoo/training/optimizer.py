"""AdamW, as BERT is tuned with it."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.training.depth import check_layer_decay, layer_scales
from keras_bert_zoo.training.schedule import WarmupLinearDecay

# Keras asks with "bias" under JAX, but with TensorFlow's "bias:0" or "bias/replica_1:0" under TensorFlow.
_NOT_DECAYED = r"(^|/)(bias|gamma|beta)(/replica_\d+)?(:\d+)?$"


@keras.saving.register_keras_serializable("keras_bert_zoo")
class AdamW(keras.optimizers.AdamW):
    """Keras's AdamW that never decays a bias or a parameter of a layer norm, also after it is saved and loaded.

    Under TensorFlow it differs four times more.  Gradients of a table's row that is read several times in a batch
    are added up before anything is squared; Keras squares each alone, which makes the norm it clips by, or without
    clipping the second moment, wrong.  Under a strategy the replicas' gradients are added up once and first of all, so
    that what is clipped is their sum.  Each weight is updated by TensorFlow's own Adam in one pass, not in a dozen, and
    decays in one, not in three.  And a table's gradient stays a short list of rows until it is clipped; the update
    itself is dense, since moments and decay change every row in every step.

    After `scale_losses` the loss is multiplied by `loss_scale`, a variable, and the gradients are divided by it, so
    that small ones are not 0 in float16.  It doubles after 2,000 updates, and halves where a gradient is no number any
    more; such a batch makes no update and is not counted.  `TaskModel.compile` asks for it where it is needed.
    Source: Micikevicius et al. 2018, "Mixed Precision Training", section 3.2.

    With `layer_decay` below 1 lower layers learn more slowly and decay less, see `training/depth.py`.
    """

    def __init__(self, *args: Any, layer_decay: float = 1.0, **kwargs: Any) -> None:
        check_layer_decay(layer_decay)
        super().__init__(*args, **kwargs)
        self.layer_decay = layer_decay
        self.scales_losses = False
        self.exclude_from_weight_decay(var_names=[_NOT_DECAYED])

    def build(self, variables: Any) -> None:
        super().build(variables)
        self._scales = layer_scales([variable.path for variable in variables], self.layer_decay)
        if self.scales_losses:
            first = keras.initializers.Constant(_FIRST_SCALE)
            self.loss_scale = self.add_variable((), first, "float32", name="loss_scale")
            self.good_steps = self.add_variable((), "zeros", "int32", name="good_steps")

    def scale_losses(self) -> None:
        """Have losses scaled, for float16.  Raises: ConfigError under another backend, and where it is too late."""
        if self.scales_losses:
            return
        if keras.backend.backend() != "tensorflow" or self.amsgrad or self.gradient_accumulation_steps:
            raise ConfigError(
                f"{self.name} scales losses under TensorFlow, without amsgrad and gradient_accumulation_steps. Wrap it"
                " in keras.optimizers.LossScaleOptimizer."
            )
        if self.built:
            raise ConfigError(f"{self.name} is at work already, without scaling its losses: make a new optimizer.")
        self.scales_losses = True

    def scale_loss(self, loss: Any) -> Any:
        """Return what the gradients are taken of."""
        if self.scales_losses and not self.built:
            raise ConfigError(
                f"{self.name} has no scale for the loss yet: build it on the model's trainable variables."
            )
        return loss * self.loss_scale.value if self.scales_losses else super().scale_loss(loss)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "layer_decay": self.layer_decay}

    def _scale(self, variable: Any) -> float:
        """Return what this variable's learning rate is multiplied by."""
        return self._scales[self._get_variable_index(variable)]

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            context = tf.distribute.get_replica_context()
            alone = context is None or context.num_replicas_in_sync == 1
            # Keras's own arithmetic between here and the clipping takes dense gradients only.
            short = alone and not (self.gradient_accumulation_steps or self.loss_scale_factor or self.scales_losses)
            grads = [_added_up(g, short) if isinstance(g, tf.IndexedSlices) else g for g in grads]
            if not alone:
                sums = iter(context.all_reduce("sum", [g for g in grads if g is not None]))
                grads = [None if g is None else next(sums) for g in grads]
            if self.scales_losses:
                grads = [None if g is None else g / self.loss_scale.value for g in grads]
        super().apply(grads, trainable_variables)

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        return grads_and_vars  # `apply` has done it

    def _clip_gradients(self, grads: Any) -> Any:
        if keras.backend.backend() != "tensorflow":
            return super()._clip_gradients(grads)
        import tensorflow as tf

        if self.global_clipnorm:
            grads, _ = tf.clip_by_global_norm(grads, self.global_clipnorm)  # Keras's reads each gradient twice
            return [tf.convert_to_tensor(g) for g in grads]
        return super()._clip_gradients([tf.convert_to_tensor(g) for g in grads])

    def _apply_weight_decay(self, variables: Any) -> None:
        if self.weight_decay is None or self._in_one_pass:
            return
        for variable in variables:
            if self._use_weight_decay(variable):
                self._decay(variable, self.learning_rate * self._scale(variable))

    def _decay(self, variable: Any, learning_rate: Any) -> None:
        kept = 1.0 - ops.cast(learning_rate, "float32") * self.weight_decay
        variable.assign(variable * ops.cast(kept, variable.dtype))

    @property
    def _in_one_pass(self) -> bool:
        return keras.backend.backend() == "tensorflow" and not self.amsgrad

    def _backend_update_step(self, grads: Any, trainable_variables: Any, learning_rate: Any) -> None:
        if not self.scales_losses:
            super()._backend_update_step(grads, trainable_variables, learning_rate)
            return
        import tensorflow as tf

        good = tf.reduce_all([tf.reduce_all(tf.math.is_finite(g)) for g in grads])
        grads = [tf.where(good, g, tf.zeros_like(g)) for g in grads]
        # No branch that leaves the update out: under a strategy none can be had.
        super()._backend_update_step(grads, trainable_variables, tf.where(good, learning_rate, _NO_STEP))
        scale, count = self.loss_scale.value, self.good_steps.value + 1
        full = count >= _STEPS_A_SCALE
        better = tf.where(full, scale * 2, scale)
        self.loss_scale.assign(tf.where(good, better, tf.maximum(scale / 2, 1.0)))
        self.good_steps.assign(tf.where(good & ~full, count, 0))
        self._iterations.assign_add(tf.where(good, 0, -1))  # Keras adds 1 to it

    def _rates(self, learning_rate: Any) -> tuple[Any, Any, Any]:
        """Return learning rate and betas of an update, or of none, which changes no weight and no moment."""
        if not self.scales_losses:
            return learning_rate, self.beta_1, self.beta_2
        good = learning_rate >= 0
        betas = (ops.where(good, beta, 1.0) for beta in (self.beta_1, self.beta_2))
        return ops.maximum(learning_rate, 0.0), *betas

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        learning_rate = learning_rate * self._scale(variable)
        if not self._in_one_pass:
            super().update_step(gradient, variable, learning_rate)
            return
        import tensorflow as tf

        rates = self._rates(learning_rate)
        if self.weight_decay is not None and self._use_weight_decay(variable):
            self._decay(variable, rates[0])
        place = self._get_variable_index(variable)
        lr, beta_1, beta_2, epsilon = (tf.cast(value, variable.dtype) for value in (*rates, self.epsilon))
        step = tf.cast(self.iterations + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[place].value.handle,
            v=self._velocities[place].value.handle,
            beta1_power=tf.cast(self.beta_1, variable.dtype) ** step,
            beta2_power=tf.cast(self.beta_2, variable.dtype) ** step,
            lr=lr,
            beta1=beta_1,
            beta2=beta_2,
            epsilon=epsilon,
            grad=tf.cast(gradient, variable.dtype),
        )


_FIRST_SCALE, _STEPS_A_SCALE = 2.0**15, 2000  # Keras's, and about PyTorch's
_NO_STEP = -1.0  # a learning rate that says so


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
