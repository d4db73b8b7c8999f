"""Requests a server replays before it answers anyone, so that the first user is not the slow one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

if TYPE_CHECKING:
    from keras_bert_zoo.heads.head import Head

WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"
# short and long texts, one and several a request
_TEXTS = (["A short text."], ["A text of some words, neither short nor long."] * 8, ["long " * 400])

_CHOICES = 2  # in a column of lists


def write_warmup(head: Head, model_name: str, version_folder: Path) -> Path:
    """Write warm-up requests (TFRecord of PredictionLog) for `serving_default` into a version's folder.

    Source: TensorFlow Serving, "SavedModel Warmup".
    """
    path = version_folder / WARMUP_FILE
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for texts in _TEXTS:
            request = predict_pb2.PredictRequest()
            request.model_spec.name = model_name
            request.model_spec.signature_name = "serving_default"
            for column in head.columns:
                values = [[text] * _CHOICES for text in texts] if head.ranks.get(column, 1) == 2 else texts
                request.inputs[column].CopyFrom(tf.make_tensor_proto(values, tf.string))
            log = prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
            writer.write(log.SerializeToString())
    return path
