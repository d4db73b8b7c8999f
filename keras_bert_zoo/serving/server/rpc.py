"""TensorFlow Serving's gRPC services, PredictionService and ModelService, with its own messages.

Source: tensorflow_serving/apis/prediction_service.proto and model_service.proto.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import grpc
import numpy as np
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    inference_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from keras_bert_zoo.errors import ConfigError, ZooError
from keras_bert_zoo.serving.interface import METHODS
from keras_bert_zoo.serving.rest_json import DEFAULT_SIGNATURE
from keras_bert_zoo.serving.server.examples import check_method, classes, serialized, values
from keras_bert_zoo.serving.server.loaded import Loaded
from keras_bert_zoo.serving.server.refusals import Refused
from keras_bert_zoo.serving.server.service import Asked, Service, Stopwatch
from keras_bert_zoo.serving.server.tensors import to_array, to_proto

_SIGNATURES = "signature_def"  # the only field of metadata there is


class _Predictions(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers Predict, Classify, Regress, MultiInference and GetModelMetadata."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def Predict(self, request: Any, context: Any) -> Any:
        async with _answering(self._service, "Predict", context) as watch:
            with self._service.models.using(*_asked(request.model_spec)) as loaded:
                watch.model = loaded.name
                name = request.model_spec.signature_name or DEFAULT_SIGNATURE
                kept = _filtered(loaded, name, request.output_filter)
                tensors = {key: to_array(key, proto) for key, proto in request.inputs.items()}
                outputs = await self._service.answer(loaded, name, tensors)
                answer = predict_pb2.PredictResponse(outputs={key: to_proto(outputs[key]) for key in kept})
                _name(answer.model_spec, loaded, name)
                return answer

    async def Classify(self, request: Any, context: Any) -> Any:
        async with _answering(self._service, "Classify", context) as watch:
            answer = classification_pb2.ClassificationResponse()
            answer.result.CopyFrom(await self._ask(request, "classify", answer.model_spec, watch))
            return answer

    async def Regress(self, request: Any, context: Any) -> Any:
        async with _answering(self._service, "Regress", context) as watch:
            answer = regression_pb2.RegressionResponse()
            answer.result.CopyFrom(await self._ask(request, "regress", answer.model_spec, watch))
            return answer

    async def MultiInference(self, request: Any, context: Any) -> Any:
        async with _answering(self._service, "MultiInference", context) as watch:
            methods = {method: name for name, method in METHODS.items()}
            asked = {(task.model_spec.name, task.model_spec.signature_name) for task in request.tasks}
            if not all(name for name, _ in asked):
                raise Refused("INVALID_ARGUMENT", "Found ModelSpec with an empty model name.")
            if len({name for name, _ in asked}) > 1:
                raise Refused("INVALID_ARGUMENT", "All ModelSpecs in a request must access the same model name.")
            if len(asked) < len(request.tasks):
                raise Refused("INVALID_ARGUMENT", "Duplicate evaluation of a signature.")
            answer = inference_pb2.MultiInferenceResponse()
            for task in request.tasks:
                if task.method_name not in methods:
                    raise Refused("UNIMPLEMENTED", f"Unsupported signature method_name: {task.method_name}")
                method, result = methods[task.method_name], answer.results.add()
                found = await self._ask(_Task(task.model_spec, request.input), method, result.model_spec, watch)
                kind = result.classification_result if method == "classify" else result.regression_result
                kind.CopyFrom(found)
            return answer

    async def GetModelMetadata(self, request: Any, context: Any) -> Any:
        async with _answering(self._service, "GetModelMetadata", context) as watch:
            if not request.metadata_field:
                raise Refused("INVALID_ARGUMENT", "GetModelMetadataRequest must specify at least one metadata_field")
            for field in request.metadata_field:
                if field != _SIGNATURES:
                    raise Refused("INVALID_ARGUMENT", f"Metadata field {field[:100]} is not supported")
            loaded, signatures = self._service.metadata(_asked(request.model_spec))
            watch.model = loaded.name
            answer = get_model_metadata_pb2.GetModelMetadataResponse()
            _name(answer.model_spec, loaded, "")
            answer.metadata[_SIGNATURES].Pack(signatures)
            return answer

    async def _ask(self, request: Any, method: str, told: Any, watch: Stopwatch) -> Any:
        """Return the result of examples, and tell in `told` which model has given it."""
        name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        with self._service.models.using(*_asked(request.model_spec)) as loaded:
            watch.model = loaded.name
            signature = loaded.signature(name)
            check_method(name, signature, method)
            (column,) = signature.inputs
            examples = np.array(serialized(request.input), object)
            outputs = await self._service.answer(loaded, name, {column: examples})
            _name(told, loaded, name)
            return classes(outputs) if method == "classify" else values(outputs)


class _Task(NamedTuple):
    """A task of several on the same input."""

    model_spec: Any
    input: Any


class _Models(model_service_pb2_grpc.ModelServiceServicer):
    """Answers GetModelStatus.  A new configuration would name folders, and those the server's owner alone chooses."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def GetModelStatus(self, request: Any, context: Any) -> Any:
        async with _answering(self._service, "GetModelStatus", context):
            return self._service.statuses(_asked(request.model_spec))

    async def HandleReloadConfigRequest(self, request: Any, context: Any) -> Any:
        async with _answering(self._service, "HandleReloadConfigRequest", context):
            raise Refused("UNIMPLEMENTED", "This server's folders and labels are those it was started with.")


