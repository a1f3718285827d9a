"""Reading of requests: a checked body, and prompts that are built when a model is free."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from wordmask.errors import quote, sentence
from wordmask.serve.failures import ServiceError, invalid
from wordmask.serve.schema import ExampleBody, ImageBody, MaskBody, PromptBody, SegmentBody

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wordmask.serve.settings import ServiceSettings

__all__ = ["Example", "PromptSpec", "SegmentRequest", "parsed_json", "read_request"]


@dataclass(frozen=True)
class Example:
    """An example image that is not decoded yet.

    Attributes:
        content: Bytes of its file.
        key: SHA-256 of them.
        mask: Where the object is in it; None means everywhere.
    """

    content: bytes
    key: str
    mask: MaskBody | None


@dataclass(frozen=True)
class PromptSpec:
    """A prompt as it came.

    Attributes:
        body: What was asked.
        example: Its example; None for a phrase.
    """

    body: PromptBody
    example: Example | None

    @property
    def kind(self) -> str:
        """`text`, `visual` or `mixed`."""
        if self.example is None:
            return "text"
        return "visual" if self.body.text is None else "mixed"


@dataclass(frozen=True)
class SegmentRequest:
    """A checked request.

    Attributes:
        content: Bytes of the image's file.
        key: SHA-256 of them.
        prompts: What is asked.
        model: Name of the model; None takes the first.
        format: How masks are written.
        threshold, presence_threshold: Of the whole request; None takes the model's.
        instances, heatmap, explain: What the answer holds.
        options: Options that only some models have, those that were given.
    """

    content: bytes
    key: str
    prompts: tuple[PromptSpec, ...]
    model: str | None
    format: str
    threshold: float | None
    presence_threshold: float | None
    instances: bool
    heatmap: bool
    explain: bool
    options: tuple[tuple[str, bool | str], ...] = ()


def read_request(body: Any, files: Mapping[str, bytes], settings: ServiceSettings) -> SegmentRequest:
    """Check a body and find its images.

    Args:
        body: Parsed JSON, or the fields of a form.
        files: Files of a form by field.
        settings: Limits.

    Raises:
        ServiceError: If something in it is missing, wrong or over a limit.
    """
    checked = _checked_body(body, "image" in files)
    sources = _Sources(files, settings)
    content = sources.read(ImageBody(field="image") if checked.image is None else checked.image, "image")
    specs = _prompt_bodies(checked, settings)
    options = tuple((name, v) for name in ("refine", "place") if (v := getattr(checked, name)) is not None)
    for name in ("threshold", "presence_threshold"):
        _check_probability(getattr(checked, name), name)
    return SegmentRequest(
        content, sources.key(content),
        tuple(PromptSpec(spec, _example(spec.visual, content, sources)) for spec in specs),
        checked.model, checked.format, checked.threshold, checked.presence_threshold, checked.instances,
        checked.heatmap, checked.explain, options,
    )  # fmt: skip


def parsed_json(content: bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        ServiceError: If it is none.
    """
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        got = f"a body that is no JSON ({quote(error, limit=60)})"
        raise invalid(sentence(got, "a JSON object in UTF-8", "see /openapi.json for examples")) from None


class _Sources:
    """Where the images of a request are: in its body, in files of the form, or at addresses."""

    def __init__(self, files: Mapping[str, bytes], settings: ServiceSettings) -> None:
        self.files, self.settings = files, settings

    def read(self, source: str | ImageBody, name: str) -> bytes:
        """Return the bytes of an image's file."""
        body = ImageBody(base64=source) if isinstance(source, str) else source
        given = [kind for kind in ("base64", "url", "field") if getattr(body, kind) is not None]
        if len(given) != 1:
            got = f"{name} with {' and '.join(given) or 'nothing'}"
            raise invalid(sentence(got, "one of base64, url or field", "give the image in one way"))
        content = getattr(self, f"_{given[0]}")(getattr(body, given[0]), name)
        if not content:
            raise invalid(sentence(f"an empty {name}", "the bytes of an image file", "send the file"))
        return bytes(content)

    def key(self, content: bytes) -> str:
        return hashlib.sha256(content).hexdigest()

    def _base64(self, text: str, name: str) -> bytes:
        return decoded_base64(text, name)

    def _url(self, address: str, name: str) -> bytes:
        if not self.settings.allow_urls:
            got = f"{name} as an address"
            message = sentence(got, "the bytes of an image", "send the file; this service reads no addresses")
            raise ServiceError(403, "permission_error", "url_refused", message)
        from wordmask.addresses import fetch
        from wordmask.errors import ImageError

        try:
            return fetch(address)
        except ImageError as error:
            raise invalid(str(error), code="url_refused") from None

    def _field(self, field: str, name: str) -> bytes:
        if field not in self.files:
            got = f"no file {quote(field)} for {name}"
            raise invalid(sentence(got, "a file of the form, or base64", "send the image"), code="image_missing")
        return self.files[field]


