"""The input of an encoded image, for networks that see the image itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wordmask.contracts import Encoded
from wordmask.errors import ImageError, sentence

if TYPE_CHECKING:
    from wordmask.images import RgbImage

__all__ = ["require_pixels"]


def require_pixels(image: Encoded | RgbImage) -> RgbImage:
    """Return the input image itself.

    Raises:
        ImageError: If an encoded image was kept without it.
    """
    if not isinstance(image, Encoded):
        return image
    if image.image is None:
        raise ImageError(sentence("an encoded image without its pixels", "one with them", "pass the image"))
    return image.image
