"""LAMB against Model Garden's, schedules against Keras's own polynomial."""

import keras
import numpy as np
import pytest

from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.training.lamb import Lamb
from keras_bert_zoo.training.pretrain import make_optimizer, make_schedule, steps_a_call
from keras_bert_zoo.training.recipes import Phase, Recipe
from keras_bert_zoo.training.schedule import InTurn, WarmupPolynomialDecay


def test_lamb_is_model_garden_s():
    import tensorflow as tf
    from official.modeling.optimization.lamb import LAMB

    random = np.random.default_rng(2)
    start = {"dense/kernel": random.normal(size=(3, 5)), "zero/kernel": np.zeros((2, 4)), "dense/bias": np.ones(7)}
    gradients = [{name: random.normal(size=value.shape) for name, value in start.items()} for _ in range(6)]
    skipped = ["bias", "gamma", "beta"]
    theirs = LAMB(0.05, weight_decay_rate=0.3, exclude_from_weight_decay=skipped, exclude_from_layer_adaptation=skipped)
    want = {name: tf.Variable(value, dtype=tf.float32, name=name) for name, value in start.items()}
    ours = Lamb(0.05, weight_decay=0.3, epsilon=1e-6)
    ours = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(ours))
    got = {name: keras.Variable(value, dtype="float32", name=name.split("/")[1]) for name, value in start.items()}
    for gradient in gradients:
        tensors = {name: tf.constant(value, tf.float32) for name, value in gradient.items()}
        theirs.apply_gradients([(tensors[name], want[name]) for name in start])
        ours.apply([tensors[name] for name in start], [got[name] for name in start])
    for name in start:
        np.testing.assert_allclose(got[name].numpy(), want[name].numpy(), rtol=3e-5, atol=1e-6, err_msg=name)
    assert not np.allclose(got["zero/kernel"].numpy(), 0)


def test_lamb_s_step_is_as_long_as_the_weight_whatever_the_gradient_and_clips_by_all_of_them():
    for size in (1e-3, 10.0):
        kernel, bias = (keras.Variable(np.full(4, 2.0), dtype="float32", name=name) for name in ("kernel", "bias"))
        optimizer = Lamb(0.1, weight_decay=0.0, epsilon=1e-9, global_clipnorm=1.0)
        optimizer.apply([keras.ops.full((4,), size), keras.ops.full((4,), size)], [kernel, bias])
        np.testing.assert_allclose(kernel.numpy(), 2 - 0.1 * 2, rtol=1e-5)  # |w| / |update| = 2
        np.testing.assert_allclose(bias.numpy(), 2 - 0.1, rtol=1e-5)  # Adam's first step: the sign
    (momentum, _) = (v for v in optimizer.variables if "momentum" in v.path)
    np.testing.assert_allclose(momentum.numpy(), 0.1 / np.sqrt(8), rtol=1e-5)


def test_the_fall_is_keras_s_polynomial_and_the_rise_a_line():
    ours = WarmupPolynomialDecay(4e-3, steps=29, warmup=5, power=0.5, end=1e-4)
    ours = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(ours))
    theirs = keras.optimizers.schedules.PolynomialDecay(4e-3, 24, 1e-4, 0.5)
    got = [float(ours(step)) for step in range(33)]
    assert got[:5] == pytest.approx([4e-3 * step / 5 for step in range(5)])
    assert got[5:] == pytest.approx([float(theirs(step - 5)) for step in range(5, 33)], rel=1e-5)
    assert got[29:] == pytest.approx([1e-4] * 4)


def test_schedules_in_turn_count_their_own_steps():
    first, second = WarmupPolynomialDecay(3e-3, 7, 2), WarmupPolynomialDecay(1e-3, 9, 4, power=2, end=1e-5)
    both = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(InTurn([first, second])))
    want = [float(first(step)) for step in range(7)] + [float(second(step)) for step in range(12)]
    assert [float(both(step)) for step in range(19)] == pytest.approx(want)


def test_a_recipe_s_optimizer():
    phases = [Phase("a", 70, learning_rate=6e-3, warmup=30), Phase("b", 20, learning_rate=4e-3)]
    recipe = Recipe(phases, optimizer="lamb", power=0.5, weight_decay=0.02, clip_norm=0.7)
    optimizer, rates = make_optimizer(recipe), make_schedule(recipe)
    assert type(optimizer) is Lamb
    assert (optimizer.weight_decay, optimizer.global_clipnorm, optimizer.epsilon) == (0.02, 0.7, 1e-6)
    got = [float(rates(step)) for step in (15, 30, 50, 70, 71, 72, 81)]
    want = [3e-3, 6e-3, 6e-3 * 0.5**0.5, 0, 2e-3, 4e-3, 4e-3 * 0.5**0.5]
    assert got == pytest.approx(want, rel=1e-5, abs=1e-9)
    one = make_schedule(Recipe([Phase("a", 90), Phase("b", 10)], learning_rate=1e-3))
    assert [float(one(step)) for step in (10, 55, 100)] == pytest.approx([1e-3, 5e-4, 0])
    assert make_optimizer(Recipe([Phase("a", 90)])).name.startswith("adam_w")


def test_calls_end_where_figures_are_told():
    assert [steps_a_call(every) for every in (1, 4, 7, 11, 12, 96, 100)] == [1, 4, 7, 1, 6, 8, 5]


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ({"learning_rate": 0, "steps": 3}, "learning_rate is 0"),
        ({"learning_rate": 1e-3, "steps": 0}, "steps is 0"),
        ({"learning_rate": 1e-3, "steps": 5, "warmup": 5}, "warmup is 5"),
        ({"learning_rate": 1e-3, "steps": 5, "power": 0}, "power is 0"),
        ({"learning_rate": 1e-3, "steps": 5, "end": 2e-3}, "end_learning_rate is 0.002"),
    ],
)
def test_numbers_that_make_no_schedule(numbers, told):
    with pytest.raises(ConfigError, match=told):
        WarmupPolynomialDecay(**numbers)
