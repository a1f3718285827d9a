"""Errors as HTTP answers: `{"error": {"message", "type", "code"}}` with the status that fits."""

from __future__ import annotations

import logging

from wordmask.errors import (
    ImageError,
    MissingExtraError,
    PromptError,
    UnsupportedPromptError,
    WordmaskError,
)

__all__ = ["ServiceError", "as_service_error", "invalid"]


class ServiceError(Exception):
    """A request that is not answered as asked.

    Attributes:
        status: HTTP status.
        kind: Family of the error.
        code: The very error.
        message: What was got, what was expected, what to do.
        headers: Further headers of the answer.
    """

    def __init__(
        self, status: int, kind: str, code: str, message: str, *, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.code, self.message = status, kind, code, message
        self.headers = headers or {}

    def body(self) -> dict[str, dict[str, str]]:
        """Return the answer."""
        return {"error": {"message": self.message, "type": self.kind, "code": self.code}}


def invalid(message: str, *, code: str = "invalid_request", status: int = 400) -> ServiceError:
    """Return the error of a request that can never be answered."""
    return ServiceError(status, "invalid_request_error", code, message)


def as_service_error(error: WordmaskError) -> ServiceError:
    """Return the answer to an error of wordmask: the client's where it is about what the client sent."""
    message = str(error)
    if isinstance(error, UnsupportedPromptError):
        return invalid(message, code="unsupported_prompt")
    if isinstance(error, PromptError):
        return invalid(message, code="invalid_prompt")
    if isinstance(error, ImageError):
        large = "million" in message and "expected at most" in message
        return invalid(message, code="image_too_large" if large else "image_unreadable", status=413 if large else 400)
    if isinstance(error, MissingExtraError):
        return ServiceError(501, "server_error", "not_installed", message)
    logging.getLogger("uvicorn.error").error(message)  # it may name folders of this machine: not for the client
    told = "The model cannot answer this request as it is installed here. The log of the service says why."
    return ServiceError(500, "server_error", "model_failed", told)
