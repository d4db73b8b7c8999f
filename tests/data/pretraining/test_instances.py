"""The vectorised writer of `tf.train.Example`, byte for byte against protobuf and TensorFlow."""

import numpy as np
import pytest
import tensorflow as tf

from keras_bert_zoo.data.pretraining.examples import ExampleWriter, Feature, features_of


def oracle(features, values, folder):
    """Return what TensorFlow writes for the same values."""
    path = str(folder / "oracle.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        for row in range(len(next(iter(values.values())))):
            example = {}
            for name, count, largest in features:
                value = values[name][row].reshape(count).tolist()
                if largest is None:
                    example[name] = tf.train.Feature(float_list=tf.train.FloatList(value=value))
                else:
                    example[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=value))
            whole = tf.train.Example(features=tf.train.Features(feature=example))
            writer.write(whole.SerializeToString(deterministic=True))
    with open(path, "rb") as file:
        return file.read()


def drawn(features, count, seed):
    """Return values of every width in bytes that each feature can have."""
    rng = np.random.default_rng(seed)
    values = {}
    for name, width, largest in features:
        if largest is None:
            values[name] = rng.random((count, width)).astype(np.float32)
        else:
            bits = rng.integers(0, largest.bit_length() + 1, (count, width))
            values[name] = np.minimum(rng.integers(0, 2**62, (count, width)) >> (62 - bits), largest)
            values[name][0] = largest
            values[name][1] = 0
    return values


@pytest.mark.parametrize(
    ("kind", "names", "length", "places", "vocabulary"),
    [
        ("masked", "google", 7, 2, 99),
        ("masked", "model_garden", 128, 20, 30_522),
        ("masked", "google", 512, 76, 119_547),
        ("ids", "google", 41, 5, 2_097_153),
        ("ids", "model_garden", 130, 3, 129),
    ],
)
def test_the_bytes_are_tensorflow_s(kind, names, length, places, vocabulary, tmp_path):
    features = features_of(kind, names, length, places, vocabulary)
    values = drawn(features, 23, seed=length)
    writer = ExampleWriter(features, 29)
    assert writer.records(values).tobytes() == oracle(features, values, tmp_path)
    # The grid is used again: fewer rows and other lengths leave nothing of those before.
    fewer = drawn(features, 5, seed=length + 1)
    assert writer.records(fewer).tobytes() == oracle(features, fewer, tmp_path)


@pytest.mark.parametrize("edge", [2**7, 2**14, 2**21, 2**28, 2**31, 2**35])
def test_around_every_length_of_a_number(edge, tmp_path):
    features = [Feature("a_name", 3, edge), Feature("b" * 127, 1, 1)]
    values = {"a_name": np.array([[edge - 1, edge, 0], [1, edge - 1, edge - 2]]), "b" * 127: np.array([[1], [0]])}
    assert ExampleWriter(features, 2).records(values).tobytes() == oracle(features, values, tmp_path)


@pytest.mark.parametrize("count", [15, 16, 17, 115, 116, 117, 123, 127, 128, 16_370, 16_384])
def test_around_every_length_of_a_length(count, tmp_path):
    """The list, its feature, the map's entry and the whole each pass 127 and 16,383 at another count."""
    features = [Feature("name", count, 1), Feature("weights", 2, None)]
    values = {"name": np.ones((2, count), np.int64), "weights": np.array([[0.5, -1], [0, 1e-9]], np.float32)}
    assert ExampleWriter(features, 2).records(values).tobytes() == oracle(features, values, tmp_path)
    for rest in range(1, 9):  # ones of two bytes among those of one
        features = [Feature("name", 112, 200)]
        values = {"name": np.repeat([[1] * (112 - rest) + [200] * rest], 2, axis=0)}
        assert ExampleWriter(features, 2).records(values).tobytes() == oracle(features, values, tmp_path)


def test_the_features_of_a_record():
    masked = [(name, count) for name, count, _ in features_of("masked", "google", 7, 3, 99)]
    assert masked == [
        ("input_ids", 7),
        ("input_mask", 7),
        ("masked_lm_ids", 3),
        ("masked_lm_positions", 3),
        ("masked_lm_weights", 3),
        ("next_sentence_labels", 1),
        ("segment_ids", 7),
    ]
    plain = [(name, count) for name, count, _ in features_of("ids", "model_garden", 7, 3, 99)]
    assert plain == [("input_mask", 7), ("input_type_ids", 7), ("input_word_ids", 7), ("next_sentence_labels", 1)]
