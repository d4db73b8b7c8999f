"""Training in either layout: the same losses, weights and figures; what is shared, saved and refused."""

import keras
import numpy as np
import pytest
import tiny

import keras_bert_zoo as kbz
from keras_bert_zoo.cli import train as train_command
from keras_bert_zoo.encoder import with_layout
from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.training import layouts
from keras_bert_zoo.training.fit import Settings, fit
from keras_bert_zoo.training.layouts import choose_layout, laid_out
from keras_bert_zoo.training.model import TaskModel

STILL = tiny.CONFIG.replace(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
HEAD = kbz.heads.Classification(["bad", "good"], dropout=0.0)
LONG = ["a film", "so very sad and awful but not dull", "it", "warm", "the end of a bad movie with an actor in it"]
TABLE = kbz.data.Table.from_lists(
    tiny.GOOD + tiny.BAD + LONG, ["good"] * 6 + ["bad"] * 6 + ["good", "bad"] * 2 + ["bad"]
)


def _batches(**options):
    return TABLE.batches(HEAD, tiny.tokenizer(), 5, length=17, **options)  # the file's order: short beside long


def _trained(layout, *, config=STILL, epochs=3):
    bundle = tiny.bundle(HEAD, config=config)
    model = with_layout(bundle.model, layout)
    model.compile(kbz.adamw(5e-3, steps=40, warmup=3), HEAD.loss(), metrics=HEAD.metrics())
    history = model.fit(_batches(), epochs=epochs, verbose=0).history
    return bundle, model, history


def test_losses_weights_and_figures_are_the_same():
    (_, padded, want), (_, packed, got) = _trained("padded"), _trained("packed")
    assert len(want["loss"]) == 3
    assert want["loss"][2] < want["loss"][0]
    for name, values in want.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-5, err_msg=name)
    for ours, theirs in zip(packed.trainable_variables, padded.trainable_variables, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max(), err_msg=theirs.path)
    figures = [model.evaluate(_batches(), return_dict=True, verbose=0) for model in (packed, padded)]
    assert figures[0] == pytest.approx(figures[1], rel=1e-5)


def test_a_model_laid_out_anew_shares_weights_and_stays_a_task_model():
    bundle, packed, _ = _trained("packed", epochs=1)
    assert type(packed) is TaskModel
    assert packed.jit_compile is False
    assert packed.name == bundle.model.name
    assert all(ours is theirs for ours, theirs in zip(packed.variables[:40], bundle.model.variables[:40], strict=True))
    features, _ = next(iter(_batches()))
    np.testing.assert_allclose(packed(features), bundle.model(features), atol=1e-5)
    assert not bundle.model.compiled


@pytest.mark.slow
def test_a_packed_model_is_saved_with_its_training_and_goes_on(tmp_path):
    _, packed, _ = _trained("packed")
    packed.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert type(again) is TaskModel
    assert again.get_layer("grid").layout == "packed"
    assert again.jit_compile is False
    assert int(again.optimizer.iterations) == 12
    told = [model.fit(_batches(), epochs=2, verbose=0).history for model in (again, packed)]
    assert told[0] == told[1]
    for ours, theirs in zip(again.get_weights(), packed.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_dropout_is_on_in_training_alone_and_new_in_every_step():
    bundle = tiny.bundle(HEAD, config=STILL.replace(hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.5))
    packed = with_layout(bundle.model, "packed")
    features, _ = next(iter(_batches()))
    np.testing.assert_array_equal(packed(features), packed(features))
    first, second = packed(features, training=True), packed(features, training=True)
    assert np.abs(first - packed(features)).min() > 0
    assert np.abs(first - second).min() > 0


@pytest.mark.parametrize(
    "layout", [pytest.param("padded", marks=pytest.mark.slow), pytest.param("packed", marks=pytest.mark.slow), "auto"]
)
def test_fit_trains_in_the_layout_it_is_told(layout):
    bundle = tiny.bundle(HEAD, config=STILL)
    before = bundle.model.get_weights()
    history = fit(
        bundle.model, HEAD, bundle.tokenizer, TABLE, TABLE, Settings(epochs=2, length=17, layout=layout), verbose=0
    )
    assert bundle.model.get_layer("grid").layout == "padded"
    assert bundle.model.compiled
    figures = bundle.model.evaluate(_batches(), return_dict=True, verbose=0)
    assert figures["loss"] == pytest.approx(history.epochs[history.best]["val_loss"], rel=1e-5)
    assert any(np.abs(now - then).max() > 0 for now, then in zip(bundle.model.get_weights(), before, strict=True))


def test_what_auto_means(monkeypatch):
    assert [choose_layout(wanted) for wanted in ("auto", "padded", "packed")] == ["packed", "padded", "packed"]
    assert choose_layout("auto", replicas=2) == "padded"
    assert choose_layout("packed", replicas=2) == "packed"
    model = tiny.bundle(HEAD).model
    assert laid_out(model, "padded") is model
    assert laid_out(model, "auto").get_layer("grid").layout == "packed"
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert choose_layout("auto") == "padded"
    assert laid_out(model, "auto") is model
    with pytest.raises(ConfigError, match="which JAX has not: use 'padded'"):
        laid_out(model, "packed")


def test_what_cannot_be_trained():
    with pytest.raises(ConfigError, match="layout is 'heap', it must be one of auto, padded, packed"):
        Settings(layout="heap")
    packed = laid_out(tiny.bundle(HEAD).model, "packed")
    with pytest.raises(ConfigError, match="jit_compile=True needs shapes that stay, but the model is packed"):
        packed.compile("adam", HEAD.loss(), jit_compile=True)


def test_the_command_offers_every_choice():
    (option,) = (option for option in train_command.command.params if option.name == "layout")
    assert tuple(option.type.choices) == layouts.CHOICES
