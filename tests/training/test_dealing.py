"""Rows dealt to replicas, against slices in NumPy, and what cannot be dealt."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tiny

import keras_bert_zoo as kbz
from keras_bert_zoo.errors import ConfigError, DataError
from keras_bert_zoo.training import dealing, steps


@pytest.mark.parametrize("rows", [11, 9, 2, 0])
@pytest.mark.parametrize("fixed", [True, False])
def test_every_row_goes_to_one_replica_in_its_order(rows, fixed):
    values = np.arange(rows * 3).reshape(rows, 3).astype("int32")
    spec = tf.TensorSpec([rows if fixed else None, 3], tf.int32)
    cut = tf.function(
        lambda x, r: dealing.share({"x": x}, r, 3)["x"], input_signature=[spec, tf.TensorSpec([], "int64")]
    )
    parts = [cut(values, r).numpy() for r in range(3)]
    np.testing.assert_array_equal(np.concatenate(parts), values)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    known = cut.get_concrete_function().structured_outputs.shape[0]
    assert known == (rows // 3 if fixed and rows % 3 == 0 else None)


class _Three:
    """A strategy of three replicas in one process, as far as dealing asks."""

    num_replicas_in_sync = 3

    def distribute_datasets_from_function(self, function):
        return function(tf.distribute.InputContext(num_input_pipelines=1, input_pipeline_id=0, num_replicas_in_sync=3))


class _SecondOfThree(_Three):
    def distribute_datasets_from_function(self, function):
        return function(tf.distribute.InputContext(num_input_pipelines=3, input_pipeline_id=1, num_replicas_in_sync=3))


def test_batches_follow_one_another_replica_by_replica():
    rows = tf.data.Dataset.range(8).map(lambda i: ({"a": i}, -i)).batch(5)
    dealt = [features["a"].numpy().tolist() for features, _ in dealing.deal(_Three(), rows)]
    assert dealt == [[0], [1, 2], [3, 4], [5], [6], [7]]
    own = [targets.numpy().tolist() for _, targets in dealing.deal(_SecondOfThree(), rows)]
    assert own == [[-1, -2], [-6]]


def test_arrays_are_cut_into_batches_and_shuffled_alike_everywhere():
    x, y, weight = np.arange(7), np.arange(7) * 10, np.ones(7)
    passes = []
    for _ in range(2):
        data = dealing.data(_SecondOfThree(), x, y, weight, 4, shuffle=True)
        passes.append([[part.numpy().tolist() for part in batch] for _ in range(2) for batch in data])
    assert passes[0] == passes[1]
    first, second, third, fourth = (batch[0] for batch in passes[0])
    assert (first, second) != (third, fourth)  # another order in the second epoch
    assert all(batch[1] == [10 * i for i in batch[0]] for batch in passes[0])


def test_class_weights_are_put_into_the_data():
    rows = tf.data.Dataset.from_tensor_slices((np.arange(4), np.array([1, 0, 2, 1]))).batch(4)
    ((_, _, weights),) = dealing.data(tf.distribute.get_strategy(), rows, class_weight={0: 0.5, 2: 3.0})
    np.testing.assert_allclose(weights, [1, 0.5, 3, 1])


def test_a_fit_on_arrays_with_a_share_held_out():
    options = {"x": np.arange(10), "y": np.arange(10), "sample_weight": None, "batch_size": 4, "shuffle": False}
    options |= {"class_weight": None, "validation_split": 0.3, "validation_data": None, "validation_batch_size": None}
    told = dealing.for_fit(tf.distribute.get_strategy(), options)
    assert [batch[0].numpy().tolist() for batch in told["x"]] == [[0, 1, 2, 3], [4, 5, 6]]
    assert [batch[0].numpy().tolist() for batch in told["validation_data"]] == [[7, 8, 9]]
    with pytest.raises(ConfigError, match="validation_split takes arrays, and no validation_data beside them"):
        dealing.for_fit(tf.distribute.get_strategy(), {**options, "x": tf.data.Dataset.range(3)})


def test_what_cannot_be_dealt():
    with pytest.raises(ConfigError, match="a generator cannot be dealt: want a tf"):
        dealing.data(_Three(), (row for row in [1]))
    with pytest.raises(DataError, match="a tensor without rows"):
        dealing.deal(_Three(), tf.data.Dataset.range(3))
    with pytest.raises(DataError, match="data of one target without weights of their own"):
        dealing.data(_Three(), tf.data.Dataset.from_tensors(([1], [0], [2.0])), class_weight={0: 1.0})
    place = tf.distribute.MirroredStrategy(["CPU:0"])
    dealt = place.experimental_distribute_dataset(tf.data.Dataset.range(4).batch(2))
    assert dealing.data(place, dealt) is dealt
    with pytest.raises(ConfigError, match="the data are distributed already"):
        dealing.data(place, dealt, class_weight={0: 1.0})


# ---- parts of a batch


@pytest.fixture(scope="module")
def model():
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "num_hidden_layers": 1}
    return tiny.bundle(
        kbz.heads.Classification(["bad", "good"], dropout=0.0), config=tiny.CONFIG.replace(**still)
    ).model


def test_parts_that_cannot_be(model):
    with pytest.raises(ConfigError, match="gradient_accumulation is 0, it must be at least 1"):
        model.compile("adam", "mse", gradient_accumulation=0)
    with pytest.raises(ConfigError, match="Both the model and its optimizer accumulate gradients"):
        model.compile(keras.optimizers.Adam(gradient_accumulation_steps=2), "mse", gradient_accumulation=2)
    ranking = kbz.heads.SentenceEmbedding()
    with pytest.raises(ConfigError, match="compares every row with the whole batch"):
        tiny.bundle(ranking).model.compile("adam", ranking.loss(), gradient_accumulation=2)


def test_losses_that_cannot_be_put_together(model):
    ids = tf.ones([4, 3], tf.int32)
    x = {"input_word_ids": ids, "input_mask": ids, "input_type_ids": ids}
    rows = tf.data.Dataset.from_tensors((x, tf.ones(4)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
    model.compile("adam", loss, gradient_accumulation=2)
    with pytest.raises(ConfigError, match="the reduction 'mean_with_sample_weight' cannot be put together"):
        model.fit(rows, verbose=0)
    both = tiny.bundle(kbz.heads.Pretraining(), config=tiny.CONFIG.replace(num_hidden_layers=1)).model
    both.compile("adam", ["mse", "mse"], gradient_accumulation=2)
    with pytest.raises(ConfigError, match="bert_pretraining: several losses and their targets must be dicts"):
        steps.test_step(both, ({**x, "masked_lm_positions": ids}, [tf.ones([4, 3, 99]), tf.ones([4, 2])]))


@pytest.mark.parametrize("loss", ["sum", "sum_over_batch_size", "function"])
def test_every_reduction_gives_the_batchs_loss(model, loss):
    def ours(y_true, y_pred):
        return keras.losses.sparse_categorical_crossentropy(y_true, y_pred, from_logits=True)

    kind = (
        [ours] if loss == "function" else keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=loss)
    )
    ids = tf.constant([[2, 5, 3], [2, 6, 3], [2, 7, 3], [2, 8, 3], [2, 9, 3]])
    x = {"input_word_ids": ids, "input_mask": tf.ones_like(ids), "input_type_ids": tf.zeros_like(ids)}
    y, weight = tf.constant([0, 1, 1, 0, 1]), tf.constant([1.0, 2, 0.5, 3, 1])
    told, before = [], model.get_weights()
    for parts in (1, 3):
        model.set_weights(before)
        model.compile(keras.optimizers.SGD(0.1), kind, gradient_accumulation=parts)
        assert steps.is_shared(model) == (parts > 1)
        told.append((model.train_on_batch(x, y, weight), model.get_weights()))
    model.set_weights(before)
    assert told[1][0] == pytest.approx(told[0][0], rel=1e-6)
    for got, want in zip(told[1][1], told[0][1], strict=True):
        np.testing.assert_allclose(got, want, atol=1e-6)
    assert np.abs(told[0][1][0] - before[0]).max() > 1e-4


@pytest.mark.slow
def test_parts_under_xla(model):
    ids = tf.constant([[2, 5, 3], [2, 6, 3], [2, 7, 3], [2, 8, 3], [2, 9, 3]])
    x = {"input_word_ids": ids, "input_mask": tf.ones_like(ids), "input_type_ids": tf.zeros_like(ids)}
    before, told = model.get_weights(), []
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    for jit_compile in (False, True):
        model.set_weights(before)
        model.compile(keras.optimizers.SGD(0.1), loss, gradient_accumulation=2, jit_compile=jit_compile)
        told.append((model.train_on_batch(x, tf.constant([0, 1, 1, 0, 1])), model.get_weights()))
    assert told[1][0] == pytest.approx(told[0][0], rel=1e-5)
    for got, want in zip(told[1][1], told[0][1], strict=True):
        np.testing.assert_allclose(got, want, atol=1e-5)
