"""Texts to answers, and figures from answers: lists of strings, padding trimmed, the order of the rows kept."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
import tiny
from fake_heads import Chooser

import keras_bert_zoo as kbz
from keras_bert_zoo.data.columns import check_columns
from keras_bert_zoo.data.sizes import order_by_size
from keras_bert_zoo.errors import ConfigError, DataError
from keras_bert_zoo.training import epochs as epochs_module
from keras_bert_zoo.training.answers import Answers, column_specs
from keras_bert_zoo.training.evaluation import evaluate
from keras_bert_zoo.training.fit import Settings, fit

HEAD = Chooser()
TEXTS = ["a good film", "it", "so very bad and dull", "the plot"]
CHOICES = [["the end is near", "b"], [], ["caf\u00e9", "", "d"], ["e"]]


@pytest.fixture(scope="module")
def bundle():
    return tiny.bundle(HEAD)


def test_specs():
    assert {name: spec.shape.as_list() for name, spec in column_specs(HEAD).items()} == {
        "text": [None],
        "choices": [None, None],
    }


@pytest.mark.parametrize("batch_size", [1, 2, 9])
def test_lists_are_answered_in_order_and_trimmed(bundle, batch_size):
    answers = Answers(bundle.model, HEAD, bundle.tokenizer, 11)
    told = answers({"text": TEXTS, "choices": CHOICES}, batch_size=batch_size)
    assert [answer["choices"] for answer in told] == [[choice for choice in row if choice] for row in CHOICES]
    assert told[0]["joined"].startswith("the end is near+b")
    pack = HEAD.pack(bundle.tokenizer, 11)
    for text, answer in zip(TEXTS, told, strict=True):
        features, _ = pack({"text": [text], "choices": [["a"]]})
        logits = bundle.model({name: features[name] for name in HEAD.inputs})
        assert answer["first"] == pytest.approx(float(logits[0, 0]), abs=1e-5)
    assert answers({"text": [], "choices": []}) == []


def test_a_bundle_answers_lists(bundle):
    assert [answer["choices"] for answer in bundle.predict(TEXTS[:2], choices=CHOICES[:2])] == CHOICES[:2]


def test_rows_are_ordered_by_all_their_characters():
    assert order_by_size(["aaaa", "b", "cc"], [["d"], ["eeee", "fff"], []]) == [2, 0, 1]


def test_figures_come_from_answers(bundle):
    labels = [["the end is near", "b"], ["other"], ["caf\u00e9", "d"], ["e"]]
    table = kbz.data.Table.from_lists(TEXTS, labels, pairs=CHOICES)
    assert bundle.evaluate(table, batch_size=3) == {"joined": 0.75}
    assert evaluate(bundle.model, HEAD, bundle.tokenizer, table, length=11) == {"joined": 0.75}
    with pytest.raises(DataError, match="there are no labels to compare with"):
        bundle.evaluate(kbz.data.Table.from_lists(TEXTS, pairs=CHOICES))
    with pytest.raises(DataError, match="the head reads pairs of texts"):
        bundle.evaluate(kbz.data.Table.from_lists(TEXTS, labels))


def test_answers_tell_the_best_epoch():
    bundle = tiny.bundle(HEAD)
    table = kbz.data.Table.from_lists(TEXTS, [[0.5, 1.0]] * 4, pairs=CHOICES)
    scores = iter([0.25, 0.75, 0.5])

    class Scored(Chooser):
        def score(self, table, answers):
            assert [len(answer["choices"]) for answer in answers] == [2, 0, 2, 1]
            return {"joined": next(scores)}

    history = fit(bundle.model, Scored(), bundle.tokenizer, table, table, Settings(epochs=3, length=11), verbose=0)
    assert history.best == 1
    assert [epoch["val_joined"] for epoch in history.epochs] == [0.25, 0.75, 0.5]


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"text": TEXTS}, "reads text, choices; it was given text"),
        ({"text": TEXTS, "choices": ["a"] * 4}, r'choices: hand in a list of lists of strings, such as \[\["one"'),
        ({"text": TEXTS, "choices": [["a"], ["b"], [3], []]}, "choices: hand in a list of lists of strings"),
        ({"text": [["a"]] * 4, "choices": CHOICES}, "text: hand in a list of strings"),
        ({"text": TEXTS, "choices": "abcd"}, "choices: hand in a list of lists"),
        ({"text": TEXTS, "choices": [[], ["a", "\ud800"], [], []]}, "choices, item 1: .* half of a surrogate pair"),
        ({"text": TEXTS, "choices": CHOICES[:3]}, "differ in length: text has 4, choices has 3"),
    ],
)
def test_lists_that_cannot_be_asked(columns, told):
    with pytest.raises(DataError, match=told):
        check_columns(HEAD, columns)


def test_lists_that_can_be_asked():
    check_columns(HEAD, {"text": TEXTS, "choices": [("a", b"\xff"), [], ["b"], []]})


@pytest.mark.parametrize(
    ("monitor", "best"), [(None, 2), ("f1", 1), ("accuracy+f1", 3), ("-loss", 4), ("accuracy+-loss", 0)]
)
def test_the_figure_that_tells_the_best_epoch(monkeypatch, monitor, best):
    names = ("accuracy", "f1", "loss")
    epochs = [(0.7, 0.1, 0.1), (0.1, 0.9, 0.5), (0.8, 0.1, 0.5), (0.7, 0.7, 0.5), (0.3, 0.3, 0.05)]
    seen = iter(epochs)
    monkeypatch.setattr(epochs_module, "evaluate", lambda *a, **k: dict(zip(names, next(seen), strict=True)))
    head = kbz.heads.Classification(["bad", "good"])
    watch = epochs_module.Epochs(head, tiny.tokenizer(), tiny.mood_table(), Settings(epochs=5, monitor=monitor))
    watch.set_model(SimpleNamespace(get_weights=list, distribute_strategy=tf.distribute.get_strategy()))
    for epoch in range(5):
        watch.on_epoch_end(epoch, {"loss": 1.5})
    assert watch.best == best
    assert [figures["val_f1"] for figures in watch.epochs] == [0.1, 0.9, 0.1, 0.7, 0.3]


def test_a_figure_that_is_not_there_is_told_before_the_training():
    head = kbz.heads.Classification(["bad", "good", "fine"])
    bundle, table = tiny.bundle(head), tiny.mood_table()
    before = bundle.model.get_weights()
    with pytest.raises(ConfigError, match="no figure f1, -f2; there are loss, accuracy, f1_macro, mcc"):
        fit(bundle.model, head, bundle.tokenizer, table, table, Settings(monitor="accuracy+f1+-f2"), verbose=0)
    for old, new in zip(before, bundle.model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    with pytest.raises(ConfigError, match=r"monitor is 'f1\+', it must be a figure, or several joined"):
        Settings(monitor="f1+")
