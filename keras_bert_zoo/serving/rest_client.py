"""TensorFlow Serving's REST API, asked.  B rows.

Source: tensorflow.org/tfx/serving/api_rest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import numpy as np
import requests
from requests.adapters import HTTPAdapter

from keras_bert_zoo._version import __version__
from keras_bert_zoo.errors import DataError, ServingError
from keras_bert_zoo.serving import rest_json
from keras_bert_zoo.serving.interface import Metadata, Place, Score, Signature, Tensor, VersionStatus, is_loopback
from keras_bert_zoo.serving.json_values import numpy_name, plain, rest_name
from keras_bert_zoo.serving.retries import Unavailable

_BUSY = (429, 503)  # the server asks to come back
_SHOWN = 300  # characters of an answer that nobody can read


class Rest:
    """One server's REST API.  May be used by several threads."""

    def __init__(self, where: Place, *, timeout: float, headers: Mapping[str, str], at_once: int) -> None:
        self._where, self._timeout = where, timeout
        self._session = requests.Session()
        self._session.trust_env = not is_loopback(where)  # a proxy of the environment is not meant for this machine
        self._session.headers.update({"User-Agent": f"keras-bert-zoo/{__version__}", **headers})
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=at_once))

    def metadata(self) -> Metadata:
        """Return the version that is meant and its signatures."""
        told = self._ask("/metadata")
        try:
            signatures = told["metadata"]["signature_def"]["signature_def"]
            version = int(told["model_spec"]["version"])
            return Metadata(version, {name: _signature(name, each) for name, each in signatures.items()})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ServingError(f"{self._where}/metadata: this is no model's metadata ({error!r}).", 200) from None

    def status(self) -> list[VersionStatus]:
        """Return the state of every version."""
        told = self._ask("")
        try:
            versions = [
                VersionStatus(int(each["version"]), each["state"], each.get("status", {}).get("error_message", ""))
                for each in told["model_version_status"]
            ]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ServingError(f"{self._where}: this is no model's status ({error!r}).", 200) from None
        return sorted(versions, reverse=True)

    def predict(self, signature: Signature, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs of a signature, as arrays of its dtypes; strings are bytes."""
        content = self._send(":predict", rest_json.write_request(inputs, signature=signature.name))
        try:
            return rest_json.read_answer(
                _unicode(content),
                {name: rest_json.Spec(rest_name(each.dtype), each.shape) for name, each in signature.outputs.items()},
            )
        except DataError as error:
            raise ServingError(
                f"{self._where}:predict: this is no answer of the signature '{signature.name}': {error}", 200
            ) from None

    def classify(self, signature: str, examples: Sequence[Mapping[str, Any]]) -> list[list[Score]]:
        """Return each example's classes and their scores."""
        results = self._results(":classify", signature, examples)
        try:
            return [[Score(str(label), float(score)) for label, score in row] for row in results]
        except (TypeError, ValueError):
            raise ServingError(f"{self._where}:classify: the results are no classes and scores.", 200) from None

    def regress(self, signature: str, examples: Sequence[Mapping[str, Any]]) -> list[float]:
        """Return each example's value."""
        results = self._results(":regress", signature, examples)
        try:
            return [float(value) for value in results]
        except (TypeError, ValueError):
            raise ServingError(f"{self._where}:regress: the results are no numbers.", 200) from None

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _results(self, what: str, signature: str, examples: Sequence[Mapping[str, Any]]) -> list[Any]:
        rows = [{name: plain(value) for name, value in row.items()} for row in examples]
        told = self._ask(what, {"signature_name": signature, "examples": rows})
        results = told.get("results") if isinstance(told, dict) else None
        if not isinstance(results, list) or len(results) != len(rows):
            raise ServingError(f"{self._where}{what}: the answer has not {len(rows)} results.", 200)
        return results

    def _ask(self, what: str, body: Any = None) -> Any:
        """Send one request and return the JSON of its answer.  Raises: ServingError naming URL and status."""
        content = self._send(what, None if body is None else json.dumps(body, ensure_ascii=False).encode())
        try:
            return json.loads(_unicode(content))
        except (ValueError, RecursionError):
            shown = content[:_SHOWN].decode("utf-8", "replace")
            raise ServingError(
                f"{self._where}{what}: the answer is no JSON: {shown!r}. Is this a model server?", 200
            ) from None

    def _send(self, what: str, data: bytes | None) -> bytes:
        """Send one request and return the body of its answer.  Raises: ServingError naming URL and status."""
        url = f"{self._where}{what}"
        try:
            answer = self._session.request(
                "GET" if data is None else "POST",
                url,
                data=data,
                headers={"Content-Type": "application/json"} if data else None,
                timeout=self._timeout,
                allow_redirects=False,
            )
            content = answer.content
        except requests.Timeout as error:
            if isinstance(error, requests.ConnectTimeout):
                raise Unavailable(f"{url}: the server cannot be reached within {self._timeout:g} s.") from None
            raise ServingError(
                f"{url}: no answer within {self._timeout:g} s. Ask for fewer rows at a time, or wait longer (timeout)."
            ) from None
        except requests.ConnectionError as error:
            if _refused(error):
                raise Unavailable(f"{url}: no server answers there ({_reason(error)}).") from None
            raise ServingError(f"{url}: the connection broke ({_reason(error)}).") from None
        except requests.RequestException as error:
            raise ServingError(f"{url}: the request could not be made ({error}).") from None
        if answer.status_code != 200:
            raise _failure(url, answer.status_code, content, answer.headers)
        return content


def _unicode(content: bytes) -> bytes:
    """Return an answer as UTF-8: TensorFlow Serving writes a model's strings as they are."""
    return content.decode("utf-8", "replace").encode()


def _signature(name: str, told: Mapping[str, Any]) -> Signature:
    method = str(told.get("method_name", "")).rpartition("/")[2]
    return Signature(name, method, *(_tensors(told.get(side) or {}) for side in ("inputs", "outputs")))


def _tensors(told: Mapping[str, Any]) -> dict[str, Tensor]:
    found = {}
    for name, each in told.items():
        sizes = [int(dim["size"]) for dim in each["tensor_shape"].get("dim") or []]
        found[name] = Tensor(numpy_name(each["dtype"]), tuple(None if size < 0 else size for size in sizes))
    return found


def _failure(url: str, status: int, content: bytes, headers: Mapping[str, str]) -> ServingError:
    words = content[:_SHOWN].decode("utf-8", "replace").strip()
    try:
        told = json.loads(content.decode("utf-8", "replace"))
        words = told["error"] if isinstance(told["error"], str) else words
    except (ValueError, KeyError, TypeError):
        pass
    message = f"{url}: status {status}: {words or 'without a word'}"
    if status in _BUSY:
        after = headers.get("Retry-After", "")
        return Unavailable(message, status, float(after) if after.isdigit() else None)
    if status == 413:
        message += " Send fewer rows at a time (batch_size)."
    return ServingError(message, status)


def _refused(error: requests.ConnectionError) -> bool:
    """Tell whether no connection was made, so that nothing was asked yet."""
    from urllib3.exceptions import MaxRetryError, NewConnectionError

    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", None) if isinstance(cause, MaxRetryError) else cause, NewConnectionError)


def _reason(error: BaseException) -> str:
    """Return the innermost words of an error of a connection."""
    cause: Any = error.args[0] if error.args else error
    cause = getattr(cause, "reason", None) or cause
    return str(cause).rpartition(": ")[2] or str(cause)
