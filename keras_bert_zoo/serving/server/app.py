"""The HTTP application: the REST API, health, metrics, and the playground."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from keras_bert_zoo.serving import playground
from keras_bert_zoo.serving.server.metrics import CONTENT_TYPE, PATHS
from keras_bert_zoo.serving.server.rest import Rest
from keras_bert_zoo.serving.server.service import Service


def build_app(service: Service) -> Any:
    """Return the ASGI application of a server."""
    rest, others = Rest(service), Starlette(routes=_routes(service), exception_handlers={404: _not_found})

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        # What is asked most goes the shortest way.
        if scope["type"] == "http" and scope["raw_path"][:4].lower() == b"/v1/":
            await rest(scope, receive, send)
        else:
            await others(scope, receive, send)

    return app


def _routes(service: Service) -> list[BaseRoute]:
    async def health(request: Request) -> Response:
        healthy = service.healthy()
        return JSONResponse({"status": "ok" if healthy else "unavailable"}, 200 if healthy else 503)

    async def metrics(request: Request) -> Response:
        return Response(service.metrics.page(), media_type=CONTENT_TYPE)

    pages = [Route("/healthz", health), *(Route(path, metrics) for path in PATHS)]
    return [*pages, *playground.routes(service.models)]


async def _not_found(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"Nothing is at {request.url.path[:200]}: the API is below /v1/models/."}, 404)
