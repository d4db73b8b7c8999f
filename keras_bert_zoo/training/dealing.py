"""Batches dealt to the replicas of a strategy.  B rows of a global batch, n replicas.

Replica r of n gets the rows [r·B/n, (r+1)·B/n) of every batch: all of them in their order, none twice, and where n does
not divide B some replicas have one row less, perhaps none.  Every process of a cluster makes the same global batches
and takes its own replicas' rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from keras_bert_zoo.errors import ConfigError, DataError


def deal(strategy: tf.distribute.Strategy, dataset: tf.data.Dataset) -> Any:
    """Deal the rows of every batch to the strategy's replicas; in a cluster every process calls it with equal data."""
    replicas = strategy.num_replicas_in_sync
    if replicas == 1:
        return dataset

    def pieces(first: int, count: int) -> Callable[..., tf.data.Dataset]:
        @tf.autograph.experimental.do_not_convert
        def cut(*batch: Any) -> tf.data.Dataset:
            data = batch[0] if len(batch) == 1 else batch
            numbers = tf.data.Dataset.range(first, first + count)
            return numbers.map(tf.autograph.experimental.do_not_convert(lambda r: share(data, r, replicas)))

        return cut

    def local(context: tf.distribute.InputContext) -> tf.data.Dataset:
        count = replicas // context.num_input_pipelines
        mine = dataset.flat_map(pieces(context.input_pipeline_id * count, count)).prefetch(2 * count)
        options = tf.data.Options()
        options.autotune.enabled = False  # see `data/ahead.py`
        return mine.with_options(options)

    return with_steps(strategy.distribute_datasets_from_function(local), int(dataset.cardinality()))


def with_steps(dataset: Any, steps: int) -> Any:
    """Tell Keras how many steps a distributed dataset has: TensorFlow would count the batches of all local replicas."""
    dataset._cardinality = steps
    return dataset


def share(data: Any, number: Any, of: int) -> Any:
    """Return the rows that part `number` of so many gets of every tensor, the first axis cut into contiguous parts.

    Where the number of rows is static and can be divided, that of the part is static too.
    """

    def part(value: Any) -> Any:
        if value.shape.rank == 0:
            raise DataError("A batch holds a tensor without rows, which cannot be dealt to replicas.")
        fixed = value.shape[0]
        if fixed is not None and fixed % of == 0:
            kept = tf.gather(tf.reshape(value, [of, fixed // of, *tf.unstack(tf.shape(value)[1:])]), number)
            return tf.ensure_shape(kept, [fixed // of, *value.shape[1:]])
        rows, number_ = tf.shape(value, tf.int64)[0], tf.cast(number, tf.int64)
        return value[number_ * rows // of : (number_ + 1) * rows // of]

    return tf.nest.map_structure(part, data)


# ---- what Keras's calls take


def for_fit(strategy: tf.distribute.Strategy, options: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a `fit` with its data dealt."""
    options = dict(options)
    x, y, weight = (options.pop(name) for name in ("x", "y", "sample_weight"))
    size, shuffle, labels = (options.pop(name) for name in ("batch_size", "shuffle", "class_weight"))
    if split := options.pop("validation_split"):
        if options["validation_data"] is not None or isinstance(x, _DATASETS):
            raise ConfigError("validation_split takes arrays, and no validation_data beside them.")
        arrays = (x, y, weight)
        cut = int(len(tf.nest.flatten(x)[0]) * (1 - split))
        x, y, weight = (_rows(values, slice(0, cut)) for values in arrays)
        options["validation_data"] = tuple(_rows(values, slice(cut, None)) for values in arrays)
    options["x"] = data(strategy, x, y, weight, size, shuffle=bool(shuffle), class_weight=labels)
    options["shuffle"] = False  # else Keras warns
    if options["validation_data"] is not None:
        held = options["validation_data"]
        held = held if isinstance(held, _DATASETS) else keras.utils.unpack_x_y_sample_weight(held)
        own_x, own_y, own_weight = held if isinstance(held, tuple) else (held, None, None)
        own_size = options.pop("validation_batch_size") or size
        options["validation_data"] = data(strategy, own_x, own_y, own_weight, own_size)
    return options


def data(
    strategy: tf.distribute.Strategy,
    x: Any,
    y: Any = None,
    weight: Any = None,
    size: int | None = None,
    *,
    shuffle: bool = False,
    class_weight: Mapping[int, float] | None = None,
) -> Any:
    """Return a dataset, or arrays, with the rows of its batches dealt; what is dealt already, as it is.

    Arrays that are shuffled are so in another order each epoch, and in the same in every process.
    Raises: ConfigError on data that is neither; DataError on batches that cannot be dealt or weighted.
    """
    if isinstance(x, tf.distribute.DistributedDataset):
        if class_weight is not None:
            raise ConfigError("class_weight: the data are distributed already. Put the weights into them.")
        return x
    if not isinstance(x, tf.data.Dataset):
        if isinstance(x, keras.utils.PyDataset) or not all(map(_is_array, tf.nest.flatten(x))):
            raise ConfigError(
                f"Under a strategy of several replicas a {type(x).__name__} cannot be dealt: want a tf.data.Dataset or"
                " arrays (tf.data.Dataset.from_generator makes one of a generator)."
            )
        parts = x if y is None and weight is None else (x, y) if weight is None else (x, y, weight)
        x = tf.data.Dataset.from_tensor_slices(parts)
        if shuffle:
            x = x.shuffle(int(x.cardinality()), seed=0, reshuffle_each_iteration=True)
        x = x.batch(size or 32)  # Keras's default
    return deal(strategy, x if class_weight is None else _weighted(x, class_weight))


def like(dataset: Any) -> Any:
    """Return tensors without values, shaped as a dataset's batches of one replica are."""
    spec = tf.nest.map_structure(lambda each: getattr(each, "_value_specs", (each,))[0], dataset.element_spec)
    return tf.nest.map_structure(lambda each: keras.KerasTensor(tuple(each.shape), each.dtype.name), spec)


_DATASETS = (tf.data.Dataset, tf.distribute.DistributedDataset)


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _rows(values: Any, part: slice) -> Any:
    return None if values is None else tf.nest.map_structure(lambda value: value[part], values)


def _weighted(dataset: tf.data.Dataset, class_weight: Mapping[int, float]) -> tf.data.Dataset:
    """Give every row of (features, label numbers) the weight of its label, 1 where it has none."""
    weights = tf.constant([class_weight.get(number, 1.0) for number in range(max(class_weight) + 1)], tf.float32)

    def weigh(x: Any, y: Any, *more: Any) -> Any:
        if more or tf.nest.is_nested(y):
            raise DataError("class_weight belongs to data of one target without weights of their own.")
        return x, y, tf.gather(weights, tf.cast(y, tf.int32))

    return dataset.map(tf.autograph.experimental.do_not_convert(weigh))
