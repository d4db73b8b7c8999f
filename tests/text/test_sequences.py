"""Sequences put into rows, against a loop in plain Python; what is kept, refused, and told before it runs."""

import numpy as np
import pytest
import sequences_oracle as oracle
import tensorflow as tf

from keras_bert_zoo.errors import ConfigError, DataError
from keras_bert_zoo.text.sequences import FEATURES, pack_sequences


@pytest.fixture(scope="module")
def pack():
    """Return `pack_sequences` in a graph that takes any batch, by its options."""
    graphs = {}

    def run(features, targets, length, **options):
        key = (length, tuple(options.items()))
        if key not in graphs:
            specs = (
                {name: tf.TensorSpec([None, None], tf.int32) for name in features},
                {"masked_lm": tf.TensorSpec([None, None, 2]), "next_sentence": tf.TensorSpec([None], tf.int64)},
            )
            graphs[key] = tf.function(lambda f, t: pack_sequences(f, t, length, **options), input_signature=specs)
        return graphs[key](features, targets)

    return run


def compare(got, want):
    for ours, theirs in zip(got, want, strict=True):
        assert set(ours) == set(theirs)
        for name, values in theirs.items():
            assert ours[name].dtype == values.dtype
            np.testing.assert_array_equal(ours[name], values, err_msg=name)


@pytest.mark.parametrize("options", [{"sequences": 3}, {"sequences": 11, "predictions": 7}], ids=["rows", "places"])
def test_as_a_loop_over_sequences_and_rows(pack, options):
    random = np.random.default_rng(1)
    fullest = 0
    for trial in range(40):
        lengths = random.integers(0, random.choice([3, 9, 18]), random.integers(0, 60)).tolist()
        features, targets = oracle.batch(lengths, time=17 + trial % 2, seed=trial)
        asks = (targets["masked_lm"][..., 1] != 0).sum(1)
        rows = oracle.first_fit_decreasing(lengths, asks, 17, options["sequences"], options.get("predictions"))
        got = pack(features, targets, 17, **options)
        compare(got, oracle.packed(features, targets, rows, 17, **options))
        fullest = max(fullest, int(tf.reduce_max(tf.concat([[0], tf.reshape(got[0]["input_mask"], [-1])], axis=0))))
        assert sorted(i for row in rows for i in row) == [i for i, length in enumerate(lengths) if length]
    assert fullest == {3: 3, 11: 11}[options["sequences"]]


def test_rows_that_are_known_beforehand():
    features, targets = oracle.batch([5, 0, 2, 7, 1, 1, 3, 6])
    dataset = tf.data.Dataset.from_tensors((features, targets)).map(
        lambda f, t: pack_sequences(f, t, 13, sequences=4, predictions=9, rows=5)
    )
    specs = dataset.element_spec
    assert {name: spec.shape.as_list() for name, spec in specs[0].items()} == {
        **{name: [5, 13] for name in FEATURES},
        "masked_lm_positions": [5, 9],
    }
    assert specs[1]["masked_lm"].shape.as_list() == [5, 9, 2]
    assert specs[1]["next_sentence"].shape.as_list() == [5, 4]
    asks = (targets["masked_lm"][..., 1] != 0).sum(1)
    rows = oracle.first_fit_decreasing([5, 0, 2, 7, 1, 1, 3, 6], asks, 13, 4, 9)
    assert len(rows) < 5
    (got,) = dataset
    compare(got, oracle.packed(features, targets, rows, 13, 4, 9, height=5))
    assert not got[0]["input_mask"][-1].numpy().any()
    assert (got[1]["next_sentence"][-1] == -1).numpy().all()


def test_targets_of_masked_lm_alone():
    features, targets = oracle.batch([3, 6, 2, 2])
    whole, both = pack_sequences(features, targets, 8)
    alone, masked = pack_sequences(features, targets["masked_lm"], 8)
    compare((whole,), ({name: values.numpy() for name, values in alone.items()},))
    np.testing.assert_array_equal(both["masked_lm"], masked)
    assert both["next_sentence"].shape == (2, 8)


def test_no_sequence_at_all(pack):
    features, targets = oracle.batch([0, 0])
    for size in (0, 2):
        got = pack({k: v[:size] for k, v in features.items()}, {k: v[:size] for k, v in targets.items()}, 6)
        assert [x.shape[0] for x in tf.nest.flatten(got)] == [0] * 6
    rows, follows = pack_sequences(features, targets, 6, rows=3)
    assert rows["input_mask"].numpy().tolist() == [[0] * 6] * 3
    assert follows["next_sentence"].shape == (3, 8)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"length": 6}, "A sequence has more tokens than a row, 6. Raise length"),
        ({"length": 9, "predictions": 2}, "A sequence has more places asked about than a row, 2. Raise predictions"),
        ({"length": 9, "rows": 2}, "The batch does not fit into 2 rows. Raise rows, or hand in fewer"),
    ],
)
def test_what_does_not_fit(options, told):
    features, targets = oracle.batch([7, 7, 7])
    targets["masked_lm"][1] = [[9, 1]] * 3 + [[0, 0]]
    with pytest.raises(tf.errors.InvalidArgumentError, match=told):
        pack_sequences(features, targets, **options)
    dataset = tf.data.Dataset.from_tensors((features, targets)).map(lambda f, t: pack_sequences(f, t, **options))
    with pytest.raises(tf.errors.InvalidArgumentError, match=told):
        list(dataset)


def test_what_cannot_be_packed():
    features, targets = oracle.batch([3, 2])
    for name in ("length", "rows", "predictions"):
        with pytest.raises(ConfigError, match=f"{name} is 0, it must be at least 1"):
            pack_sequences(features, targets, **{"length": 5, name: 0})
    with pytest.raises(ConfigError, match="sequences is 1, packing puts 2 or more into a row"):
        pack_sequences(features, targets, 5, sequences=1)
    with pytest.raises(DataError, match=r"packs the features input_word_ids, .*; it got input_word_ids"):
        pack_sequences({"input_word_ids": features["input_word_ids"]}, targets, 5)
    with pytest.raises(DataError, match=r"it got .*owner"):
        pack_sequences({**features, "owner": targets["next_sentence"]}, targets, 5)
    with pytest.raises(DataError, match="packs the targets masked_lm and next_sentence; it got masked_lm"):
        pack_sequences(features, {"masked_lm": targets["masked_lm"]}, 5)
