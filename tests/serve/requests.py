"""Requests that the tests of the service send."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image


def image_bytes(*, height: int = 40, width: int = 60, seed: int | None = None) -> bytes:
    """PNG: the left half black, the right half white; with a seed, noise on it."""
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[:, width // 2 :] = 255
    if seed is not None:
        noise = np.random.default_rng(seed).integers(0, 30, pixels.shape, dtype=np.uint8)
        pixels = np.where(pixels > 0, pixels - noise, pixels + noise)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def body(prompts: Any = ("bright",), **more: Any) -> dict[str, Any]:
    return {"image": text(image_bytes()), "prompts": prompts, **more}
