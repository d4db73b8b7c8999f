"""A web server on this machine alone that can misbehave in every way a download has to stand."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

Turn = Callable[["Answer"], None]


class Answer:
    """One request and the means to answer it; `data` is the file that is asked for, `start` where the range begins."""

    def __init__(self, handler: BaseHTTPRequestHandler, data: bytes | None) -> None:
        self.handler, self.whole = handler, data or b""
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        fresh = handler.headers.get("If-Range") == tag(self.whole)
        self.start = int(asked[1]) if asked and fresh else 0
        self.ranged = bool(asked) and fresh

    def send(
        self, status: int | None = None, *, send: int | None = None, headers: dict[str, str | None] | None = None
    ) -> None:
        """Answer as a good server would, but for what is told: the first `send` bytes alone, other headers."""
        body = self.whole[self.start :]
        beyond = status is None and self.ranged and self.start >= len(self.whole)
        status = status or (416 if beyond else 206 if self.ranged else 200)
        sent: dict[str, str | None] = {"Content-Length": str(len(body)), "ETag": tag(self.whole)}
        if status == 206:
            sent["Content-Range"] = f"bytes {self.start}-{len(self.whole) - 1}/{len(self.whole)}"
        if beyond:
            sent["Content-Range"] = f"bytes */{len(self.whole)}"
        self.handler.send_response(status)
        for name, value in {**sent, **(headers or {})}.items():
            if value is not None:
                self.handler.send_header(name, value)
        self.handler.end_headers()
        self.handler.wfile.write(body[:send])

    def ignore_range(self) -> None:
        self.start, self.ranged = 0, False


def tag(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'


class Web:
    """Serves `files` by path.  Each request takes the next of `turns`, or is answered well; `asked` keeps them all."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.turns: list[Turn] = []
        self.asked: list[tuple[str, str | None]] = []  # path, Range
        self.gate = threading.Event()  # what `half_way` waits for
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.asked.append((self.path, self.headers.get("Range")))
                data = web.files.get(self.path)
                turn = web.turns.pop(0) if web.turns else well if data is not None else status(404)
                turn(Answer(self, data))

            def log_message(self, *arguments: Any) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # the client went away, as tests want it

        self.server = Quiet(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def half_way(self, answer: Answer) -> None:
        """Send half of the file, and the rest when the gate is opened."""
        answer.send(send=len(answer.whole) // 2)
        answer.handler.wfile.flush()
        self.gate.wait(60)
        answer.handler.wfile.write(answer.whole[len(answer.whole) // 2 :])

    def stall(self, answer: Answer) -> None:
        """Send what comes before the body, and nothing until the gate is opened."""
        answer.send(send=0)
        answer.handler.wfile.flush()
        self.gate.wait(60)

    def close(self) -> None:
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()


def well(answer: Answer) -> None:
    answer.send()


def drop(after: int) -> Turn:
    return lambda answer: answer.send(send=after)


def status(code: int) -> Turn:
    return lambda answer: answer.send(code, send=0, headers={"Content-Length": "0", "Content-Range": None})


def redirect(to: str) -> Turn:
    return lambda answer: answer.send(302, send=0, headers={"Location": to, "Content-Length": "0"})


def told(**headers: str | None) -> Turn:
    """Answer with these headers in place of the right ones; an underscore stands for a hyphen, None leaves one out."""
    return lambda answer: answer.send(headers={name.replace("_", "-"): value for name, value in headers.items()})


def without_range(answer: Answer) -> None:
    answer.ignore_range()
    answer.send()


@pytest.fixture
def web(monkeypatch):
    """A server without files; proxies of this machine are not asked."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    server = Web()
    yield server
    server.close()
