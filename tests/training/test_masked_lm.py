"""Masked-LM loss and metrics against Google's formulas, written in NumPy."""

import language_oracle as oracle
import numpy as np
import pytest
import tensorflow as tf

from keras_bert_zoo.training.masked_lm import MaskedLMAccuracy, MaskedLMLoss, Perplexity

B, M, V = 5, 4, 31


def batch(seed=1):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (B, M, V)).astype("float32")
    ids = np.where(rng.random((B, M)) < 0.4, logits.argmax(-1), rng.integers(0, V, (B, M)))
    weights = rng.choice([0, 1, 0.5], (B, M)).astype("float32")
    return logits, ids, weights, np.stack([ids, weights], -1).astype("float32")


def test_loss():
    logits, ids, weights, targets = batch()
    assert float(MaskedLMLoss()(targets, logits)) == pytest.approx(
        oracle.masked_lm_loss(logits, ids, weights), rel=1e-6
    )
    assert float(MaskedLMLoss()(targets * [1, 0], logits)) == 0
    assert float(MaskedLMLoss()(targets[:, :0], logits[:, :0])) == 0
    one = targets[:1, :1] * [1, 0] + [0, 1e-5]  # so little weight that the divisor's 1e-5 shows
    assert float(MaskedLMLoss()(one, logits[:1, :1])) == pytest.approx(
        oracle.cross_entropy(logits, ids)[0, 0] / 2, rel=1e-5
    )


def test_metrics_count_every_place_of_every_batch_alike():
    first, second = batch(2), batch(3)
    second = tuple(values[:2, :3] for values in second)
    accuracy, perplexity = MaskedLMAccuracy(), Perplexity()
    right = loss = count = 0
    for logits, ids, weights, targets in (first, second):
        accuracy.update_state(targets, logits)
        perplexity.update_state(targets, logits)
        right += (weights * (logits.argmax(-1) == ids)).sum()
        loss += (weights * oracle.cross_entropy(logits, ids)).sum()
        count += weights.sum()
    assert float(accuracy.result()) == pytest.approx(right / count, rel=1e-6)
    assert 0.2 < right / count < 0.8
    assert float(perplexity.result()) == pytest.approx(np.exp(loss / count), rel=1e-5)


@pytest.mark.parametrize("far", [0, 1e4], ids=["near", "exp would overflow"])
def test_gradient(far):
    logits, ids, weights, targets = batch(4)
    logits[2, 1] += far
    z = tf.Variable(logits)
    with tf.GradientTape() as tape:
        loss = MaskedLMLoss()(targets, z)
    shares = np.exp(logits - logits.max(-1, keepdims=True).astype("float64"))
    shares /= shares.sum(-1, keepdims=True)
    shares[np.arange(B)[:, None], np.arange(M), ids] -= 1
    np.testing.assert_allclose(
        tape.gradient(loss, z), shares * (weights / (weights.sum() + 1e-5))[..., None], rtol=1e-5, atol=1e-8
    )


def test_of_equal_logits_the_first_is_the_best():
    accuracy = MaskedLMAccuracy()
    accuracy.update_state(np.float32([[[1, 1], [2, 1]]]), np.float32([[[0, 7, 7], [0, 7, 7]]]))
    assert float(accuracy.result()) == 0.5
