"""The steps of a model on several replicas, or on a batch in several parts.  n replicas, k parts a batch.

A batch has one loss, whoever computes its parts: each part's mean counts by what it is a mean over (rows, words, places
asked about), so that uneven parts give what the whole batch would.  Figures are those of all replicas together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.training.dealing import share
from keras_bert_zoo.training.resume import seeds

_MEANS = ("sum_over_batch_size", "mean")


def is_shared(model: Any) -> bool:
    """Tell whether a step needs more than Keras's own: other replicas, other processes, or parts of a batch."""
    strategy = model.distribute_strategy
    workers = strategy.cluster_resolver is not None and isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    return strategy.num_replicas_in_sync > 1 or workers or model.gradient_accumulation > 1


def train_step(model: Any, data: Any) -> dict[str, Any]:
    """Make one update from this replica's rows of a batch, in parts; return the figures of all replicas."""
    x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
    parts = model.gradient_accumulation
    totals = _totals(model, x, y)
    variables = model.trainable_variables
    absent = [False] * len(variables)

    def add(part: tuple[Any, Any, Any], sums: list[Any]) -> list[Any]:
        x, y, weight = part
        with tf.GradientTape() as tape:
            y_pred = model(x, training=True)
            loss = _loss(model, x, y, y_pred, weight, totals, parts, training=True)
            scaled = model.optimizer.scale_loss(loss / parts)
        gradients = tape.gradient(scaled, variables)
        model.compute_metrics(x, y, y_pred, sample_weight=weight)
        for place, gradient in enumerate(gradients):
            absent[place] = gradient is None
        return gradients if not sums else [_add(a, b) for a, b in zip(sums, gradients, strict=True)]

    with own_dropouts(model):
        if parts == 1:
            gradients = add((x, y, weight), [])
        else:
            zeros = [tf.zeros(v.shape, v.dtype) for v in variables]
            # XLA knows the sizes of uneven parts only where their numbers are written out.
            one_by_one = _written_out if model.jit_compile else _in_turn
            gradients = one_by_one(add, (x, y, weight), parts, zeros)
    pairs = [(None if none else g, v) for none, g, v in zip(absent, gradients, variables, strict=True)]
    model.optimizer.apply_gradients(pairs)
    return figures(model)


def test_step(model: Any, data: Any) -> dict[str, Any]:
    """Measure this replica's rows of a batch; return the figures of all replicas."""
    x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
    y_pred = model(x, training=False)
    _loss(model, x, y, y_pred, weight, _totals(model, x, y), 1, training=False)
    model.compute_metrics(x, y, y_pred, sample_weight=weight)
    return figures(model)


def make_function(model: Any, step: Any) -> Any:
    """Return what takes an iterator and makes `steps_per_execution` steps, or as many as there are data for.

    Raises: ConfigError on metrics that were made elsewhere than the model.
    """
    strategy = model.distribute_strategy
    check_place(model, {f"the metric {metric.name}": metric.variables for metric in model.metrics})

    @tf.autograph.experimental.do_not_convert
    def one(data: Any) -> Any:
        outputs = strategy.run(step, args=(data,))
        return tf.nest.map_structure(lambda value: strategy.experimental_local_results(value)[0], outputs)

    @tf.autograph.experimental.do_not_convert
    def many(iterator: Any) -> Any:
        def again(done: Any, logs: Any, found: Any) -> Any:
            logs = one(found.get_value())
            # What is fetched must be used: the last step of the call leaves the next batch where it is.
            last = done + 1 >= model.steps_per_execution
            return done + 1, logs, tf.cond(last, lambda: found, iterator.get_next_as_optional)

        def go_on(done: Any, logs: Any, found: Any) -> Any:
            return tf.logical_and(done < model.steps_per_execution, found.has_value())

        if model.run_eagerly or getattr(iterator, "_cardinality", tf.data.UNKNOWN_CARDINALITY) >= 0:
            logs = one(iterator.get_next())
            if model.steps_per_execution == 1:
                return logs
            return tf.while_loop(go_on, again, (1, logs, iterator.get_next_as_optional()))[1]
        # At an end it did not know of a distributed iterator gives empty batches; and of a step that fails for want of
        # a batch, what needs none of it is done all the same: the count of updates goes up.
        found = iterator.get_next_as_optional()
        made = one.get_concrete_function(found.get_value()).structured_outputs
        none = tf.nest.map_structure(lambda each: tf.zeros(each.shape, each.dtype), made)
        done, logs, _ = tf.while_loop(go_on, again, (0, none, found))
        with tf.control_dependencies([tf.cond(done > 0, lambda: tf.constant(0, tf.int64), _end)]):
            return tf.nest.map_structure(tf.identity, logs)

    if not model.run_eagerly:
        alone = strategy.num_replicas_in_sync == 1  # TPUs compile by themselves
        one = tf.function(one, reduce_retracing=True, jit_compile=model.jit_compile and alone)
        many = tf.function(many, reduce_retracing=True)

    def function(iterator: Any) -> Any:
        if isinstance(iterator, (tf.data.Iterator, tf.distribute.DistributedIterator)):
            return many(iterator)
        for data in iterator:  # a batch from memory, of `train_on_batch`
            logs = one(_dealt_now(strategy, data))
        return logs

    return function


