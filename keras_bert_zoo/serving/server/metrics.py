"""Prometheus metrics, under TensorFlow Serving's own names where it has them; its times are microseconds.

Source: tensorflow_serving/servables/tensorflow/util.cc and util/prometheus_exporter.cc.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.core import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PATHS = ("/monitoring/prometheus/metrics", "/metrics")  # TensorFlow Serving's, and everybody's
_LATENCY = [10 * 1.8**power for power in range(33)]  # microseconds, to some twenty minutes
_ROWS = [2**power for power in range(11)]


class Metrics:
    """The metrics of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._counts: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()
        self.registry.register(self)
        self._latency = Histogram(
            ":tensorflow:serving:request_latency",
            "Wall time of a request, in microseconds.",
            ["model_name", "API", "entrypoint"],
            buckets=_LATENCY,
            registry=self.registry,
        )
        self._runtime = Histogram(
            ":tensorflow:serving:runtime_latency",
            "Wall time of a run of the model, in microseconds.",
            ["model_name"],
            buckets=_LATENCY,
            registry=self.registry,
        )
        self._requests = self._of_batches("kbz_batch_requests", "Requests answered by one run of the model.")
        self._rows = self._of_batches("kbz_batch_rows", "Rows answered by one run of the model.")
        self._begun = Gauge("kbz_requests_in_progress", "Requests that are being answered.", registry=self.registry)
        self._waiting = Gauge("kbz_waiting_requests", "Requests that wait for a runner.", registry=self.registry)

    def begin(self) -> None:
        """Note that a request has come; `request` is told of its end."""
        self._begun.inc()

    def request(self, model: str, method: str, entry: str, status: str, seconds: float) -> None:
        """Note a request; `model` is a served one or empty, so that nobody can make up names without end."""
        with self._lock:
            key = (model, status)
            self._counts[key] = self._counts.get(key, 0) + 1
        self._begun.dec()
        self._latency.labels(model, method, entry).observe(seconds * 1e6)

    def batch(self, model: str, seconds: float, requests: int, rows: int) -> None:
        """Note a run of a model."""
        self._runtime.labels(model).observe(seconds * 1e6)
        self._requests.labels(model).observe(requests)
        self._rows.labels(model).observe(rows)

    def waiting(self, count: Callable[[], int]) -> None:
        """Have the number of requests that wait told by a function."""
        self._waiting.set_function(count)

    def page(self) -> bytes:
        """Return all metrics in Prometheus's text format."""
        return generate_latest(self.registry)

    def collect(self) -> Iterator[Metric]:
        """Yield the counter that has no `_total` in TensorFlow Serving; Prometheus's client asks for this."""
        metric = Metric(":tensorflow:serving:request_count", "Requests by model and status.", "unknown")
        with self._lock:
            counts = dict(self._counts)
        for (model, status), count in sorted(counts.items()):
            metric.add_sample(metric.name, {"model_name": model, "status": status}, count)
        yield metric

    def _of_batches(self, name: str, about: str) -> Histogram:
        return Histogram(name, about, ["model_name"], buckets=_ROWS, registry=self.registry)
