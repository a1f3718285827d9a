"""An image whose file is decoded when its pixels are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wordmask.images.load import load_image
from wordmask.images.rgb import RgbImage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["DeferredImage"]


class DeferredImage(RgbImage):
    """An `RgbImage` of known size that decodes its file at the first access to `pixels`.

    Args:
        content: The bytes of the file.
        size: `(H, W)` of the upright image.
        name: File name.
        path: Where it was read.
    """

    def __init__(self, content: bytes, size: tuple[int, int], *, name: str | None, path: str | None) -> None:
        for field, value in (("_content", content), ("_size", size), ("name", name), ("path", path), ("_pixels", None)):
            object.__setattr__(self, field, value)

    @property
    def size(self) -> tuple[int, int]:
        """`(height, width)`; nothing is decoded."""
        return self._size  # type: ignore[attr-defined, no-any-return]

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """uint8 `(H, W, 3)` RGB.

        Raises:
            ImageError: If the file cannot be decoded.
        """
        if self._pixels is None:  # type: ignore[attr-defined]
            object.__setattr__(self, "_pixels", load_image(self._content).pixels)  # type: ignore[attr-defined]
        return self._pixels  # type: ignore[attr-defined, no-any-return]
