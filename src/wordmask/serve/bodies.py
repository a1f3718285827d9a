"""Reading the bodies of HTTP requests within bounds of bytes and time."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from wordmask.errors import quote, sentence
from wordmask.serve.failures import ServiceError, invalid
from wordmask.serve.request import parsed_json, read_request

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from starlette.requests import Request

    from wordmask.serve.request import SegmentRequest
    from wordmask.serve.settings import ServiceSettings

__all__ = ["read_body", "requested"]

FIELDS = 256
"""Most fields and files of a form."""


async def requested(request: Request, settings: ServiceSettings, take: Callable[[int], None]) -> SegmentRequest:
    """Read and check a request for masks, JSON or a form.

    Args:
        request: The request.
        settings: Limits.
        take: Told the number of bytes before they are kept; it may refuse.

    Raises:
        ServiceError: If it is too large, too slow, malformed or of another type.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("application/json", "multipart/form-data"):
        got = f"a body of type {quote(kind or 'unknown')}"
        expected, remedy = "application/json or multipart/form-data", "set the header Content-Type"
        raise invalid(sentence(got, expected, remedy), code="unsupported_media_type", status=415)
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        message = sentence("a compressed body", "a plain one", "leave Content-Encoding out")
        raise invalid(message, code="unsupported_encoding", status=415)
    content = await read_body(request, settings, take)
    if kind == "application/json":
        return await asyncio.to_thread(_read_json, content, settings)
    fields, files = await _form(request, content)
    return await asyncio.to_thread(read_request, fields, files, settings)


async def read_body(request: Request, settings: ServiceSettings, take: Callable[[int], None]) -> bytes:
    """Return a body.

    Raises:
        ServiceError: If it is larger than allowed, which is seen before it is read, or does not arrive in time.
    """
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > settings.upload_bytes:
        raise _too_large(settings)
    try:
        return await asyncio.wait_for(_collected(request, settings, take), settings.body_seconds)
    except asyncio.TimeoutError:
        got = f"a body that did not arrive within {settings.body_seconds:g} s"
        message = sentence(got, "all of it", "send it faster, or scale the image down")
        headers = {"Connection": "close"}
        raise ServiceError(408, "timeout_error", "body_too_slow", message, headers=headers) from None


async def _collected(request: Request, settings: ServiceSettings, take: Callable[[int], None]) -> bytes:
    content = bytearray()
    async for chunk in request.stream():
        if len(content) + len(chunk) > settings.upload_bytes:
            raise _too_large(settings)
        take(len(chunk))
        content += chunk
    return bytes(content)


def _too_large(settings: ServiceSettings) -> ServiceError:
    got = f"a body of more than {settings.upload_bytes / 1e6:g} MB"
    message = sentence(got, "a smaller one", "scale the image down, or send it as JPEG")
    return ServiceError(413, "invalid_request_error", "body_too_large", message, headers={"Connection": "close"})


def _read_json(content: bytes, settings: ServiceSettings) -> SegmentRequest:
    return read_request(parsed_json(content), {}, settings)


async def _form(request: Request, content: bytes) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the fields and the files of a form whose bytes were read."""
    from starlette.datastructures import UploadFile
    from starlette.formparsers import MultiPartException, MultiPartParser

    class InMemory(MultiPartParser):
        spool_max_size = len(content) + 1  # nothing is written to the disk: the body is in memory already

    async def once() -> AsyncGenerator[bytes, None]:
        yield content
        yield b""

    try:
        parser = InMemory(
            request.headers, once(), max_files=FIELDS, max_fields=FIELDS, max_part_size=max(1, len(content))
        )
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError, AssertionError) as error:
        got = f"a form that cannot be read ({quote(error, limit=60)})"
        raise invalid(sentence(got, "multipart/form-data with its boundary", "let a library write it")) from None
    fields: dict[str, Any] = {}
    files: dict[str, bytes] = {}
    for name, value in form.multi_items():
        if isinstance(value, UploadFile):
            files[name] = await value.read()
            await value.close()
        elif name in ("prompt", "prompts"):
            fields.setdefault("prompts", []).extend(_prompts(value))
        else:
            fields[name] = value
    return fields, files


def _prompts(value: str) -> list[Any]:
    """Return the prompts of a field: a phrase, an object in JSON, or a list of both in JSON."""
    if not value.lstrip().startswith(("{", "[")):
        return [value]
    try:
        read = json.loads(value)
    except (ValueError, RecursionError):
        return [value]  # a phrase may begin with a bracket
    return read if isinstance(read, list) else [read]
