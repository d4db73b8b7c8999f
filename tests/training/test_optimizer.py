"""The schedule and AdamW, against the formulas of their papers in numpy."""

import keras
import numpy as np
import pytest

import keras_bert_zoo as kbz
from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.training.optimizer import AdamW
from keras_bert_zoo.training.schedule import WarmupLinearDecay


def test_schedule_rises_and_falls_linearly():
    schedule = WarmupLinearDecay(8e-3, steps=20, warmup=4)
    got = [float(schedule(step)) for step in (0, 1, 3, 4, 12, 19, 20, 25)]
    want = [0, 2e-3, 6e-3, 8e-3, 4e-3, 5e-4, 0, 0]
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-12)


def test_schedule_without_warmup_starts_at_the_top():
    assert float(WarmupLinearDecay(3e-4, steps=7)(0)) == pytest.approx(3e-4)


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ({"learning_rate": 0, "steps": 3}, "learning_rate is 0"),
        ({"learning_rate": 1e-3, "steps": 0}, "steps is 0"),
        ({"learning_rate": 1e-3, "steps": 5, "warmup": 5}, "warmup is 5"),
    ],
)
def test_schedule_refuses_numbers_that_make_no_run(numbers, told):
    with pytest.raises(ConfigError, match=told):
        WarmupLinearDecay(**numbers)


