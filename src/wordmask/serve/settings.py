"""What a service allows and how it batches."""

from __future__ import annotations

from dataclasses import dataclass

from wordmask.errors import DataError, quote, sentence

__all__ = ["LOCAL_HOSTS", "ServiceSettings"]

LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]")
"""Names under which a browser on the same machine reaches a service bound to the loopback interface."""


@dataclass(frozen=True)
class ServiceSettings:
    """Limits of a service; every one is enforced before the work that it bounds.

    Attributes:
        upload_bytes: Most bytes of a request's body.
        image_pixels: Most pixels of an image, compared before it is decoded.
        prompts: Most prompts of a request, negatives not counted.
        negatives: Most negative phrases of a prompt.
        waiting: Most requests that wait for a model; further ones are answered 503.
        held_bytes: Most bytes of all bodies that are being read or waited for; further ones are answered 503.
        seconds: Time from the arrival of a request to its answer; then 504.
        body_seconds: Time in which a body must have arrived; then 408.
        feature_bytes: Memory for features of images that were encoded before.
        workers: Threads that run models; 0 takes one for each two cores.
        batch_prompts: Most prompts of several requests about one image that are decoded together.
        unsure_margin: A presence nearer than this to its threshold is reported as `unsure`.
        api_keys: One of them must come as `Authorization: Bearer KEY`; () asks for none.
        cors_origins: Origins of other pages that may call the service; () allows none.
        hosts: Values of the header `Host` that are answered; () answers all.
        allow_urls: Whether images may be given as http and https addresses (of public servers only).
        page: Whether the service shows its page.

    Raises:
        DataError: If a limit is not positive.
    """

    upload_bytes: int = 25_000_000
    image_pixels: int = 50_000_000
    prompts: int = 64
    negatives: int = 16
    waiting: int = 64
    held_bytes: int = 256_000_000
    seconds: float = 60.0
    body_seconds: float = 30.0
    feature_bytes: int = 256_000_000
    workers: int = 0
    batch_prompts: int = 64
    unsure_margin: float = 0.1
    api_keys: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    allow_urls: bool = False
    page: bool = True

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            if not getattr(self, name) > 0:
                got = f"{name}={quote(getattr(self, name))}"
                raise DataError(sentence(got, "a positive number", "raise it"))
        if any(not key for key in self.api_keys):
            raise DataError(sentence("an empty API key", "a secret", "set it, or leave it out"))


_POSITIVE = (
    "upload_bytes", "image_pixels", "prompts", "negatives", "waiting", "held_bytes", "seconds", "body_seconds",
    "batch_prompts",
)  # fmt: skip
