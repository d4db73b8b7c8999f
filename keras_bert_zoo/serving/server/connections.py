"""HTTP connections that nobody can hold on to: limits on how slowly and how much a client may send before its request.

The web server itself has none for headers.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MOST_HEADERS = 64 * 1024  # bytes of a request line and its headers
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b'content-length: 44\r\n\r\n{"error": "The request headers are too big"}'
)


def guarded(patience: float) -> type[asyncio.Protocol]:
    """Return the protocol of connections whose headers must be whole after so many seconds."""

    class Guarded(HttpToolsProtocol):
        _timer: asyncio.TimerHandle | None = None
        _in_headers = True
        _header_bytes = 0

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.app_state = {**self.app_state, "abort": transport.abort}
            self._arm()

        def connection_lost(self, exc: Exception | None) -> None:
            self._disarm()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._in_headers and self._timer is None:
                self._arm()  # the first bytes of a connection's next request
            super().data_received(data)
            if self._in_headers:
                self._header_bytes += len(data)
                if self._header_bytes > _MOST_HEADERS and not self.transport.is_closing():
                    self.transport.write(_TOO_LARGE)
                    self.transport.close()

        def on_headers_complete(self) -> None:
            self._in_headers, self._header_bytes = False, 0
            self._disarm()
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._in_headers = True
            super().on_message_complete()

        def timeout_keep_alive_handler(self) -> None:
            if self.transport.get_write_buffer_size():  # it does not even take its answer
                self.transport.abort()
            super().timeout_keep_alive_handler()

        def _arm(self) -> None:
            self._timer = self.loop.call_later(patience, self._cut)

        def _disarm(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _cut(self) -> None:
            self._timer = None
            if not self.transport.is_closing():
                self.transport.abort()

    return Guarded
