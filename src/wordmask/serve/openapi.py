"""The OpenAPI document: bodies from the dataclasses of `schema`, with examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wordmask.serve.schema import ErrorBody, SegmentAnswer, SegmentBody

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["EXAMPLES", "SEGMENT_BODY", "described", "responses"]

EXAMPLES: dict[str, Any] = {
    "phrases": {
        "summary": "Two phrases",
        "value": {"image": "/9j/4AAQSkZJRgABAQAAAQABAAD...", "prompts": ["face", "hair"]},
    },
    "negatives": {
        "summary": "A phrase with a negative, polygons",
        "value": {
            "image": {"base64": "iVBORw0KGgo..."},
            "prompts": [{"text": "eye", "negatives": ["eyebrow"], "threshold": 0.4}],
            "format": "polygon",
        },
    },
    "example": {
        "summary": "An example: what is in the box of another image",
        "value": {
            "image": {"base64": "iVBORw0KGgo..."},
            "prompts": [{"name": "screw", "visual": {"image": "/9j/4AAQ...", "mask": {"box": [10, 20, 60, 90]}}}],
        },
    },
}
"""Bodies of `POST /v1/segment`, as its documentation shows them."""
_FORM = {
    "type": "object",
    "required": ["image", "prompts"],
    "properties": {
        "image": {"type": "string", "format": "binary"},
        "prompts": {"type": "array", "items": {"type": "string"}},
        "model": {"type": "string"},
        "format": {"type": "string", "enum": ["rle", "polygon", "png"]},
        "threshold": {"type": "number"},
        "presence_threshold": {"type": "number"},
        "instances": {"type": "boolean"},
        "heatmap": {"type": "boolean"},
        "refine": {"type": "boolean"},
        "place": {"type": "string", "enum": ["auto", "viewer", "subject", "off"]},
        "explain": {"type": "boolean"},
    },
}
SEGMENT_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/SegmentBody"}, "examples": EXAMPLES},
            "multipart/form-data": {"schema": _FORM},
        },
    }
}
"""What `POST /v1/segment` takes, for its route."""
_ERRORS = {
    400: "A malformed request, prompt or image.",
    401: "No valid API key.",
    403: "An address of an image, or another page, that is not allowed.",
    404: "No such model.",
    408: "A body that did not arrive in time.",
    413: "A body, an image or a list of prompts over a limit.",
    415: "Neither JSON nor a form.",
    503: "The queue is full; the header Retry-After says when to come again.",
    504: "No answer in time.",
}


def responses() -> dict[int | str, dict[str, Any]]:
    """Return the answers of `POST /v1/segment` by status."""
    errors: dict[int | str, dict[str, Any]] = {
        status: {"description": text, "model": ErrorBody} for status, text in _ERRORS.items()
    }
    return {200: {"description": "What was found.", "model": SegmentAnswer}} | errors


def described(app: FastAPI) -> None:
    """Let the application describe the body of `POST /v1/segment`, which it reads by itself."""
    from pydantic import TypeAdapter

    made = app.openapi

    def openapi() -> dict[str, Any]:
        document = made()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        if "SegmentBody" not in schemas:
            body = TypeAdapter(SegmentBody).json_schema(ref_template="#/components/schemas/{model}")
            schemas |= body.pop("$defs", {})
            schemas["SegmentBody"] = body
        return document

    app.openapi = openapi  # type: ignore[method-assign]