class _Two(keras.layers.Layer):
    """A kernel, a bias and a norm's gamma with known gradients: the inputs themselves."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(3,), initializer="ones", name="kernel")
        self.bias = self.add_weight(shape=(2,), initializer="ones", name="bias")
        self.gamma = self.add_weight(shape=(4,), initializer="ones", name="gamma")


def _numpy_adamw(weights, gradients, rate, steps, decay, decayed):
    """AdamW of Loshchilov & Hutter 2019, algorithm 2, after clipping by the global norm at 1."""
    first = [np.zeros_like(w) for w in weights]
    second = [np.zeros_like(w) for w in weights]
    weights = [w.copy() for w in weights]
    for t in range(1, steps + 1):
        norm = np.sqrt(sum((g**2).sum() for g in gradients))
        clipped = [g / max(norm, 1.0) for g in gradients]
        lr = rate * (steps - (t - 1)) / steps
        for i, g in enumerate(clipped):
            first[i] = 0.9 * first[i] + 0.1 * g
            second[i] = 0.999 * second[i] + 0.001 * g**2
            correction = np.sqrt(1 - 0.999**t) / (1 - 0.9**t)  # Kingma & Ba 2015, end of section 2
            step = correction * first[i] / (np.sqrt(second[i]) + 1e-6)
            weights[i] = weights[i] - lr * (decay * weights[i] if decayed[i] else 0) - lr * step
    return weights


@pytest.mark.parametrize("reload", [False, True], ids=["fresh", "from its config"])
def test_adamw_decays_kernels_alone(reload):
    layer = _Two()
    layer.build(None)
    optimizer = kbz.adamw(0.05, steps=6, weight_decay=0.3)
    if reload:
        optimizer = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(optimizer))
    variables = [layer.kernel, layer.bias, layer.gamma]
    gradients = [np.array([0.5, -2, 1]), np.array([3.0, 0.25]), np.array([-1, 0.125, 2, -0.75])]
    for _ in range(6):
        tensors = [keras.ops.convert_to_tensor(g, "float32") for g in gradients]
        optimizer.apply(tensors, variables)
    want = _numpy_adamw([np.ones(3), np.ones(2), np.ones(4)], gradients, 0.05, 6, 0.3, [True, False, False])
    for variable, expected in zip(variables, want, strict=True):
        np.testing.assert_allclose(variable.numpy(), expected, atol=4e-6, err_msg=variable.path)


def test_a_row_read_twice_is_added_up_before_its_norm_is_taken():
    import tensorflow as tf

    # Row 0 of the table is read twice: its gradient is [4, 6], not [1, 2] and [3, 4] side by side.
    slices = tf.IndexedSlices(tf.constant([[1.0, 2], [3, 4], [-0.5, 1]]), tf.constant([0, 0, 2]), tf.constant([3, 2]))
    gradient = np.array([[4.0, 6], [0, 0], [-0.5, 1]])
    optimizer = kbz.adamw(0.05, steps=6)
    optimizer.apply([slices], [keras.Variable(np.ones((3, 2)), dtype="float32", name="table")])
    (velocity,) = (variable for variable in optimizer.variables if "velocity" in variable.path)
    np.testing.assert_allclose(velocity.numpy(), 0.001 * (gradient / np.linalg.norm(gradient)) ** 2, rtol=1e-4)


def test_adamw_updates_a_dense_gradient_as_keras_does():
    gradients = [np.array([[0.5, -2, 1]]), np.array([[-3.0, 0.25, 4]])]
    options = {"weight_decay": 0.3, "epsilon": 1e-6, "global_clipnorm": 1.0, "gradient_accumulation_steps": 2}
    got, want = (keras.Variable(np.ones((1, 3)), dtype="float32", name="kernel") for _ in range(2))
    for optimizer, variable in ((AdamW(0.05, **options), got), (keras.optimizers.AdamW(0.05, **options), want)):
        for gradient in gradients * 4:
            optimizer.apply([keras.ops.convert_to_tensor(gradient, "float32")], [variable])
    np.testing.assert_allclose(got.numpy(), want.numpy(), atol=4e-6)
    assert not np.allclose(got.numpy(), 1)


def test_a_table_is_passed_over_three_times_alone():
    import tensorflow as tf

    table = keras.Variable(np.ones((7, 3)), dtype="float32", name="table")
    optimizer = kbz.adamw(0.05, steps=6)
    optimizer.build([table])

    @tf.function
    def step(values, rows):
        optimizer.apply([tf.IndexedSlices(values, rows, tf.constant([7, 3]))], [table])

    graph = step.get_concrete_function(tf.TensorSpec([None, 3]), tf.TensorSpec([None], tf.int32)).graph
    passes = [op.type for op in graph.get_operations() if any(out.shape == (7, 3) for out in op.outputs)]
    # The decay, the rows put in their places, and the update, which has no output.
    assert sorted(op for op in passes if op not in ("ReadVariableOp", "Identity", "IdentityN")) == [
        "Mul",
        "UnsortedSegmentSum",
    ]
    assert [op.type for op in graph.get_operations()].count("ResourceApplyAdam") == 1


@pytest.mark.parametrize(
    "option", [{}, {"global_clipnorm": 0.5}, {"clipnorm": 0.5}, {"gradient_accumulation_steps": 2}]
)
def test_rows_of_a_table_are_updated_as_a_dense_gradient_is(option):
    import tensorflow as tf

    random = np.random.default_rng(4)
    tables = [keras.Variable(np.ones((9, 3)), dtype="float32", name="table") for _ in range(2)]
    biases = [keras.Variable(np.ones(5), dtype="float32", name="bias") for _ in range(2)]
    optimizers = [AdamW(0.05, weight_decay=0.3, epsilon=1e-6, **option) for _ in range(2)]
    for _ in range(6):
        values, rows = random.normal(size=(11, 3)).astype("float32"), random.integers(0, 9, 11)
        slices = tf.IndexedSlices(tf.constant(values), tf.constant(rows), tf.constant([9, 3], tf.int64))
        dense = np.zeros((9, 3), "float32")
        np.add.at(dense, rows, values)
        other = tf.constant(random.normal(size=5).astype("float32"))
        for optimizer, gradient, table, bias in zip(
            optimizers, (slices, tf.constant(dense)), tables, biases, strict=True
        ):
            optimizer.apply([gradient, other], [table, bias])
    np.testing.assert_allclose(tables[0].numpy(), tables[1].numpy(), atol=2e-6)
    np.testing.assert_allclose(biases[0].numpy(), biases[1].numpy(), atol=2e-6)
    assert not np.allclose(tables[0].numpy(), 1)
