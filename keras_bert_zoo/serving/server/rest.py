"""TensorFlow Serving's REST API under /v1/, as an ASGI application of its own: every request passes here.

Source: tensorflow.org/tfx/serving/api_rest.
"""

from __future__ import annotations

import asyncio
import json
import re
import urllib.parse
from typing import Any

from google.protobuf.json_format import MessageToDict

from keras_bert_zoo.errors import ZooError
from keras_bert_zoo.serving.json_values import objects
from keras_bert_zoo.serving.rest_json import read_request, write_answer
from keras_bert_zoo.serving.server.examples import check_method, read_examples, write_results
from keras_bert_zoo.serving.server.refusals import Refused
from keras_bert_zoo.serving.server.service import Asked, Service, Stopwatch

_WHO = r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
_POST = re.compile(_WHO + r":(?P<method>predict|classify|regress)", re.IGNORECASE)
_GET = re.compile(_WHO + r"(?P<metadata>/metadata)?", re.IGNORECASE)
_LARGEST_VERSION = 2**63 - 1
# A body that is refused for its size is read all the same, up to so many times the limit: a client that is still
# sending would not see the answer.
_SWALLOWED = 16
_JSON = b"application/json"


class Rest:
    """Answers requests below /v1/."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer one request."""
        limits = self._service.limits
        status, close = 200, False
        matched = _match(scope)
        method = matched["method"].lower() if matched and "method" in matched.groupdict() else "status"
        with Stopwatch(self._service.metrics, method.capitalize(), "REST") as watch:
            try:
                async with asyncio.timeout(limits.timeout):
                    answer = await self._answer(scope, receive, matched, method, watch)
            except TimeoutError:
                status, watch.status = 504, "DEADLINE_EXCEEDED"
                answer, close = _error(f"Timed out: {limits.timeout:g} seconds are over."), True
            except Refused as error:
                status, watch.status = error.http, error.code
                answer, close = _error(str(error)), status in (408, 413)
            except ZooError as error:
                status, watch.status = 400, "INVALID_ARGUMENT"
                answer = _error(str(error))
        await respond(scope, send, status, answer, _JSON, close=close, patience=limits.patience)

    async def _answer(self, scope: Any, receive: Any, matched: Any, method: str, watch: Stopwatch) -> bytes:
        if matched is None:
            raise Refused("INVALID_ARGUMENT", f"Malformed request: {scope['method']} {_path(scope)[:200]}")
        asked = _asked(matched)
        if method == "status":
            if matched["metadata"]:
                return self._metadata(asked)
            return _pretty(_as_dict(self._service.statuses(asked)))
        body = await read_body(scope, receive, self._service.limits.body, self._service.limits.patience)
        with self._service.models.using(*asked) as loaded:
            watch.model = loaded.name
            if method == "predict":
                request = read_request(body, lambda name: loaded.signature(name).inputs)
                outputs = await self._service.answer(loaded, request.signature, request.tensors)
                return write_answer(outputs, request.form)
            name, examples = read_examples(body)
            signature = loaded.signature(name)
            check_method(name, signature, method)
            (column,) = signature.inputs
            outputs = await self._service.answer(loaded, name, {column: objects(examples)})
            return write_results(method, outputs)

    def _metadata(self, asked: Asked) -> bytes:
        loaded, signatures = self._service.metadata(asked)
        spec = {"name": loaded.name, "signature_name": "", "version": str(loaded.version)}
        return _pretty({"model_spec": spec, "metadata": {"signature_def": _as_dict(signatures)}})


async def read_body(scope: dict[str, Any], receive: Any, most: int, patience: float) -> bytes:
    """Return a request's body.  Raises: Refused where it is too large, comes too slowly, or its client has gone."""
    headers = dict(scope["headers"])
    told = headers.get(b"content-length", b"")
    large = told.isdigit() and int(told) > most

    def too_large() -> Refused:
        return Refused("RESOURCE_EXHAUSTED", f"The body has more than {most} bytes.", http=413)

    if large and (b"expect" in headers or int(told) > _SWALLOWED * most):
        raise too_large()
    parts: list[bytes] = []
    size = 0
    while True:
        try:
            async with asyncio.timeout(patience):
                message = await receive()
        except TimeoutError as error:
            raise Refused("DEADLINE_EXCEEDED", f"The body stopped for {patience:g} seconds.", http=408) from error
        if message["type"] == "http.disconnect":
            raise Refused("CANCELLED", "The client has gone.")
        size += len(message.get("body", b""))
        if size > most:
            large, parts = True, []
        if size > _SWALLOWED * most:
            raise too_large()
        if not large:
            parts.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    if large:
        raise too_large()
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def respond(
    scope: dict[str, Any], send: Any, status: int, body: bytes, kind: bytes, *, close: bool, patience: float
) -> None:
    """Send an answer, and cut the connection of a client that does not take it."""
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    headers += [(b"connection", b"close")] if close else []
    try:
        async with asyncio.timeout(patience):
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
    except TimeoutError:
        scope["state"]["abort"]()


def _match(scope: dict[str, Any]) -> re.Match[str] | None:
    pattern = {"POST": _POST, "GET": _GET}.get(scope["method"])
    return pattern.fullmatch(_path(scope)) if pattern else None


def _path(scope: dict[str, Any]) -> str:
    """Return the path as it was sent: a name's own slashes are escaped."""
    return scope["raw_path"].decode("ascii", "replace")


def _asked(matched: re.Match[str]) -> Asked:
    version, label = matched["version"], matched["label"]
    if version is not None and (len(version) > 19 or int(version) > _LARGEST_VERSION):
        raise Refused("INVALID_ARGUMENT", f"Failed to convert version: {version[:40]} to numeric.")
    name = urllib.parse.unquote(matched["name"])
    return Asked(name, int(version) if version else None, urllib.parse.unquote(label) if label else None)


def _as_dict(message: Any) -> dict[str, Any]:
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _pretty(value: Any) -> bytes:
    return json.dumps(value, indent=1, ensure_ascii=False).encode("utf-8") + b"\n"


def _error(message: str) -> bytes:
    return json.dumps({"error": message}, ensure_ascii=False).encode("utf-8", "replace")
