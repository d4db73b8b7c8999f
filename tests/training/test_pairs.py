"""Losses and figures of vectors of pairs, against numpy and scipy, and learning with them."""

import keras
import numpy as np
import pytest
import tiny
from scipy import special, stats

import keras_bert_zoo as kbz
from keras_bert_zoo.errors import ConfigError, DataError
from keras_bert_zoo.training import pairs
from keras_bert_zoo.training.fit import Settings, fit

VECTORS = np.random.default_rng(6).normal(size=(7, 2, 5)).astype("float32")
UNIT = VECTORS / np.linalg.norm(VECTORS, axis=-1, keepdims=True)
SCORES = np.linspace(-0.5, 1, 7, dtype="float32")


def test_in_batch_negatives():
    scores = 13.0 * UNIT[:, 0] @ UNIT[:, 1].T
    want = -special.log_softmax(scores.astype("float64"), axis=1).diagonal()
    loss = pairs.InBatchNegatives(scale=13.0, reduction="none")
    np.testing.assert_allclose(loss(np.zeros(7), VECTORS), want, rtol=1e-5)
    assert float(pairs.InBatchNegatives(scale=13.0)(np.zeros(7), VECTORS)) == pytest.approx(want.mean(), rel=1e-5)
    assert pairs.InBatchNegatives.from_config(loss.get_config()).scale == 13.0
    assert pairs.InBatchNegatives().scale == 20.0


def test_cosine_error():
    want = (np.einsum("nd,nd->n", UNIT[:, 0], UNIT[:, 1]) - SCORES) ** 2
    np.testing.assert_allclose(pairs.CosineError(reduction="none")(SCORES, VECTORS), want, atol=1e-6)


def test_the_nearest_and_the_places():
    scores = UNIT[:, 0] @ UNIT[:, 1].T
    places = 1 + (scores > scores.diagonal()[:, None]).sum(1)
    assert len(set(places)) > 2
    np.testing.assert_array_equal(pairs.own_is_nearest(None, VECTORS), places == 1)
    want = {"accuracy": (places == 1).mean(), "mrr": (1 / places).mean()}
    assert pairs.ranking(VECTORS) == pytest.approx(want)
    np.testing.assert_allclose(pairs.cosines(VECTORS), scores.diagonal(), atol=1e-6)


def test_places_of_many_rows_and_of_equal_texts(monkeypatch):
    monkeypatch.setattr(pairs, "_BLOCK", 3)
    whole = np.concatenate([VECTORS, VECTORS * 2])  # everything twice: the twin does not stand before the own one
    assert pairs.ranking(whole)["accuracy"] == pytest.approx(pairs.ranking(VECTORS)["accuracy"])
    assert pairs.ranking(np.zeros((2, 2, 3), "float32")) == {"accuracy": 1.0, "mrr": 1.0}


def test_the_loss_of_a_head_is_compiled_and_saved(tmp_path):
    for head in (kbz.heads.SentenceEmbedding(scale=7.0), kbz.heads.SentenceEmbedding(loss="similarity")):
        bundle = tiny.bundle(head)
        bundle.model.compile(kbz.adamw(1e-3, steps=3), head.loss(), metrics=head.metrics())
        table = kbz.data.Table.from_lists(tiny.GOOD, SCORES[:6].tolist(), tiny.BAD)
        rows = table.batches(head, bundle.tokenizer, 6, length=9)
        ours = bundle.model.evaluate(rows, return_dict=True, verbose=0)
        bundle.model.save(tmp_path / "model.keras")
        again = keras.saving.load_model(tmp_path / "model.keras")
        assert again.evaluate(rows, return_dict=True, verbose=0) == ours
        vectors = bundle.model.predict(rows.map(lambda x, y: x), verbose=0)
        want = head.loss()(SCORES[:6], vectors)
        assert ours["loss"] == pytest.approx(float(want), rel=1e-5)


@pytest.mark.slow
def test_it_learns_to_rank():
    config = tiny.CONFIG.replace(hidden_dropout_prob=0.01)
    head = kbz.heads.SentenceEmbedding()
    bundle = tiny.bundle(head, config=config)
    nouns = ["film", "movie", "plot", "actor", "story", "scene"]
    kinds = ["good", "bad", "sad", "warm"]
    firsts = [f"a {kind} {noun}" for noun in nouns for kind in kinds]
    seconds = [f"the {noun} is {kind}" for noun in nouns for kind in kinds]
    table = kbz.data.Table.from_lists(firsts, None, seconds)
    before = bundle.evaluate(table)
    settings = Settings(epochs=12, learning_rate=5e-3, batch_size=12, length=9)
    history = fit(bundle.model, head, bundle.tokenizer, table, table, settings, verbose=0)
    assert set(history.epochs[0]) == {"loss", "accuracy", "val_accuracy", "val_mrr"}
    assert history.best == int(np.argmax([epoch["val_mrr"] for epoch in history.epochs]))
    after = bundle.evaluate(table)
    assert history.epochs[-1]["loss"] < 0.6 * history.epochs[0]["loss"]
    assert after["mrr"] >= max(0.8, before["mrr"])
    assert after["mrr"] == pytest.approx(history.epochs[history.best]["val_mrr"], abs=1e-5)


