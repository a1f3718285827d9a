"""The web application: routes, errors, start and stop."""

# No `from __future__ import annotations` here: FastAPI reads the annotations of routes, whose types are imported where
# the application is made.

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from wordmask import __version__
from wordmask.errors import MissingExtraError, WordmaskError, installing, sentence
from wordmask.serve.bodies import requested
from wordmask.serve.failures import ServiceError, as_service_error
from wordmask.serve.guards import Guards
from wordmask.serve.openapi import SEGMENT_BODY, described, responses
from wordmask.serve.page import add_page
from wordmask.serve.schema import Health, Models
from wordmask.serve.service import Service
from wordmask.serve.settings import ServiceSettings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from wordmask.contracts import Segmenter

__all__ = ["create_app"]


def create_app(
    segmenter: "Segmenter | Mapping[str, Segmenter]", *, settings: ServiceSettings | None = None
) -> "FastAPI":
    """Return an ASGI application that serves one segmenter, or several by name.

    Nothing is global: two applications in one process share nothing. Threads start with the first request and end with
    the application.

    Args:
        segmenter: What `wordmask.load` returned, or a dict of such by the names that requests give as `model`.
        settings: Limits and keys.

    Raises:
        MissingExtraError: If FastAPI is not installed.
    """
    try:
        from fastapi import FastAPI
    except ImportError as error:
        raise MissingExtraError(sentence("no FastAPI", "the extra serve", installing("serve"))) from error
    chosen = settings or ServiceSettings()
    service = Service(segmenter, chosen)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    app = FastAPI(
        title="wordmask", version=__version__, description="Masks of what a phrase or an example image names.",
        docs_url=None, redoc_url=None, lifespan=lifespan,
    )  # fmt: skip
    app.state.service = service
    _add_errors(app)
    _add_routes(app, service)
    _add_facts(app, service)
    if chosen.page:
        add_page(app)
    if chosen.cors_origins:
        from fastapi.middleware.cors import CORSMiddleware

        app.add_middleware(
            CORSMiddleware, allow_origins=list(chosen.cors_origins), allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-API-Key"],
        )  # fmt: skip
    app.add_middleware(Guards, settings=chosen, metrics=service.metrics)
    described(app)
    return app


def _add_routes(app: "FastAPI", service: Service) -> None:
    from fastapi import Request, Response

    @app.post("/v1/segment", openapi_extra=SEGMENT_BODY, responses=responses(), summary="Segment an image")
    async def segment(request: Request) -> Response:
        """Return masks, scores and presences of the prompts about one image."""

        async def gone() -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass

        with service.budget.share() as take:
            asked = await requested(request, service.settings, take)
            answer = await service.segment(asked, gone)
        return Response(json.dumps(answer, separators=(",", ":")), media_type="application/json")


def _add_facts(app: "FastAPI", service: Service) -> None:
    from fastapi import Response

    @app.get("/v1/models", summary="List the models")
    async def models() -> Models:
        """Return the models that requests may name, the default first."""
        return Models([model.about() for model in service.models.values()])

    @app.get("/v1/health", summary="Tell how the service is")
    async def health() -> Health:
        """Return the length of the queue and the memory in use."""
        return service.health()

    @app.get("/metrics", summary="Counters for Prometheus", response_class=Response)
    async def metrics() -> Response:
        """Return counters of this process in Prometheus' text format."""
        return Response(service.metrics.text(service.gauges()), media_type="text/plain; version=0.0.4")


def _add_errors(app: "FastAPI") -> None:
    from fastapi import Request, Response
    from fastapi.exceptions import RequestValidationError
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect

    def answer(error: ServiceError) -> Response:
        content = json.dumps(error.body())
        return Response(content, error.status, headers=error.headers, media_type="application/json")

    @app.exception_handler(ServiceError)
    async def refused(_: Request, error: ServiceError) -> Response:
        return answer(error)

    @app.exception_handler(WordmaskError)
    async def failed(_: Request, error: WordmaskError) -> Response:
        return answer(as_service_error(error))

    @app.exception_handler(ClientDisconnect)
    async def disconnected(_: Request, __: ClientDisconnect) -> Response:
        return answer(ServiceError(499, "client_error", "client_gone", "The client closed the connection."))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        known = {404: "not_found", 405: "method_not_allowed"}
        message = f"Got {request.method} {request.url.path[:80]}: {error.detail}. See /openapi.json."
        code = known.get(error.status_code, "http_error")
        headers = dict(error.headers or {})
        return answer(ServiceError(error.status_code, "invalid_request_error", code, message, headers=headers))

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> Response:
        return answer(ServiceError(400, "invalid_request_error", "invalid_request", str(error)[:200]))

    @app.exception_handler(Exception)
    async def broken(_: Request, error: Exception) -> Response:
        message = f"The service failed ({type(error).__name__}); what was sent may be right. Its log says more."
        return answer(ServiceError(500, "server_error", "internal_error", message))
