"""XLA, on the CPU: every head's training step compiles and gives the numbers of the step that is not compiled."""

from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
from every_head import MADE, features, targets
from tensorflow.python.framework import config

import keras_bert_zoo as kbz
from keras_bert_zoo.encoder import with_layout
from keras_bert_zoo.errors import ConfigError
from keras_bert_zoo.heads import HEADS, arguments
from keras_bert_zoo.rematerialization import rematerialize
from keras_bert_zoo.training.evaluation import predict_logits
from keras_bert_zoo.training.fit import Settings, fit
from keras_bert_zoo.training.xla import check_xla


@pytest.fixture(autouse=True)
def _not_deterministic():
    """Undo what a pretraining in the same process asked for: TensorFlow then compiles nothing."""
    config.disable_op_determinism()


STILL = tiny.CONFIG.replace(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
MOOD = kbz.heads.Classification(["bad", "good"], dropout=0.0)


@contextmanager
def _deterministic():
    config.enable_op_determinism()
    try:
        yield
    finally:
        config.disable_op_determinism()


def _steps(name, compiled, *, layers=3, again=False):
    """Return the losses of two steps on the same rows, and the weights after them."""
    own = {**MADE[name], **({"dropout": 0.0} if "dropout" in arguments(name.split()[0]) else {})}
    head = kbz.heads.make(name.split()[0], own)
    model = tiny.bundle(head, config=STILL.replace(num_hidden_layers=layers)).model
    model = with_layout(model, "padded", sequences=2) if name.endswith(" sequences") else model
    model = rematerialize(model) if again else model
    random = np.random.default_rng(9)
    x = features(model, random)
    y = targets(head.name, x, random, model.get_layer("grid").sequences)
    model.compile(kbz.adamw(1e-3, steps=9), head.loss(), jit_compile=compiled)
    assert model.jit_compile is compiled
    losses = [np.max(model.train_on_batch(x, y if len(y) > 1 else y[""])) for _ in range(2)]
    return losses, model.get_weights()


def _alike(name, **options):
    (want, weights), (got, compiled) = _steps(name, False, **options), _steps(name, True, **options)
    assert got == pytest.approx(want, rel=1e-4)
    assert got[0] != got[1]
    for ours, theirs in zip(compiled, weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4 * max(np.abs(theirs).max(), 1e-2))


def test_a_compiled_step_is_the_same():
    _alike("token_classification", layers=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", MADE)
def test_every_heads_compiled_step_is_the_same(name):
    assert {name.split()[0] for name in MADE} == set(HEADS)
    _alike(name)


@pytest.mark.slow
def test_a_compiled_rematerialised_step_is_the_same():
    _alike("classification", again=True)


def test_fit_compiled_and_rematerialised_on_static_shapes_is_the_same():
    static = {"pad_to": 11, "drop_remainder": True, "steps_per_execution": 2, "layout": "padded"}
    config = STILL.replace(num_hidden_layers=1)
    told, weights = [], []
    for compiled in (False, True):
        bundle = tiny.bundle(MOOD, config=config)
        how = {"jit_compile": compiled, "rematerialize": compiled}
        settings = Settings(epochs=2, batch_size=7, length=9, learning_rate=5e-3, **how, **static)
        table = tiny.mood_table(2)  # 24 rows: three whole batches, and three rows that are dropped
        told.append(fit(bundle.model, MOOD, bundle.tokenizer, table, None, settings, verbose=0))
        assert bundle.model.steps_per_execution == 2
        assert int(bundle.model.optimizer.iterations) == 6
        weights.append(bundle.model.get_weights())
    for plain, compiled in zip(told[0].epochs, told[1].epochs, strict=True):
        assert compiled == pytest.approx(plain, rel=1e-4)
    for ours, theirs in zip(*weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_logits_of_full_batches_alone():
    bundle = tiny.bundle(MOOD, config=STILL.replace(num_hidden_layers=1))
    table, options = tiny.mood_table(), {"batch_size": 5, "length": 9}
    seen = []
    call = bundle.model.predict
    bundle.model.predict = lambda rows, **more: seen.extend(rows.as_numpy_iterator()) or call(rows, **more)
    want = predict_logits(bundle.model, MOOD, bundle.tokenizer, table, **options)
    got = predict_logits(bundle.model, MOOD, bundle.tokenizer, table, pad_to=(11,), **options)
    assert [x["input_mask"].shape for x in seen][-3:] == [(5, 11)] * 3
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_lengths_and_layout_where_the_step_is_compiled():
    assert Settings(jit_compile=True, length=128).widths == (32, 64, 128)
    assert Settings(jit_compile=True, length=150).widths == (32, 64, 128, 150)
    assert Settings(jit_compile=True, length=20).widths == (20,)
    assert Settings(jit_compile=True, pad_to=128).widths == (128,)
    assert Settings(pad_to=[256, 128]).widths == (128, 256)
    assert Settings().widths is None
    assert [Settings(**what).trained_layout for what in ({}, {"jit_compile": True}, {"pad_to": 128})] == [
        "auto",
        "padded",
        "padded",
    ]
    with pytest.raises(ConfigError, match="pad_to ends at 64, but rows may be of 128 tokens"):
        _ = Settings(pad_to=64).widths


def test_what_cannot_be_compiled():
    bundle = tiny.bundle(MOOD)
    settings = Settings(length=9, jit_compile=True, layout="packed")
    with pytest.raises(ConfigError, match="jit_compile=True needs shapes that stay, but the model is packed"):
        fit(bundle.model, MOOD, bundle.tokenizer, tiny.mood_table(), None, settings, verbose=0)
    with pytest.raises(ConfigError, match="pad_to ends at 24, but the model has 23 positions"):
        fit(bundle.model, MOOD, bundle.tokenizer, tiny.mood_table(), None, Settings(length=9, pad_to=24), verbose=0)
    with _deterministic(), pytest.raises(ConfigError, match="Keras cannot have jit_compile=True here"):
        bundle.model.compile("adam", MOOD.loss(), jit_compile=True)
    two = SimpleNamespace(name="bert", distribute_strategy=SimpleNamespace(num_replicas_in_sync=2))
    with pytest.raises(ConfigError, match="bert: jit_compile=True works on one device; here are 2 replicas"):
        check_xla(two)
