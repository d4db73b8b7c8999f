"""The parent's side of a worker: start it, give it an order, hear its reply, end it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from keras_bert_zoo.stopping import uncut, undone_at_stop

PATIENCE = 900.0  # seconds that one order may take: a worker that hangs must not hang the run
# Peers take everything from the folder they are given; TensorFlow's own notices are no last words.
ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow", "HF_HUB_OFFLINE": "1"}


class Worker:
    """A running contender.  Every reply is a dict; {"failed": why} when the worker could not do it or is no more."""

    def __init__(self, module: str, setup: Path, log: Path) -> None:
        self.log = log
        self._rest = b""
        self._failure: str | None = None  # why it is no more
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                # unbuffered: what a library printed is in the log even where the worker is killed
                [sys.executable, "-u", "-m", "keras_bert_zoo.benchmark.worker", module, str(setup)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **ENVIRONMENT},
                bufsize=0,
                start_new_session=True,  # Ctrl-C reaches the parent alone, which then ends its workers
            )

    def tell(self, **order: Any) -> None:
        """Give an order and do not wait: `hear` brings the reply."""
        assert self._process.stdin is not None
        if self._failure is None:
            with suppress(BrokenPipeError):  # it ended: hear tells why
                self._process.stdin.write(json.dumps(order).encode() + b"\n")

    def hear(self, patience: float = PATIENCE) -> dict[str, Any]:
        """Return the reply to the last order."""
        assert self._process.stdout is not None
        until = time.monotonic() + patience
        while self._failure is None and b"\n" not in self._rest:
            ready, _, _ = select.select([self._process.stdout], [], [], max(until - time.monotonic(), 0))
            if not ready:
                self._give_up(f"no reply within {patience:g} seconds")
                break
            piece = os.read(self._process.stdout.fileno(), 1 << 16)
            if not piece:
                code = self._process.wait()  # 1 after an error of Python's, whose last line tells all
                self._give_up(self._last_words() if code == 1 else f"the process ended with code {code}")
            self._rest += piece
        if self._failure is not None:
            return {"failed": self._failure}
        line, self._rest = self._rest.split(b"\n", 1)
        return dict(json.loads(line))

    def ask(self, **order: Any) -> dict[str, Any]:
        """Give an order and return the reply."""
        self.tell(**order)
        return self.hear()

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait(timeout=60)  # with a limit: without one, Ctrl-C in the midst of it would wait for itself
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def _give_up(self, why: str) -> None:
        self._failure = why
        self.end()

    def _last_words(self) -> str:
        lines = [line for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        return lines[-1].strip() if lines else "the process ended with code 1"


class Crew:
    """Starts workers and ends them all with its block, whatever happens in it."""

    def __init__(self, setup: Path) -> None:
        self.setup = setup
        self._workers: list[Worker] = []
        self._stopping = undone_at_stop(self._end)

    def __enter__(self) -> Crew:
        self._stopping.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stopping.__exit__(*error)
        self._end()

    def _end(self) -> None:
        for worker in self._workers:
            worker.end()

    def start(self, module: str, log: str) -> Worker:
        """Start a worker whose words go to a file of that name beside the setup."""
        with uncut():  # until the new process is on the list
            self._workers.append(Worker(module, self.setup, self.setup.with_name(f"{log}.log")))
        return self._workers[-1]
