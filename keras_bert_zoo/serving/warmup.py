"""Requests a server replays before it answers anyone, so that the first user is not the slow one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    input_pb2,
    model_pb2,
    predict_pb2,
    prediction_log_pb2,
    regression_pb2,
)

if TYPE_CHECKING:
    from keras_bert_zoo.heads.head import Head
    from keras_bert_zoo.text.tokenizer import Tokenizer

WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"
# short and long texts, one and several a request
_TEXTS = (["A short text."], ["A text of some words, neither short nor long."] * 8, ["long " * 400])

_CHOICES = 2  # in a column of lists


def write_warmup(
    signatures: Iterable[str],
    head: Head,
    tokenizer: Tokenizer,
    max_length: int,
    model_name: str,
    version_folder: Path,
) -> Path:
    """Write warm-up requests (TFRecord of PredictionLog) for every signature into a version's folder.

    Source: TensorFlow Serving, "SavedModel Warmup": at most 1,000 records.
    """
    path = version_folder / WARMUP_FILE
    path.parent.mkdir(exist_ok=True)
    pack = head.pack(tokenizer, max_length)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for texts in _TEXTS:
            columns: dict[str, list[Any]] = {
                name: [[text] * _CHOICES for text in texts] if head.ranks.get(name, 1) == 2 else texts
                for name in head.columns
            }
            features, _ = pack({name: tf.constant(values) for name, values in columns.items()})
            ids = {name: features[name] for name in head.inputs}
            for signature in signatures:
                spec = model_pb2.ModelSpec(name=model_name, signature_name=signature)
                writer.write(_log(spec, columns, ids).SerializeToString())
    return path


def _log(
    spec: model_pb2.ModelSpec, columns: Mapping[str, list[Any]], ids: Mapping[str, Any]
) -> prediction_log_pb2.PredictionLog:
    """Return one request of the signature that `spec` names, for columns or the model's own inputs."""
    log = prediction_log_pb2.PredictionLog
    examples = list(serving_examples(columns))
    given = input_pb2.Input(example_list=input_pb2.ExampleList(examples=examples))
    if spec.signature_name == "classify":
        classify = classification_pb2.ClassificationRequest(model_spec=spec, input=given)
        return log(classify_log=prediction_log_pb2.ClassifyLog(request=classify))
    if spec.signature_name == "regress":
        regress = regression_pb2.RegressionRequest(model_spec=spec, input=given)
        return log(regress_log=prediction_log_pb2.RegressLog(request=regress))
    inputs: Mapping[str, Any] = columns
    if spec.signature_name == "tokenized":
        inputs = ids
    elif spec.signature_name == "examples":
        inputs = {"examples": [example.SerializeToString() for example in examples]}
    request = predict_pb2.PredictRequest(model_spec=spec)
    for name, values in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
    return log(predict_log=prediction_log_pb2.PredictLog(request=request))


def serving_examples(columns: Mapping[str, list[Any]]) -> Iterator[tf.train.Example]:
    """Yield each row of columns of texts, or of lists of them, as the example that an export's `examples` takes."""
    for row in zip(*columns.values(), strict=True):
        yield serving_example(dict(zip(columns, row, strict=True)))


def serving_example(row: Mapping[str, Any]) -> tf.train.Example:
    """Return a row, texts or lists of them by name, be they `str` or `bytes`, as one such example."""
    features = {}
    for name, cell in row.items():
        cells = cell if isinstance(cell, (list, tuple)) else [cell]
        texts = [text.encode() if isinstance(text, str) else text for text in cells]
        features[name] = tf.train.Feature(bytes_list=tf.train.BytesList(value=texts))
    return tf.train.Example(features=tf.train.Features(feature=features))
