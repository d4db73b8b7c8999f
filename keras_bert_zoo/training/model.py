"""The model that is trained: an encoder with a head on top."""

from __future__ import annotations

import inspect
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import keras

from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.training.layouts import place_of
from keras_bert_zoo.training.optimizer import AdamW
from keras_bert_zoo.training.xla import check_compiled, check_xla


@keras.saving.register_keras_serializable("keras_bert_zoo")
class TaskModel(keras.Model):
    """A functional model from `input_word_ids`, `input_mask`, `input_type_ids` (int32 [B,T]) to a head's logits.

    It contains the encoder's own layers, not copies: several heads on one encoder share its weights, and
    variable paths are the encoder's.  `evaluate`, `predict` and `save` are Keras's.

    Under a strategy of several replicas or processes the rows of every batch are dealt to the replicas, and loss,
    figures and update are those of the whole batch, as on one device: however many rows, words or places asked about
    each replica has.  Processes of a cluster make the same batches in the same order, or hand in data of their own, see
    `training/dealing.py`.  A process that is lost ends the others' `fit`, `evaluate` and `predict` with a ClusterError.

    Where layers compute in float16 the loss is scaled, see `training/optimizer.py`, so that small gradients survive.

    Under TensorFlow XLA is off unless `compile(jit_compile=True)` asks for it: it would compile anew for every
    length of batch, and Keras's "auto" turns it on wherever there is a GPU.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gradient_accumulation = 1
        if keras.backend.backend() == "tensorflow":
            self.jit_compile = False

    def compile(
        self, *args: Any, jit_compile: bool | str = "auto", gradient_accumulation: int = 1, **kwargs: Any
    ) -> None:
        """Prepare for `fit` as `keras.Model.compile` does, with XLA only where it is asked for.

        `gradient_accumulation` cuts every batch into so many parts, of which one at a time is in memory; they make one
        update together, the whole batch's.
        Raises: ConfigError on XLA for a packed model, on several replicas that are no TPU's, and where TensorFlow is
        deterministic; on parts that the backend, the loss or the optimizer cannot have; on an optimizer made outside of
        the strategy's scope.
        """
        if jit_compile is True and any(getattr(layer, "layout", None) == "packed" for layer in self.layers):
            raise ConfigError(
                f"{self.name}: jit_compile=True needs shapes that stay, but the model is packed, with as many tokens as"
                " the batch has. Compile without it, or lay the model out anew: with_layout(model, 'padded')."
            )
        if jit_compile is True:
            check_xla(self)
        if gradient_accumulation < 1:
            raise ConfigError(f"gradient_accumulation is {gradient_accumulation}, it must be at least 1.")
        if gradient_accumulation > 1 and keras.backend.backend() != "tensorflow":
            raise ConfigError(
                f"gradient_accumulation works on TensorFlow; the backend is {keras.backend.backend()}. There the"
                " optimizer's own gradient_accumulation_steps adds up whole batches."
            )
        if jit_compile == "auto" and keras.backend.backend() == "tensorflow":
            jit_compile = False
        with place_of(self):  # for an optimizer or metrics that are named alone
            super().compile(*args, jit_compile=jit_compile, **kwargs)
        if jit_compile is True:
            check_compiled(self)
        optimizer: Any = self.optimizer
        if optimizer is not None and keras.backend.backend() == "tensorflow":
            _steps().check_place(self, {"the optimizer": [optimizer.iterations]})
        if gradient_accumulation > 1 and getattr(optimizer, "gradient_accumulation_steps", None):
            raise ConfigError("Both the model and its optimizer accumulate gradients: leave out one of them.")
        losses = self.loss.values() if isinstance(self.loss, dict) else [self.loss]
        if gradient_accumulation > 1 and any(getattr(loss, "whole_batch", False) for loss in losses):
            raise ConfigError(
                f"{self.name}: the loss compares every row with the whole batch, so it is no sum over parts of one:"
                " gradient_accumulation must be 1. kbz.rematerialize(model) saves memory too."
            )
        self.gradient_accumulation = gradient_accumulation
        if kwargs.get("auto_scale_loss", True) and any(layer.compute_dtype == "float16" for layer in self.layers):
            self._scale_losses()

    def _scale_losses(self) -> None:
        optimizer: Any = self.optimizer  # type: ignore[has-type]
        if keras.backend.backend() == "tensorflow" and isinstance(optimizer, AdamW):
            optimizer.scale_losses()
            with place_of(self):
                if not optimizer.built:  # the scale is needed before the first update
                    optimizer.build(self.trainable_variables)
        elif not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            self.optimizer = keras.optimizers.LossScaleOptimizer(optimizer)

    def get_compile_config(self) -> dict[str, Any]:
        """Return what compiles a saved model again."""
        config = super().get_compile_config()
        return config and {**config, "gradient_accumulation": self.gradient_accumulation}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile again as a saved model was; Keras asks for this where `compile` is overridden."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built and not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)

    # ---- Keras's own calls, their data dealt

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Train as `keras.Model.fit` does; data that brings its own targets is not shuffled a second time."""
        if y is None and len(args) < _SHUFFLE_PLACE:
            kwargs.setdefault("shuffle", False)  # Keras's default of True only draws a warning there
        if not self._shared():
            return super().fit(x, y, *args, **kwargs)
        told = inspect.signature(keras.Model.fit).bind(self, x, y, *args, **kwargs)
        told.apply_defaults()
        options = told.arguments
        del options["self"]
        with _lost_workers(self):
            return super().fit(**_dealer().for_fit(self.distribute_strategy, options))

    def evaluate(self, x: Any = None, y: Any = None, batch_size: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Measure as `keras.Model.evaluate` does."""
        if self._shared() and not kwargs.get("_use_cached_eval_dataset"):
            weight = kwargs.pop("sample_weight", None)
            x = _dealer().data(self.distribute_strategy, x, y, weight, batch_size)
            y = batch_size = None
        with _lost_workers(self):
            return super().evaluate(x, y, batch_size, *args, **kwargs)

    def predict(self, x: Any, batch_size: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Return outputs as `keras.Model.predict` does, in the rows' order; every process of a cluster has all."""
        if self._shared():
            x, batch_size = _dealer().data(self.distribute_strategy, x, None, None, batch_size), None
        # Keras traces a call of several batches anew for each row of widths that they happen to have.
        steps, self.steps_per_execution = self.steps_per_execution, 1  # type: ignore[has-type]
        try:
            with _lost_workers(self):
                return super().predict(x, batch_size, *args, **kwargs)
        finally:
            self.steps_per_execution = steps

    def predict_on_batch(self, x: Any) -> Any:
        """Return the outputs of one batch; under a strategy one device makes them."""
        if not self._shared():
            return super().predict_on_batch(x)
        return _steps().predict_here(self, x)

    # ---- what Keras calls in turn

    def train_step(self, *args: Any, **kwargs: Any) -> Any:
        """Make one update from one replica's rows."""
        return _steps().train_step(self, *args) if self._shared() else super().train_step(*args, **kwargs)

    def test_step(self, *args: Any, **kwargs: Any) -> Any:
        """Measure one replica's rows."""
        return _steps().test_step(self, *args) if self._shared() else super().test_step(*args, **kwargs)

    def _shared(self) -> bool:
        """Tell whether a step is more than Keras's own."""
        return keras.backend.backend() == "tensorflow" and _steps().is_shared(self)

    def _make_function(self, step_function: Any) -> Any:
        # Keras's reduces scalars over their first axis, which fails in a cluster: keras#20585.
        return _steps().make_function(self, step_function) if self._shared() else super()._make_function(step_function)

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        # Keras's takes the mean of a batch over the replicas, which a cluster cannot; a batch's shapes are enough.
        if not self._shared():
            super()._maybe_symbolic_build(iterator=iterator, data_batch=data_batch)
            return
        with self.distribute_strategy.scope():
            dataset = None if iterator is None else iterator.data_adapter.get_tf_dataset()
            self._symbolic_build(data_batch=_dealer().like(dataset) if data_batch is None else data_batch)

    def make_variables(self, dataset: Any) -> None:
        """Make what `fit` on a dataset would make in its first step: the variables of metrics and optimizer."""
        with place_of(self):
            self._symbolic_build(data_batch=_dealer().like(dataset))


_SHUFFLE_PLACE = list(inspect.signature(keras.Model.fit).parameters).index("shuffle") - 2  # after self, x, y


def _steps() -> Any:
    from keras_bert_zoo.training import steps

    return steps


def _dealer() -> Any:
    from keras_bert_zoo.training import dealing

    return dealing


def _lost_workers(model: TaskModel) -> AbstractContextManager[None]:
    if not model._shared():
        return nullcontext()
    from keras_bert_zoo.training import workers

    return workers.lost_workers(workers.workers_of(model))
