"""TensorFlow Serving's gRPC API, asked.  B rows.  TensorFlow itself makes and reads its tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from keras_bert_zoo.errors import ServingError
from keras_bert_zoo.serving.interface import Metadata, Place, Score, Signature, Tensor, VersionStatus, is_loopback
from keras_bert_zoo.serving.json_values import numpy_name
from keras_bert_zoo.serving.retries import Unavailable
from keras_bert_zoo.serving.warmup import serving_example

_STATES = get_model_status_pb2.ModelVersionStatus.State


class Grpc:
    """One server's gRPC API.  May be used by several threads."""

    def __init__(self, where: Place, *, timeout: float, headers: Mapping[str, str]) -> None:
        self._where, self._timeout = where, timeout
        self._headers = [(name.lower(), value) for name, value in headers.items()]
        options = [
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
            ("grpc.enable_retries", 0),  # `persist` asks again
            ("grpc.enable_http_proxy", 0 if is_loopback(where) else 1),
        ]
        if where.scheme == "grpcs":
            self._channel = grpc.secure_channel(where.host, grpc.ssl_channel_credentials(), options)
        else:
            self._channel = grpc.insecure_channel(where.host, options)
        self._predictions = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)

    def metadata(self) -> Metadata:
        """Return the version that is meant and its signatures."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=self._spec(), metadata_field=["signature_def"]
        )
        told = self._ask(self._predictions.GetModelMetadata, request)
        found = get_model_metadata_pb2.SignatureDefMap()
        told.metadata["signature_def"].Unpack(found)
        return Metadata(
            told.model_spec.version.value,
            {
                name: Signature(
                    name, each.method_name.rpartition("/")[2], _tensors(each.inputs), _tensors(each.outputs)
                )
                for name, each in found.signature_def.items()
            },
        )

    def status(self) -> list[VersionStatus]:
        """Return the state of every version."""
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=self._spec())
        told = self._ask(self._models.GetModelStatus, request).model_version_status
        versions = [VersionStatus(each.version, _STATES.Name(each.state), each.status.error_message) for each in told]
        return sorted(versions, reverse=True)

    def predict(self, signature: Signature, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs of a signature, as arrays of its dtypes."""
        request = predict_pb2.PredictRequest(model_spec=self._spec(signature.name))
        for name, values in inputs.items():
            dtype = tf.dtypes.as_dtype(signature.inputs[name].dtype)
            request.inputs[name].CopyFrom(tf.make_tensor_proto(values, dtype, shape=values.shape))
        outputs = self._ask(self._predictions.Predict, request).outputs
        if set(outputs) != set(signature.outputs):
            raise ServingError(f"{self._where}: the answer lacks {', '.join(signature.outputs)}.", "OK")
        return {name: tf.make_ndarray(each) for name, each in outputs.items()}

    def classify(self, signature: str, examples: Sequence[Mapping[str, Any]]) -> list[list[Score]]:
        """Return each example's classes and their scores."""
        request = classification_pb2.ClassificationRequest(model_spec=self._spec(signature))
        request.input.example_list.examples.extend(map(serving_example, examples))
        rows = self._ask(self._predictions.Classify, request).result.classifications
        self._check_count(len(rows), len(examples))
        return [[Score(each.label, each.score) for each in row.classes] for row in rows]

    def regress(self, signature: str, examples: Sequence[Mapping[str, Any]]) -> list[float]:
        """Return each example's value."""
        request = regression_pb2.RegressionRequest(model_spec=self._spec(signature))
        request.input.example_list.examples.extend(map(serving_example, examples))
        rows = self._ask(self._predictions.Regress, request).result.regressions
        self._check_count(len(rows), len(examples))
        return [row.value for row in rows]

    def close(self) -> None:
        """Close the connections."""
        self._channel.close()

    def _check_count(self, got: int, want: int) -> None:
        if got != want:
            raise ServingError(f"{self._where}: the answer has {got} results, not {want}.", "OK")

    def _spec(self, signature: str = "") -> model_pb2.ModelSpec:
        where = self._where
        spec = model_pb2.ModelSpec(name=where.model, signature_name=signature)
        if where.version is not None:
            spec.version.value = where.version
        elif where.label is not None:
            spec.version_label = where.label
        return spec

    def _ask(self, call: Callable[..., Any], request: Any) -> Any:
        """Make one call.  Raises: ServingError naming URL and code."""
        try:
            return call(request, timeout=self._timeout, metadata=self._headers)
        except grpc.RpcError as error:
            code, words = error.code(), error.details()
        message = f"{self._where}: status {code.name}: {words}"
        if code == grpc.StatusCode.UNAVAILABLE:
            raise Unavailable(message, code.name)
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            message = (
                f"{self._where}: no answer within {self._timeout:g} s. Ask for fewer rows at a time, or wait longer"
                " (timeout)."
            )
        raise ServingError(message, code.name)


def _tensors(told: Mapping[str, Any]) -> dict[str, Tensor]:
    return {
        name: Tensor(
            numpy_name(types_pb2.DataType.Name(each.dtype)),
            tuple(None if dim.size < 0 else dim.size for dim in each.tensor_shape.dim),
        )
        for name, each in told.items()
    }
