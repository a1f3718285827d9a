"""An image that has been read, and its largest size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wordmask.errors import ImageError, sentence

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_PIXELS = 200_000_000
"""Largest image that is read, in pixels; larger files are taken for decompression bombs."""


@dataclass(frozen=True, eq=False)
class RgbImage:
    """An image that has been read.

    Attributes:
        pixels: uint8 `(H, W, 3)` RGB, read-only, upright (EXIF orientation applied), opaque (alpha over white).
        name: File name, or None when it came from memory.
        path: Where it was read, as given; None when it came from memory.
    """

    pixels: NDArray[np.uint8]
    name: str | None = None
    path: str | None = None

    @property
    def size(self) -> tuple[int, int]:
        """`(height, width)`."""
        height, width = self.pixels.shape[:2]
        return height, width


def check_pixels(height: int, width: int, shown: str, max_pixels: int) -> None:
    """Check the size of an image.

    Raises:
        ImageError: If it has no pixel or more than `max_pixels`; `shown` stands for it in the message.
    """
    got = f"{shown} of {width} x {height} pixels"
    if width < 1 or height < 1:
        raise ImageError(sentence(got, "at least 1 x 1", "export it again with a size"))
    if width * height > max_pixels:
        expected = f"at most {max_pixels / 1e6:g} million"
        raise ImageError(sentence(got, expected, "scale it down or cut it into tiles"))
