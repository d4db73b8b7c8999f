"""The page for trying models by eye: a few fixed files, and the list of models.  It asks the server's own REST API.

Nothing of a request reaches the file system: the files are read once, here, and each has a route of its own.
"""

from __future__ import annotations

import hashlib
from importlib import resources
from typing import TYPE_CHECKING, Any, Protocol

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
# Own files and own server only, no inline code or styles; strings can never become markup or code (trusted types).
# Source: W3C, Content Security Policy Level 3; W3C, Trusted Types.
_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",  # asked for again each time, and answered with 304 where it is the same
}


class Models(Protocol):
    """What the page has to know that TensorFlow Serving's REST API cannot tell: which models there are."""

    def describe(self) -> list[dict[str, Any]]:
        """Return for each model a dict of plain values with its `name` and `labels` at least."""
        ...


def routes(models: Models) -> list[Route]:
    """Return the page's routes: `/`, its files under `/playground/`, and `/playground/models`, what there is."""

    async def listed(request: Request) -> Response:
        return JSONResponse({"models": models.describe()}, headers={**HEADERS, "Cache-Control": "no-store"})

    found = [Route("/playground/models", listed)]
    for file in sorted(resources.files(__name__).joinpath("static").iterdir(), key=lambda file: file.name):
        path = "/" if file.name == "index.html" else f"/playground/{file.name}"
        found.append(Route(path, _serving(file.read_bytes(), _TYPES[file.name.rpartition(".")[2]])))
    return found


def _serving(data: bytes, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint of one file that is held in memory."""
    tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'

    async def endpoint(request: Request) -> Response:
        headers = {**HEADERS, "ETag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(data, media_type=media_type, headers=headers)

    return endpoint