def _end() -> tf.Tensor:
    """Tell Keras that the data are over, as an iterator does."""
    return next(iter(tf.data.Dataset.range(0)))


def check_place(model: Any, made: Mapping[str, Any]) -> None:
    """Raises: ConfigError where variables, by what they belong to, do not live on a model's several replicas."""
    for name, variables in made.items() if model.distribute_strategy.num_replicas_in_sync > 1 else ():
        if not all(isinstance(variable.value, tf.distribute.DistributedValues) for variable in variables):
            raise ConfigError(
                f"{model.name} lives on several replicas, but {name} was made outside of the strategy's scope. Make the"
                " optimizer and the metrics where the model is made, inside `with strategy.scope():`."
            )


def predict_here(model: Any, x: Any) -> Any:
    """Return the outputs of one batch as arrays, made by one device."""
    if getattr(model, "_here", None) is None:

        @tf.autograph.experimental.do_not_convert
        def outputs(x: Any) -> Any:
            return model(x, training=False)

        model._here = tf.function(outputs, reduce_retracing=True)
    return tf.nest.map_structure(lambda value: value.numpy(), model._here(x))


def figures(model: Any) -> dict[str, Any]:
    """Return the model's figures over the rows that all replicas have seen."""
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return model.get_metrics_result()
    variables = [variable for metric in model.metrics for variable in metric.variables]
    values = [tf.cast(variable.value, tf.float32) for variable in variables]  # this replica's alone
    flat = context.all_reduce("sum", tf.concat([tf.reshape(value, [-1]) for value in values], axis=0))
    sums = tf.split(flat, [value.shape.num_elements() for value in values])
    whole = [
        (variable, tf.cast(tf.reshape(total, variable.shape), variable.dtype))
        for variable, total in zip(variables, sums, strict=True)
    ]
    with keras.StatelessScope(state_mapping=whole):
        return model.get_metrics_result()


# ---- what a part of a batch counts


def _totals(model: Any, x: Any, y: Any) -> dict[Any, Any]:
    """Return for each loss what the whole batch counts, over all replicas; under None how many rows it has."""
    counts: dict[Any, Any] = {**_counts(model, y), None: tf.cast(_rows(x), tf.float32)}
    names = list(counts)
    context = tf.distribute.get_replica_context()
    if context.num_replicas_in_sync == 1:
        return counts
    sums = tf.unstack(context.all_reduce("sum", tf.stack([counts[name] for name in names])))
    return dict(zip(names, sums, strict=True))


def _loss(
    model: Any, x: Any, y: Any, y_pred: Any, weight: Any, totals: dict[Any, Any], parts: int, *, training: bool
) -> Any:
    """Return n·k times what these rows add to the batch's loss, less Keras's division by n, and note it."""
    replicas = tf.distribute.get_replica_context().num_replicas_in_sync
    here = _counts(model, y)
    factors: dict[Any, Any] = {}
    for name, count in here.items():
        loss = _of(_losses(model), name)
        reduction = getattr(loss, "reduction", "sum_over_batch_size")
        if reduction == "mean_with_sample_weight":
            raise ConfigError(
                "A loss with the reduction 'mean_with_sample_weight' cannot be put together from parts of a batch: use"
                " 'sum_over_batch_size', or train on one device without gradient accumulation."
            )
        least = getattr(loss, "least", 0.0)
        mean = tf.math.divide_no_nan(count + least, totals[name] + least)
        factors[name] = mean * (replicas * parts) if reduction in _MEANS else tf.constant(float(parts))
    scaled = {name: _times(factors[name], _of(weight, name)) for name in factors}
    loss = model.compute_loss(x, y, y_pred, scaled.get(_ALL, scaled), training=training)
    model._loss_tracker.update_state(loss * replicas, sample_weight=totals[None] / (replicas * parts))
    return loss


