"""What one server takes on at most."""

from __future__ import annotations

import dataclasses

from keras_bert_zoo.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Limits:
    """The sizes and times of requests; all are positive.

    body: bytes of a request.  rows: rows of a request.  batch: rows that a runner takes at once; a larger request is
    a batch of its own.  waiting: requests that wait for a runner.  timeout: seconds from the end of a request's
    headers to its answer.  patience: seconds for the headers, for the next bytes of a body, and for the client to take
    an answer.  idle: seconds that a connection may wait for its next request.  drain: seconds that requests
    in flight have once the server is to stop.  runners: batches that are computed at the same time.
    Raises: ConfigError where one is not positive.
    """

    body: int = 16 * 2**20
    rows: int = 256
    batch: int = 32
    waiting: int = 1024
    timeout: float = 30
    patience: float = 10
    idle: float = 60
    drain: float = 30
    runners: int = 2

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if not value > 0:
                raise ConfigError(f"The limit '{name}' is {value}, it must be more than 0.")
