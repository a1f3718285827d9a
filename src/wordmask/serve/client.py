"""A client of the service, with the standard library alone."""

from __future__ import annotations

import base64
import json
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

from wordmask.errors import WordmaskError, sentence
from wordmask.serve.schema import MaskAnswer, SegmentAnswer, SegmentResult

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Client", "ServiceFailure", "mask_of"]


class ServiceFailure(WordmaskError):
    """An answer of the service that is an error.

    Attributes:
        status: HTTP status.
        code: The very error, such as `queue_full`.
        retry_after: Seconds after which to try again; None where that is no use.
    """

    def __init__(self, message: str, *, status: int, code: str, retry_after: float | None) -> None:
        super().__init__(message)
        self.status, self.code, self.retry_after = status, code, retry_after


class Client:
    """Calls a service.

    Args:
        address: Where it is.
        api_key: Its key, where it asks for one.
        seconds: Time for a call.
        tries: How often a call is made while the queue is full.
    """

    def __init__(
        self, address: str = "http://127.0.0.1:8000", *, api_key: str | None = None, seconds: float = 60.0,
        tries: int = 5,
    ) -> None:  # fmt: skip
        self.address, self.api_key, self.seconds, self.tries = address.rstrip("/"), api_key, seconds, tries

    def segment(
        self, image: bytes | str | os.PathLike[str], prompts: str | Sequence[str | dict[str, Any]], **options: Any
    ) -> SegmentAnswer:
        """Segment an image.

        Args:
            image: Path of a file on this machine, or the bytes of one.
            prompts: Phrases, or objects as in the service's documentation.
            options: Further fields of the request, such as `model`, `format`, `threshold`, `heatmap`.

        Raises:
            ServiceFailure: If the service refuses.
        """
        content = image
        if not isinstance(content, bytes):
            with open(content, "rb") as file:
                content = file.read()
        asked = [prompts] if isinstance(prompts, str) else list(prompts)
        body = {"image": base64.b64encode(content).decode("ascii"), "prompts": asked, **options}
        return _answer(self._call("/v1/segment", body))

    def models(self) -> list[dict[str, Any]]:
        """Return the models of the service, the default first."""
        found: list[dict[str, Any]] = self._call("/v1/models")["data"]
        return found

    def health(self) -> dict[str, Any]:
        """Return how the service is."""
        return self._call("/v1/health")

    def _call(self, path: str, body: Any = None) -> dict[str, Any]:
        headers = {"Content-Type": "application/json"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        content = None if body is None else json.dumps(body).encode("utf-8")
        for left in reversed(range(self.tries)):
            request = urllib.request.Request(self.address + path, content, headers)
            try:
                with urllib.request.urlopen(request, timeout=self.seconds) as answer:
                    read: dict[str, Any] = json.load(answer)
                    return read
            except urllib.error.HTTPError as error:
                failure = _failure(error)
                if failure.retry_after is None or not left:
                    raise failure from None
                time.sleep(failure.retry_after)
            except OSError as error:
                message = sentence(
                    f"no answer of {self.address} ({error})", "a running service", "start wordmask serve"
                )
                raise ServiceFailure(message, status=0, code="unreachable", retry_after=None) from error
        raise AssertionError("the last try returns or raises")


def mask_of(answer: MaskAnswer) -> NDArray[np.bool_]:
    """Return bool `(H, W)` of a mask that came as run lengths."""
    from wordmask.ops.rle import decode

    assert answer.rle is not None, "ask for format='rle'"
    return decode({"size": answer.rle["size"], "counts": answer.rle["counts"]})


def _answer(body: dict[str, Any]) -> SegmentAnswer:
    results = [
        SegmentResult(**{**one, "masks": [MaskAnswer(**mask) for mask in one["masks"]]}) for one in body["results"]
    ]
    return SegmentAnswer(**{**body, "results": results})


def _failure(error: urllib.error.HTTPError) -> ServiceFailure:
    after = error.headers.get("Retry-After")
    try:
        said = json.load(error)["error"]
    except (ValueError, KeyError, TypeError):
        said = {"message": f"HTTP {error.code}", "code": "unknown"}
    wait = float(after) if after and after.isdecimal() else None
    return ServiceFailure(said["message"], status=error.code, code=said["code"], retry_after=wait)
