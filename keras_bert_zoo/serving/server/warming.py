"""Replays the requests that came with a version, so that the first user is not the slow one.

Source: tensorflow.org/tfx/serving/saved_model_warmup.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from keras_bert_zoo.serving.rest_json import DEFAULT_SIGNATURE
from keras_bert_zoo.serving.server.examples import serialized
from keras_bert_zoo.serving.server.loaded import Loaded, check_tensors
from keras_bert_zoo.serving.server.tensors import to_array
from keras_bert_zoo.serving.warmup import WARMUP_FILE

_MOST = 1000  # TensorFlow Serving refuses more


def replay(loaded: Loaded) -> int:
    """Ask a version its own warm-up requests and return how many there were.

    Raises: Refused where it cannot answer one, and what TensorFlow raises for a file that is none.
    """
    path = loaded.folder / WARMUP_FILE
    if not path.exists():
        return 0
    asked = 0
    for record in tf.data.TFRecordDataset(str(path)).take(_MOST).as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog.FromString(record)
        kind = log.WhichOneof("log_type")
        if kind not in ("predict_log", "classify_log", "regress_log"):
            continue
        request = getattr(log, kind).request
        name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        signature = loaded.signature(name)
        if kind == "predict_log":
            tensors = {key: to_array(key, proto) for key, proto in request.inputs.items()}
        else:
            (column,) = signature.inputs
            tensors = {column: np.array(serialized(request.input), object)}
        check_tensors(signature, tensors, most_rows=np.iinfo(int).max)
        loaded.run(name, tensors)
        asked += 1
    return asked
