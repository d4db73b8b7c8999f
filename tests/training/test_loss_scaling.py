"""Scaled losses against Keras's own LossScaleOptimizer, step by step."""

import keras
import numpy as np
import pytest
import tiny

import keras_bert_zoo as kbz
from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.training import optimizer as module
from keras_bert_zoo.training.lamb import Lamb
from keras_bert_zoo.training.optimizer import AdamW

RATE, GROWTH = 0.05, 3


def _variables():
    return [keras.Variable(np.linspace(-1, 1, 6).reshape(2, 3), dtype="float32", name="kernel")]


def _gradients():
    """Return what the loss would give unscaled: twice it overflows, once it is no number."""
    random = np.random.default_rng(3)
    made = [random.normal(size=(2, 3)).astype("float32") for _ in range(9)]
    made[3][1, 2], made[4][0, 0], made[8][0, 1] = np.inf, -np.inf, np.nan
    return made


@pytest.mark.parametrize("kind", [AdamW, Lamb])
@pytest.mark.parametrize("clip", [{"global_clipnorm": 0.5}, {}])
def test_every_step_is_that_of_keras(kind, clip, monkeypatch):
    monkeypatch.setattr(module, "_STEPS_A_SCALE", GROWTH)
    options = {"weight_decay": 0.3, "epsilon": 1e-6, **clip}
    ours, (got,) = kind(RATE, **options), _variables()
    ours.scale_losses()
    ours.build([got])
    # What is inside Keras's knows nothing of scales: LAMB is its own oracle there.
    inner = keras.optimizers.AdamW(RATE, **options) if kind is AdamW else Lamb(RATE, **options)
    theirs, (want,) = keras.optimizers.LossScaleOptimizer(inner, dynamic_growth_steps=GROWTH), _variables()
    theirs.build([want])
    scales = []
    for number, gradient in enumerate(_gradients()):
        before = got.numpy()
        loss = float(ours.scale_loss(keras.ops.ones(())))
        assert loss == float(theirs.scale_loss(keras.ops.ones(()))) == float(ours.loss_scale.numpy())
        ours.apply([keras.ops.convert_to_tensor(gradient * loss)], [got])
        theirs.apply([keras.ops.convert_to_tensor(gradient * loss)], [want])
        np.testing.assert_allclose(got.numpy(), want.numpy(), atol=3e-6)
        assert (got.numpy() == before).all() == (number in (3, 4, 8))
        assert int(ours.iterations.numpy()) == int(theirs.iterations.numpy())
        scales.append(float(ours.loss_scale.numpy()) / 2**15)
    assert scales == [1, 1, 2, 1, 0.5, 0.5, 0.5, 1, 0.5]
    assert int(ours.iterations.numpy()) == 6  # the schedule counts real updates


def test_the_scale_never_falls_below_one(monkeypatch):
    monkeypatch.setattr(module, "_FIRST_SCALE", 2.0)
    optimizer, variables = AdamW(RATE), _variables()
    optimizer.scale_losses()
    optimizer.build(variables)
    for want in (1.0, 1.0):
        optimizer.apply([keras.ops.full((2, 3), np.inf)], variables)
        assert float(optimizer.loss_scale.numpy()) == want


def test_where_it_cannot_be():
    with pytest.raises(ConfigError, match="scales losses under TensorFlow, without amsgrad"):
        AdamW(RATE, amsgrad=True).scale_losses()
    optimizer = AdamW(RATE)
    optimizer.build(_variables())
    with pytest.raises(ConfigError, match="is at work already, without scaling its losses"):
        optimizer.scale_losses()
    optimizer = AdamW(RATE)
    optimizer.scale_losses()
    with pytest.raises(ConfigError, match="has no scale for the loss yet"):
        optimizer.scale_loss(1.0)


@pytest.mark.parametrize("kind", ["ours", "keras's"])
def test_a_float16_model_learns_with_scaled_losses(kind, monkeypatch, tmp_path):
    monkeypatch.setattr(module, "_FIRST_SCALE", 2.0**24)  # too much for float16, which ends at 65,504
    head = kbz.heads.Classification(["bad", "good"], dropout=0.0)
    config = tiny.CONFIG.replace(num_hidden_layers=1)
    bundle = tiny.bundle(head, config=config, dtype="mixed_float16")
    optimizer = kbz.adamw(1e-2, steps=40) if kind == "ours" else keras.optimizers.Adam(1e-2)
    bundle.model.compile(optimizer, head.loss(), metrics=head.metrics())
    rows = tiny.mood_table().batches(head, bundle.tokenizer, 12, length=9)
    losses = bundle.model.fit(rows, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    made = bundle.model.optimizer
    if kind == "ours":
        assert made is optimizer
        assert 1 < float(made.loss_scale.numpy()) < 2**24
        assert 3 < int(made.iterations.numpy()) < 20  # the first ones were left out
        bundle.model.save(tmp_path / "model.keras")
        again = keras.models.load_model(tmp_path / "model.keras").optimizer
        assert float(again.loss_scale.numpy()) == float(made.loss_scale.numpy())
    else:
        assert isinstance(made, keras.optimizers.LossScaleOptimizer)
        assert made.inner_optimizer is optimizer


def test_scaling_is_off_where_it_is_not_needed():
    head = kbz.heads.Classification(["bad", "good"])
    for dtype, options in (("mixed_bfloat16", {}), ("mixed_float16", {"auto_scale_loss": False})):
        model = tiny.bundle(head, config=tiny.CONFIG.replace(num_hidden_layers=1), dtype=dtype).model
        model.compile(kbz.adamw(1e-2, steps=4), head.loss(), **options)
        assert not model.optimizer.scales_losses
