"""What both protocols ask of the models: answers, states and descriptions."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from tensorflow.core.protobuf import error_codes_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from keras_bert_zoo.serving.server.batching import Batcher
from keras_bert_zoo.serving.server.limits import Limits
from keras_bert_zoo.serving.server.loaded import Loaded, check_tensors
from keras_bert_zoo.serving.server.metrics import Metrics
from keras_bert_zoo.serving.server.models import Models


class Asked(NamedTuple):
    """Which model a request asks: its name, and a version or a label where it says so."""

    name: str
    version: int | None = None
    label: str | None = None


class Service:
    """The models, the batcher and the metrics of one server; `draining` once it is to stop."""

    def __init__(self, models: Models, limits: Limits) -> None:
        self.models, self.limits = models, limits
        self.metrics = Metrics()
        self.batcher = Batcher(limits, self.metrics.batch)
        self.draining = False
        self.metrics.waiting(lambda: self.batcher.size)

    async def answer(self, loaded: Loaded, name: str, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return a signature's outputs for a request's tensors.

        Raises: Refused where they do not fit the signature, where too many wait, and with the model's own reason.
        """
        rows = check_tensors(loaded.signature(name), tensors, self.limits.rows)
        return await self.batcher.ask(loaded, name, dict(tensors), rows)

    def statuses(self, asked: Asked) -> get_model_status_pb2.GetModelStatusResponse:
        """Return the states of a model's versions.  Raises: Refused where there are none."""
        answer = get_model_status_pb2.GetModelStatusResponse()
        for number, status in self.models.statuses(*asked).items():
            one = answer.model_version_status.add(version=number)
            one.state = get_model_status_pb2.ModelVersionStatus.State.Value(status.state)
            one.status.error_code = error_codes_pb2.Code.Value(status.code)
            one.status.error_message = status.message
        return answer

    def metadata(self, asked: Asked) -> tuple[Loaded, get_model_metadata_pb2.SignatureDefMap]:
        """Return a version and its signatures.  Raises: Refused where there is none."""
        with self.models.using(*asked) as loaded:
            return loaded, get_model_metadata_pb2.SignatureDefMap(signature_def=loaded.definitions)

    def healthy(self) -> bool:
        """Whether requests can be answered: every model has a version, and the server is not about to stop."""
        return not self.draining and self.models.ready()


class Stopwatch:
    """Measures a request for the metrics; used as `with`, it notes "OK" unless `status` is set."""

    def __init__(self, metrics: Metrics, method: str, entry: str) -> None:
        self._metrics, self._method, self._entry = metrics, method, entry
        self.model, self.status = "", "OK"

    def __enter__(self) -> Stopwatch:
        self._metrics.begin()
        self._begun = time.perf_counter()
        return self

    def __exit__(self, *error: Any) -> None:
        seconds = time.perf_counter() - self._begun
        self._metrics.request(self.model, self._method, self._entry, self.status, seconds)
