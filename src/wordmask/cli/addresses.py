"""Images from addresses."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from wordmask.addresses import fetch

if TYPE_CHECKING:
    from wordmask.images import RgbImage


class _Downloaded(io.BytesIO):
    """Bytes with a name for messages."""

    name = ""


def read_image(address: str) -> RgbImage:
    """Read an image from an address.

    Raises:
        ImageError: As `fetch`, or it is no image.
    """
    from wordmask.images import load_image

    content = _Downloaded(fetch(address))
    content.name = PurePosixPath(urlsplit(address).path).name or str(urlsplit(address).hostname)
    return replace(load_image(content), path=address)
