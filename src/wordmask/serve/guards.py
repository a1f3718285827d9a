"""Checks before a request is read, and headers of every answer: ASGI middleware without a framework."""

from __future__ import annotations

import hmac
import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from wordmask.serve.failures import ServiceError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from wordmask.serve.metrics import Metrics
    from wordmask.serve.settings import ServiceSettings

__all__ = ["HEADERS", "Guards"]

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
"""Headers of every answer."""
OPEN = ("/", "/v1/health", "/openapi.json")
"""Paths that need no key: the page, which asks for one; health, for those who watch; the description."""


class Guards:
    """Refuse requests of unknown hosts, of other pages and without a key; count and time the rest.

    Args:
        app: What answers.
        settings: Keys, hosts, origins.
        metrics: Where requests are counted.
    """

    def __init__(self, app: Any, *, settings: ServiceSettings, metrics: Metrics) -> None:
        self.app, self.settings, self.metrics = app, settings, metrics

    async def __call__(
        self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.monotonic(), 499

        async def answered(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *self._headers(message["headers"], scope["path"])]
            await send(message)

        refused = self._refusal(scope)
        try:
            if refused is None:
                await self.app(scope, receive, answered)
            else:
                await _send_error(refused, answered)
        finally:
            path = scope["path"] if scope["path"].startswith(("/v1/", "/metrics")) else "other"
            route = getattr(scope.get("route"), "path", path if status < 400 else "other")
            self.metrics.count("requests", f'path="{route}",status="{status}"')
            if scope["path"] == "/v1/segment":
                self.metrics.observe("request_seconds", time.monotonic() - start)

    def _headers(self, there: list[tuple[bytes, bytes]], path: str) -> list[tuple[bytes, bytes]]:
        names = {name.lower() for name, _ in there}
        more = dict(HEADERS)
        if path.startswith("/v1/") or path == "/metrics":
            more["Cache-Control"] = "no-store"
        if self.settings.cors_origins:
            more["Cross-Origin-Resource-Policy"] = "cross-origin"
        encoded = ((name.lower().encode("ascii"), value.encode("ascii")) for name, value in more.items())
        return [(name, value) for name, value in encoded if name not in names]

    def _refusal(self, scope: Any) -> ServiceError | None:
        """Return why a request is not even read; None where it is."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if self.settings.hosts and _without_port(host) not in self.settings.hosts:
            message = f"Got the host {host[:80]!r}, expected one of {', '.join(self.settings.hosts)}: use that name."
            return ServiceError(400, "invalid_request_error", "unknown_host", message)
        if scope["method"] not in ("GET", "HEAD", "OPTIONS") and not self._is_own(headers, host):
            message = "Got a request of another page, expected one of this service: allow its origin for CORS."
            return ServiceError(403, "permission_error", "cross_origin", message)
        if self.settings.api_keys and not self._is_open(scope) and not self._has_key(headers):
            message = "Got no valid API key, expected one: send the header Authorization: Bearer KEY."
            return ServiceError(
                401, "authentication_error", "invalid_api_key", message, headers={"WWW-Authenticate": "Bearer"}
            )
        return None

    def _is_own(self, headers: dict[str, str], host: str) -> bool:
        """Whether a request comes from a program, from the service's own page, or from a page that may call it."""
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site", "none") in ("none", "same-origin")
        return origin in self.settings.cors_origins or urlsplit(origin).netloc == host

    def _is_open(self, scope: Any) -> bool:
        path = scope["path"]
        return scope["method"] == "OPTIONS" or path in OPEN or path.startswith("/page/")

    def _has_key(self, headers: dict[str, str]) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        key = given.strip() if kind.lower() == "bearer" else headers.get("x-api-key", "")
        same = [hmac.compare_digest(key.encode("utf-8"), known.encode("utf-8")) for known in self.settings.api_keys]
        return any(same)


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdecimal() else host).lower()


async def _send_error(error: ServiceError, send: Callable[[Any], Awaitable[None]]) -> None:
    content = json.dumps(error.body()).encode("utf-8")
    headers = {"content-type": "application/json", "content-length": str(len(content)), **error.headers}
    pairs = [(name.lower().encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": pairs})
    await send({"type": "http.response.body", "body": content})