_ALL = ""  # the name of a model's only loss


def _counts(model: Any, y: Any) -> dict[str, Any]:
    """Return by the output's name what this part's loss is a mean over; the only loss has the name ""."""
    losses = _losses(model)
    if isinstance(losses, dict) and isinstance(y, dict):
        return {name: _count(loss, y[name]) for name, loss in losses.items() if loss is not None}
    if tf.nest.is_nested(losses) or tf.nest.is_nested(y):
        raise ConfigError(f"{model.name}: several losses and their targets must be dicts with the outputs' names.")
    return {_ALL: _count(losses, y)}


def _losses(model: Any) -> Any:
    several = isinstance(model.loss, (list, tuple))
    return model.loss[0] if several and len(model.loss) == 1 else model.loss


def _count(loss: Any, y: Any) -> Any:
    if hasattr(loss, "counted"):
        return loss.counted(y)
    ignored = getattr(loss, "ignore_class", None)
    if ignored is not None:
        return tf.reduce_sum(tf.cast(tf.not_equal(y, tf.cast(ignored, y.dtype)), tf.float32))
    return tf.cast(tf.shape(y)[0], tf.float32)


def _times(factor: Any, weight: Any) -> Any:
    return tf.reshape(factor, [1]) if weight is None else tf.cast(weight, tf.float32) * factor


def _of(values: Any, name: str) -> Any:
    return values.get(name) if isinstance(values, dict) else values


def _rows(x: Any) -> Any:
    return tf.shape(tf.nest.flatten(x)[0])[0]


# ---- parts one after the other


def _in_turn(add: Any, data: Any, parts: int, zeros: list[Any]) -> list[Any]:
    """Add up the gradients of a batch's parts, of which one at a time is in memory."""

    def body(number: Any, sums: Any) -> Any:
        return number + 1, add(_part(data, number, parts), sums)

    return tf.while_loop(lambda number, _: number < parts, body, (0, zeros), parallel_iterations=1)[1]


def _written_out(add: Any, data: Any, parts: int, zeros: list[Any]) -> list[Any]:
    """Do the same without a loop."""
    sums = zeros
    for number in range(parts):
        sums = add(_part(data, number, parts), sums)
    return sums


def _part(data: Any, number: Any, parts: int) -> tuple[Any, ...]:
    return tuple(None if value is None else share(value, number, parts) for value in data)


def _add(total: Any, gradient: Any) -> Any:
    if gradient is None:
        return total
    if isinstance(gradient, tf.IndexedSlices):
        return tf.tensor_scatter_nd_add(total, gradient.indices[:, None], tf.cast(gradient.values, total.dtype))
    return total + tf.cast(gradient, total.dtype)


@contextmanager
def own_dropouts(model: Any) -> Iterator[None]:
    """Have this replica draw dropouts of its own: its seeds are shifted by its number, and put back afterwards."""
    context = tf.distribute.get_replica_context()
    shift = tf.stack([tf.cast(context.replica_id_in_sync_group, tf.int64) * _APART, 0])
    shifted = seeds(model) if context.num_replicas_in_sync > 1 else []
    for seed in shifted:
        seed.assign(seed.value + tf.cast(shift, seed.dtype))
    yield
    for seed in shifted:
        seed.assign(seed.value - tf.cast(shift, seed.dtype))


_APART = 0x9E3779B97F4A7  # far from the difference of two layers' seeds, which are below 2**32


def _dealt_now(strategy: Any, data: Any) -> Any:
    """Deal one batch from memory."""
    data = tf.nest.map_structure(lambda value: None if value is None else tf.convert_to_tensor(value), data)

    def local(context: tf.distribute.ValueContext) -> Any:
        return tuple(
            None if v is None else share(v, context.replica_id_in_sync_group, context.num_replicas_in_sync)
            for v in data
        )

    return strategy.experimental_distribute_values_from_function(local)