@pytest.mark.slow
def test_it_learns_scores():
    config = tiny.CONFIG.replace(hidden_dropout_prob=0.01)
    head = kbz.heads.SentenceEmbedding(loss="similarity", highest=5)
    bundle = tiny.bundle(head, config=config)
    every = tiny.GOOD + tiny.BAD
    firsts = [a for a in every for _ in range(4)]
    seconds = [every[(5 * i + 3 * j) % 12] for i in range(12) for j in range(4)]
    labels = [5.0 if (a in tiny.GOOD) == (b in tiny.GOOD) else 0.0 for a, b in zip(firsts, seconds, strict=True)]
    table = kbz.data.Table.from_lists(firsts, labels, seconds)
    settings = Settings(epochs=8, learning_rate=5e-3, batch_size=16, length=9)
    fit(bundle.model, head, bundle.tokenizer, table, table, settings, verbose=0)
    figures = bundle.evaluate(table)
    answers = bundle.predict(firsts), bundle.predict(seconds)
    one, other = (np.array([answer["embedding"] for answer in side]) for side in answers)
    cosine = (one * other).sum(1)
    assert figures == pytest.approx(
        {
            "loss": ((cosine - np.array(labels) / 5) ** 2).mean(),
            "pearson": stats.pearsonr(cosine, labels).statistic,
            "spearman": stats.spearmanr(cosine, labels).statistic,
        },
        abs=1e-4,
    )
    assert figures["spearman"] > 0.6


def test_a_ranking_head_is_measured_by_scores_where_there_are_some():
    bundle = tiny.bundle(kbz.heads.SentenceEmbedding())
    table = kbz.data.Table.from_lists(tiny.GOOD, [3.8, 0, 1, 5, 2, 4], tiny.BAD)
    figures = bundle.evaluate(table)
    assert set(figures) == {"pearson", "spearman", "accuracy", "mrr"}
    assert bundle.head.best_by(figures) == "spearman"
    assert bundle.head.best_by({"mrr": 1.0, "accuracy": 1.0}) == "mrr"


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ("much", "item 2: label 'much' is not a number"),
        (None, "item 2: label None is not a number"),
        (3.8, "item 2: label 3.8 is above 1, the highest there is"),
    ],
)
def test_scores_that_do_not_fit(label, told):
    table = kbz.data.Table.from_lists(["a", "b"], [0.5, label], ["c", "d"])
    with pytest.raises(DataError, match=told):
        table.batches(kbz.heads.SentenceEmbedding(loss="similarity"), tiny.tokenizer(), 2)


def test_data_that_does_not_fit():
    ranking, similar = kbz.heads.SentenceEmbedding(), kbz.heads.SentenceEmbedding(loss="similarity")
    labelled = kbz.data.Table.from_lists(["a"], ["entailment"], ["c"])
    with pytest.raises(DataError, match=r"is not a number.* keep the pairs that belong together"):
        labelled.batches(ranking, tiny.tokenizer(), 2)
    bundle = tiny.bundle(similar)
    plain = kbz.data.Table.from_lists(["a"], None, ["c"])
    with pytest.raises(DataError, match="there are no labels to compare with"):
        bundle.evaluate(plain)
    with pytest.raises(DataError, match="there are no labels to compare with"):
        fit(bundle.model, similar, bundle.tokenizer, plain, verbose=0)
    with pytest.raises(DataError, match="the head reads pairs of texts"):
        kbz.data.Table.from_lists(["a"]).batches(ranking, tiny.tokenizer(), 2)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"pooling": "sum"}, "pooling is 'sum'"),
        ({"loss": "triplet"}, "loss is 'triplet', it must be one of ranking, similarity"),
        ({"scale": 0}, "scale is 0, it must be a number above 0"),
        ({"highest": "five"}, "highest is 'five'"),
    ],
)
def test_arguments_that_make_no_head(wrong, told):
    with pytest.raises(ConfigError, match=told):
        kbz.heads.SentenceEmbedding(**wrong)
