"""Asking a model server: TensorFlow Serving's, or `kbz serve`'s, which speaks the same.  B rows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from keras_bert_zoo.errors import ConfigError, ServingError
from keras_bert_zoo.serving.answerer import Answerer
from keras_bert_zoo.serving.interface import Metadata, Score, Signature, VersionStatus, place
from keras_bert_zoo.serving.retries import persist

T = TypeVar("T")


class Client(Answerer):
    """One model on a server, asked over REST (`http://`, `https://`) or gRPC (`grpc://`, `grpcs://`).

    `url` is the server's, with `model`'s name beside it, or the model's own, as for curl:
    `http://127.0.0.1:8501/v1/models/mood/labels/canary`.  `version` or `label` choose a version, else the server does.
    `timeout` is in seconds, for each request.  A request is tried up to `tries` times, with growing pauses, while the
    server is not there or says that it has too much to do (connection refused, 503, 429, UNAVAILABLE); nothing else is
    asked twice.  `headers` go with each request; `at_once` requests run at a time.  May be used by several threads;
    closes its connections at the end of a `with` block.
    Raises: ConfigError on a URL, version or number that makes no client.
    """

    def __init__(
        self,
        url: str,
        model: str | None = None,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float = 30.0,
        tries: int = 5,
        headers: Mapping[str, str] | None = None,
        at_once: int = 4,
    ) -> None:
        for name, value, least in (("timeout", timeout, 0), ("tries", tries, 1), ("at_once", at_once, 1)):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or value < least or not value:
                raise ConfigError(
                    f"Client: {name} is {value!r}, it must be a number {'above 0' if not least else 'of at least 1'}."
                )
        self.place = place(url, model, version, label)
        self._options: dict[str, Any] = {"timeout": timeout, "tries": tries, "headers": headers, "at_once": at_once}
        self._tries, self.at_once = int(tries), int(at_once)
        self._metadata: Metadata | None = None
        self._lock = threading.Lock()
        if self.place.scheme.startswith("grpc"):
            from keras_bert_zoo.serving.grpc_client import Grpc  # TensorFlow comes with it

            self._server: Any = Grpc(self.place, timeout=timeout, headers=headers or {})
        else:
            from keras_bert_zoo.serving.rest_client import Rest

            self._server = Rest(self.place, timeout=timeout, headers=headers or {}, at_once=self.at_once)

    def __str__(self) -> str:
        return str(self.place)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._server.close()

    @property
    def metadata(self) -> Metadata:
        """The version that the server meant when it was first asked, and its signatures; see `refresh`."""
        with self._lock:
            if self._metadata is None:
                self._metadata = self._persist(self._server.metadata)
            return self._metadata

    def refresh(self) -> None:
        """Forget the signatures: the next question reads them anew.  A question that fails does so, too."""
        with self._lock:
            self._metadata = None

    def pinned(self) -> Client:
        """Return a client of the very version that the server means now, whichever becomes the newest.

        Raises: ServingError naming URL and status.
        """
        where = self.place
        return Client(where.server, where.model, version=self.metadata.version, **self._options)

    def status(self) -> list[VersionStatus]:
        """Return the state of every version, the highest first."""
        return self._persist(self._server.status)

    def classify(
        self, texts: Sequence[Any], *, signature: str = "classify", **more: Sequence[Any]
    ) -> list[list[Score]]:
        """Ask TensorFlow Serving's Classify: the classes of each text with their scores.  Raises: see `predict`."""
        examples = self._examples(texts, more)
        return self._persist(lambda: self._server.classify(signature, examples))

    def regress(self, texts: Sequence[Any], *, signature: str = "regress", **more: Sequence[Any]) -> list[float]:
        """Ask TensorFlow Serving's Regress: a number for each text.  Raises: see `predict`."""
        examples = self._examples(texts, more)
        return self._persist(lambda: self._server.regress(signature, examples))

    def _examples(self, texts: Sequence[Any], more: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
        """Return rows by the names of the default signature's columns.  Raises: DataError, see `predict`."""
        from keras_bert_zoo.data.columns import check_texts

        default = self.signature()
        columns = default.named(texts, more)
        check_texts(str(self.place), default.ranks, columns)
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def ask(self, signature: Signature, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return the outputs of a signature for one batch of arrays.  Raises: ServingError naming URL and status."""
        return self._persist(lambda: self._server.predict(signature, inputs))

    def _persist(self, call: Callable[[], T]) -> T:
        try:
            return persist(call, self._tries)
        except ServingError:
            self._metadata = None
            raise
