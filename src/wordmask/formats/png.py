"""Masks as PNG."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray


def encode_png(mask: NDArray[np.bool_]) -> bytes:
    """Return a mask `(H, W)` as the bytes of an 8-bit greyscale PNG: 255 on the object, 0 elsewhere."""
    buffer = io.BytesIO()
    # Masks are long runs: the fastest compression already makes them a few kilobytes.
    Image.fromarray(np.negative(mask.view(np.uint8))).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