@asynccontextmanager
async def _answering(service: Service, method: str, context: Any) -> AsyncIterator[Stopwatch]:
    """Measure a call, end it in time, and tell why it is refused."""
    with Stopwatch(service.metrics, method, "GRPC") as watch:
        try:
            async with asyncio.timeout(service.limits.timeout):
                yield watch
            return
        except TimeoutError:
            watch.status, message = "DEADLINE_EXCEEDED", f"Timed out: {service.limits.timeout:g} seconds are over."
        except Refused as error:
            watch.status, message = error.code, str(error)
        except ZooError as error:
            watch.status, message = "INVALID_ARGUMENT", str(error)
        except asyncio.CancelledError:
            watch.status = "CANCELLED"
            raise
    await context.abort(grpc.StatusCode[watch.status], message)


def build_rpc(service: Service, host: str, port: int) -> tuple[grpc.aio.Server, int]:
    """Return a gRPC server, not begun yet, and its port.  Raises: ConfigError where the address cannot be had."""
    limits = service.limits
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", limits.body),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_metadata_size", 64 * 1024),
            ("grpc.so_reuseport", 0),  # a second server must not take every other request
            ("grpc.server_handshake_timeout_ms", int(limits.patience * 1000)),
            ("grpc.max_connection_idle_ms", int(max(limits.idle, 1) * 1000)),
            ("grpc.max_concurrent_streams", limits.waiting),
        ]
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Predictions(service), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_Models(service), server)
    try:
        bound = server.add_insecure_port(f"{host}:{port}")
    except RuntimeError as error:
        raise ConfigError(
            f"{host}:{port} cannot be listened on for gRPC: {error}. Choose another port (--grpc-port)."
        ) from error
    return server, bound


def _asked(spec: Any) -> Asked:
    kind = spec.WhichOneof("version_choice")
    version = spec.version.value if kind == "version" else None
    return Asked(spec.name, version, spec.version_label if kind == "version_label" else None)


def _name(spec: Any, loaded: Loaded, signature: str) -> None:
    spec.name, spec.version.value, spec.signature_name = loaded.name, loaded.version, signature


def _filtered(loaded: Loaded, name: str, wanted: Any) -> list[str]:
    """Return the names of the outputs to give.  Raises: Refused on a name that is none, or that comes twice."""
    if name not in loaded.signatures:  # TensorFlow Serving has another code for this here than elsewhere
        raise Refused("FAILED_PRECONDITION", f'Serving signature key "{name[:100]}" not found.')
    outputs = loaded.signature(name).outputs
    for output in wanted:
        if output not in outputs:
            expected = ",".join(sorted(outputs))
            raise Refused(
                "INVALID_ARGUMENT",
                f"output tensor alias not found in signature: {output[:100]}"
                f" Outputs expected to be in the set {{{expected}}}.",
            )
    if len(set(wanted)) < len(wanted):
        raise Refused("INVALID_ARGUMENT", "duplicate output tensor alias")
    return list(wanted) or list(outputs)