def decoded_base64(text: str, name: str) -> bytes:
    """Return the bytes of base64, with or without the head of a data address.

    Raises:
        ServiceError: If it is none.
    """
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        plain = "".join(text.split()) if any(blank in text for blank in " \r\n\t") else text
        return base64.b64decode(plain, validate=True)
    except (binascii.Error, ValueError):
        got = f"{name} that is no base64"
        raise invalid(sentence(got, "the bytes of a file in base64", "encode them"), code="image_unreadable") from None


def _example(visual: ExampleBody | None, image: bytes, sources: _Sources) -> Example | None:
    if visual is None:
        return None
    content = image if visual.image is None else sources.read(visual.image, "an example")
    if visual.mask is not None:
        given = [kind for kind in ("rle", "png", "box") if getattr(visual.mask, kind) is not None]
        if len(given) != 1:
            got = f"a mask with {' and '.join(given) or 'nothing'}"
            raise invalid(sentence(got, "one of rle, png or box", "give the mask in one way"))
    return Example(content, sources.key(content), visual.mask)


def _prompt_bodies(body: SegmentBody, settings: ServiceSettings) -> list[PromptBody]:
    given = body.prompts if isinstance(body.prompts, list) else [body.prompts] if body.prompts else []
    if not given:
        raise invalid(sentence("no prompt", "at least one phrase", "name what to segment"), code="invalid_prompt")
    if len(given) > settings.prompts:
        raise _too_many(len(given), "prompts", settings.prompts)
    bodies = [PromptBody(text=one) if isinstance(one, str) else one for one in given]
    for one in bodies:
        if one.text is None and one.visual is None:
            message = sentence("a prompt with neither text nor visual", "one of them", "say what to segment")
            raise invalid(message, code="invalid_prompt")
        if len(one.negatives) > settings.negatives:
            raise _too_many(len(one.negatives), "negatives of a prompt", settings.negatives)
        _check_probability(one.threshold, "threshold")
    return bodies


def _too_many(count: int, what: str, limit: int) -> ServiceError:
    return invalid(sentence(f"{count} {what}", f"at most {limit}", "split the request"), code="too_many", status=413)


def _check_probability(value: float | None, name: str) -> None:
    if value is not None and not 0 <= value <= 1:
        raise invalid(sentence(f"{name} {value:g}", "a probability from 0 to 1", f"give for example 0.5 as {name}"))


@lru_cache(maxsize=1)
def _reader() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(SegmentBody)


def _checked_body(body: Any, has_file: bool) -> SegmentBody:
    from pydantic import ValidationError

    if not isinstance(body, dict):
        raise invalid(sentence(f"a body of type {type(body).__name__}", "a JSON object", "see /openapi.json"))
    try:
        checked: SegmentBody = _reader().validate_python(body)
    except ValidationError as error:
        raise invalid(_first(error)) from None
    if checked.image is None and not has_file:
        raise invalid(sentence("no image", "a file, or its bytes in base64", "send one"), code="image_missing")
    return checked


def _first(error: Any) -> str:
    """Return the most telling of the errors of a validation: the one that lies deepest."""
    worst = max(error.errors(include_url=False), key=lambda one: len(one["loc"]))
    where = ".".join(str(part) for part in worst["loc"] if str(part)[:1].islower() or isinstance(part, int))
    got = f"{where or 'a body'} = {quote(worst['input'], limit=60)}"
    return sentence(got, worst["msg"][:1].lower() + worst["msg"][1:], "see /openapi.json for what is taken")
