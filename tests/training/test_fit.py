"""Fine-tuning: it learns, repeats itself, keeps its best epoch and stops when told."""

import numpy as np
import pytest
import tiny
from sklearn.utils.class_weight import compute_class_weight

import keras_bert_zoo as kbz
from keras_bert_zoo.data.sizes import order_by_size
from keras_bert_zoo.errors import ConfigError, DataError
from keras_bert_zoo.training import epochs as epochs_module
from keras_bert_zoo.training import fit as fit_module
from keras_bert_zoo.training.evaluation import evaluate, predict_logits
from keras_bert_zoo.training.fit import Settings, fit

HEAD = kbz.heads.Classification(["bad", "good"], dropout=0.01)
SMALL = {"batch_size": 8, "length": 9, "warmup": 0.2}


def _fit(settings, *, train=None, validation=None, head=HEAD, config=tiny.CONFIG):
    bundle = tiny.bundle(head, config=config)
    history = fit(bundle.model, head, bundle.tokenizer, train or tiny.mood_table(8), validation, settings, verbose=0)
    return bundle, history


def test_it_learns_and_the_same_seed_gives_the_same_numbers():
    settings = Settings(epochs=5, learning_rate=5e-3, **SMALL)
    config = tiny.CONFIG.replace(hidden_dropout_prob=0.01)  # some, so that its seed counts; little, so that it learns
    (first, told), (second, again) = (_fit(settings, validation=tiny.mood_table(), config=config) for _ in range(2))
    assert told.epochs[-1]["loss"] < 0.6 * told.epochs[0]["loss"]
    assert told.epochs[told.best]["val_accuracy"] >= 0.9
    assert told == again
    for ours, theirs in zip(first.model.get_weights(), second.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_several_steps_a_call_change_no_number(monkeypatch):
    settings = Settings(epochs=2, learning_rate=5e-3, **SMALL)  # 12 steps an epoch: one call of 8, one of 4
    bundle, told = _fit(settings)
    assert bundle.model.steps_per_execution == 8
    assert int(bundle.model.optimizer.iterations) == 24
    monkeypatch.setattr(fit_module, "_steps_a_call", lambda model: 1)
    single, want = _fit(settings)
    for name, value in want.epochs[1].items():
        assert told.epochs[1][name] == pytest.approx(value, rel=1e-5), name
    for ours, theirs in zip(bundle.model.get_weights(), single.model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_prediction_is_traced_for_kinds_of_batches_alone(monkeypatch):
    bundle = tiny.bundle(HEAD)
    bundle.model.compile(kbz.adamw(1e-3, steps=9), HEAD.loss(), steps_per_execution=8)
    traced = []
    step = bundle.model.predict_step
    monkeypatch.setattr(bundle.model, "predict_step", lambda data: traced.append(data) or step(data))
    table = kbz.data.Table.from_lists([" ".join(["film"] * (1 + number % 13)) for number in range(210)])
    logits = predict_logits(bundle.model, HEAD, bundle.tokenizer, table, batch_size=4, length=17)
    assert len(traced) <= 3  # the first batch, others of any width, and the last and smaller one
    assert bundle.model.steps_per_execution == 8
    for number in (0, 12, 25):
        (want,) = predict_logits(bundle.model, HEAD, bundle.tokenizer, table.select([number]), length=17)
        np.testing.assert_allclose(logits[number], want, atol=1e-6)


def test_figures_are_in_every_epoch_and_the_best_weights_are_kept(monkeypatch):
    seen = iter([0.4, 0.9, 0.9, 0.1])
    kept = []

    def figures(model, *args, **kwargs):
        kept.append(model.get_weights())
        return {"accuracy": next(seen), "loss": 1.0}

    monkeypatch.setattr(epochs_module, "evaluate", figures)
    bundle, history = _fit(Settings(epochs=4, learning_rate=1e-3, **SMALL), validation=tiny.mood_table())
    assert history.best == 1  # the first of two equals
    assert [epoch["val_accuracy"] for epoch in history.epochs] == [0.4, 0.9, 0.9, 0.1]
    assert set(history.epochs[0]) == {"loss", "accuracy", "f1", "f1_macro", "mcc", "val_accuracy", "val_loss"}
    for now, best, last in zip(bundle.model.get_weights(), kept[1], kept[3], strict=True):
        np.testing.assert_array_equal(now, best)
        assert now.dtype != "float32" or np.abs(now - last).max() > 0


@pytest.mark.parametrize(("patience", "epochs"), [pytest.param(None, 6, marks=pytest.mark.slow), (2, 4)])
def test_patience_ends_a_run_that_stands_still(monkeypatch, patience, epochs):
    seen = iter([0.4, 0.8, 0.5, 0.5, 0.5, 0.5])
    monkeypatch.setattr(epochs_module, "evaluate", lambda *a, **k: {"accuracy": next(seen)})
    settings = Settings(epochs=6, patience=patience, **SMALL)
    _, history = _fit(settings, train=tiny.mood_table(), validation=tiny.mood_table())
    assert (len(history.epochs), history.best) == (epochs, 1)


def test_without_validation_the_last_epoch_is_kept_and_class_weights_count():
    doubled = Settings(epochs=2, learning_rate=1e-9, class_weight={"bad": 2, "good": 2}, **SMALL)
    bundle, history = _fit(doubled, train=tiny.mood_table(3))
    assert history.best == 1
    plain = evaluate(bundle.model, HEAD, bundle.tokenizer, tiny.mood_table(3), batch_size=8, length=9)["loss"]
    assert history.epochs[1]["loss"] == pytest.approx(2 * plain, rel=0.25)  # dropout shakes the rest
    assert set(history.epochs[0]) == {"loss", "accuracy", "f1", "f1_macro", "mcc"}


def test_class_weights():
    labels = ["bad"] * 3 + ["good"] * 9
    table = kbz.data.Table.from_lists(["a film"] * 12, labels)
    want = compute_class_weight("balanced", classes=np.array(["bad", "good"]), y=labels)
    got = fit_module._class_weight("balanced", HEAD, table)
    assert [got[0], got[1]] == pytest.approx(want)
    assert fit_module._class_weight({"bad": 2, "good": 0.5}, HEAD, table) == {0: 2.0, 1: 0.5}
    assert fit_module._class_weight(None, HEAD, table) is None
    with pytest.raises(ConfigError, match="'balanced' or a weight for each of bad, good"):
        fit_module._class_weight({"bad": 2}, HEAD, table)
    with pytest.raises(ConfigError, match="'balanced' or a weight for each"):
        fit_module._class_weight("even", HEAD, table)
    with pytest.raises(ConfigError, match="not to 'regression'"):
        fit_module._class_weight("balanced", kbz.heads.Regression(), table)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"length": 0}, "length is 0"),
        ({"warmup": 1}, "warmup is 1"),
        ({"patience": 0}, "patience is 0"),
        ({"gradient_accumulation": 0}, "gradient_accumulation is 0, it must be at least 1"),
        ({"precision": "half"}, "precision is 'half', it must be one of float32, mixed_bfloat16, mixed_float16"),
    ],
)
def test_settings_that_make_no_run(wrong, told):
    with pytest.raises(ConfigError, match=told):
        Settings(**wrong)


def test_logits_come_in_the_order_of_the_table():
    bundle = tiny.bundle(HEAD)
    table = tiny.mood_table().shuffled(3)
    got = predict_logits(bundle.model, HEAD, bundle.tokenizer, table, batch_size=5, length=9)
    pack = HEAD.pack(bundle.tokenizer, 9)
    want = [bundle.model(pack({"text": [text]})[0]).numpy()[0] for text in table.texts]
    np.testing.assert_allclose(got, want, atol=1e-5)
    figures = evaluate(bundle.model, HEAD, bundle.tokenizer, table, batch_size=5, length=9)
    right = np.mean([("bad", "good")[np.argmax(row)] == label for row, label in zip(want, table.labels, strict=True)])
    assert figures["accuracy"] == pytest.approx(right)
    with pytest.raises(DataError, match="there are no labels to compare with"):
        evaluate(bundle.model, HEAD, bundle.tokenizer, kbz.data.Table.from_lists(["a"]))


def test_order_by_size():
    assert order_by_size(["ccc", "a", "bb", "d"], None) == [1, 3, 2, 0]
    assert order_by_size(["ccc", "a", "bb"], ["", "12345", "1"]) == [0, 2, 1]
