"""Our metrics, fed in uneven batches, against scikit-learn and scipy."""

import keras
import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as oracle

from keras_bert_zoo.training.metrics import F1, LabelF1, MacroF1, MatthewsCorrelation, pearson, spearman

ROWS, CLASSES = 103, 4


def _fed(metric, targets, logits, weights=None):
    for rows in np.array_split(np.arange(len(targets)), [7, 30, 31]):
        metric.update_state(targets[rows], logits[rows], None if weights is None else weights[rows])
    return float(metric.result())


@pytest.fixture
def choice():
    random = np.random.default_rng(5)
    targets = random.integers(0, CLASSES - 1, ROWS)  # the last class never occurs
    logits = random.normal(size=(ROWS, CLASSES)).astype("float32")
    logits[np.arange(ROWS), targets] += 1.0
    logits[:, -1] -= 9  # nor is it predicted
    return targets, logits


def test_macro_f1_over_all_classes(choice):
    targets, logits = choice
    want = oracle.f1_score(targets, logits.argmax(1), labels=range(CLASSES), average="macro", zero_division=0)
    assert _fed(MacroF1(CLASSES), targets, logits) == pytest.approx(want, abs=1e-6)
    assert 0.3 < want < 0.7


@pytest.mark.parametrize("weighted", [False, True])
def test_f1_of_the_second_of_two_classes(weighted):
    random = np.random.default_rng(9)
    targets = (random.random(ROWS) < 0.3).astype("int64")
    logits = random.normal(size=(ROWS, 2)).astype("float32")
    logits[np.arange(ROWS), targets] += 0.5
    weights = random.integers(0, 4, ROWS).astype("float32") if weighted else None
    want = oracle.f1_score(targets, logits.argmax(1), pos_label=1, sample_weight=weights)
    assert _fed(F1(), targets, logits, weights) == pytest.approx(want, abs=1e-6)
    assert abs(want - oracle.f1_score(targets, logits.argmax(1), pos_label=0, sample_weight=weights)) > 0.05
    assert _fed(F1(), np.zeros_like(targets), np.stack([logits.max(1) + 1, logits.min(1)], axis=1)) == 0


def test_matthews_correlation(choice):
    targets, logits = choice
    want = oracle.matthews_corrcoef(targets, logits.argmax(1))
    assert _fed(MatthewsCorrelation(CLASSES), targets, logits) == pytest.approx(want, abs=1e-6)
    constant = np.zeros_like(logits)
    constant[:, 1] = 1
    assert _fed(MatthewsCorrelation(CLASSES), targets, constant) == 0


def test_sample_weights_count(choice):
    targets, logits = choice
    weights = np.random.default_rng(6).integers(0, 4, ROWS).astype("float32")
    want = oracle.matthews_corrcoef(targets, logits.argmax(1), sample_weight=weights)
    assert _fed(MatthewsCorrelation(CLASSES), targets, logits, weights) == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize("average", ["micro", "macro"])
@pytest.mark.parametrize("weighted", [False, True])
def test_label_f1(average, weighted):
    random = np.random.default_rng(7)
    targets = (random.random((ROWS, CLASSES)) < [0.5, 0.1, 0.3, 0.0]).astype("float32")
    logits = random.normal(size=(ROWS, CLASSES)).astype("float32") + targets
    weights = random.integers(1, 4, ROWS).astype("float32") if weighted else None
    want = oracle.f1_score(targets, logits > 0, average=average, zero_division=0, sample_weight=weights)
    metric = LabelF1(CLASSES, average)
    assert metric.name == f"f1_{average}"
    assert _fed(metric, targets, logits, weights) == pytest.approx(want, abs=1e-6)


@pytest.mark.parametrize("metric", [F1(name="own"), MacroF1(3), MatthewsCorrelation(5), LabelF1(4, "macro")])
def test_metrics_survive_their_config(metric):
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert type(again) is type(metric)
    assert again.get_config() == metric.get_config()


def test_correlations():
    random = np.random.default_rng(8)
    x = random.integers(0, 9, 57).astype("float32")  # with ties
    y = (x + random.normal(size=57) * 3).astype("float32")
    assert pearson(x, y) == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-9)
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-9)
    assert spearman(x, np.ones_like(x)) == 0
