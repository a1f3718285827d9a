"""Decode image files with Pillow, within bounds and without output of its libraries."""

from __future__ import annotations

import os
import struct
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, cast

from PIL import ExifTags, Image

from wordmask.errors import ImageError, quote, sentence
from wordmask.images.pixels import GREY_MODES, from_decoded
from wordmask.images.rgb import RgbImage, check_pixels

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["KNOWN", "decode", "quiet_libraries", "read_file"]

_quiet = False

# Decoders that run no other program (EPS would start Ghostscript) and read still images; common ones first, and
# last TGA, whose files have no mark of their own.
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "AVIF", "JPEG2000", "ICO", "QOI", "TGA")
KNOWN = "an image such as JPEG, PNG, WebP, TIFF, GIF or BMP"
_HEIC = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"heif", b"mif1", b"msf1"})  # brands of files
# What decoders raise on damaged data; anything else is a fault of ours and must surface.
_DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, AttributeError, OverflowError,
    ZeroDivisionError, MemoryError, NotImplementedError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip


def read_file(file: IO[bytes], shown: str, name: str | None, max_pixels: int) -> RgbImage:
    """Read an image from an open file; `shown` stands for it in messages.

    Raises:
        ImageError: If it is no image, damaged or too large.
    """
    head = file.read(64)
    if not head:
        raise ImageError(sentence(f"nothing in {shown}", KNOWN, "download or export it again"))
    image = _open(file, head, shown)
    if image is None and head[4:8] == b"ftyp" and head[8:12] in _HEIC:
        remedy = "convert it to JPEG, or open it with pillow-heif (`pip install pillow-heif`) and pass the PIL image"
        raise ImageError(sentence(f"{shown}, which is a HEIC image", KNOWN, remedy))
    if image is None:
        got = f"{shown}, which is not an image or is damaged in its first bytes"
        raise ImageError(sentence(got, KNOWN, "open it in a viewer and export it again"))
    with image:
        check_pixels(image.height, image.width, shown, max_pixels)
        return RgbImage(decode(image, shown), name)


def _open(file: IO[bytes], head: bytes, shown: str) -> Image.Image | None:
    """Return the unread image of the first decoder that knows the file, or None.

    The table of decoders is walked here because `Image.open` applies Pillow's own limit (an error at 179 megapixels,
    a warning at 89) that can be moved only for the whole process; `max_pixels` takes its place. Some decoders apply
    that limit themselves.

    Raises:
        ImageError: If a decoder does.
    """
    Image.preinit()
    for kind in _FORMATS:
        if kind not in Image.OPEN:
            Image.init()  # imports the rarer decoders
        factory, accept = cast("Any", Image.OPEN.get(kind, (None, None)))
        if factory is None or (accept is not None and accept(head) is not True):
            continue
        file.seek(0)
        try:
            return cast("Image.Image", factory(file, ""))
        except Image.DecompressionBombError as error:
            raise _too_large(shown) from error
        except _DAMAGE:
            continue
    return None


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep what libtiff prints about damaged files off standard error, for commands, which print a sentence.

    Only while a TIFF is decoded, since standard error belongs to the whole process.
    """
    global _quiet
    before, _quiet = _quiet, True
    try:
        yield
    finally:
        _quiet = before


@contextmanager
def _without_standard_error(wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)


def decode(image: Image.Image, shown: str) -> NDArray[np.uint8]:
    """Return uint8 RGB `(H, W, 3)` of an image that may not have been loaded yet, upright and read-only.

    Raises:
        ImageError: If it is damaged, too large for its decoder, or has values that are none of an image's.
    """
    deep = ";16" in str(getattr(image, "tile", "")) and image.mode not in GREY_MODES
    try:
        with _without_standard_error(_quiet and image.format == "TIFF"):
            image.load()
        return from_decoded(image, shown, _orientation(image), deep=deep)
    except Image.DecompressionBombError as error:
        raise _too_large(shown) from error
    except _DAMAGE as error:
        got = f"{shown}, which is damaged or cut short ({quote(error, limit=60)})"
        raise ImageError(sentence(got, "a complete image", "download or export it again")) from error


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; a damaged EXIF block turns nothing."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except _DAMAGE:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _too_large(shown: str) -> ImageError:
    limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6
    got = f"{shown}, which is too large for the decoder of its format"
    remedy = "scale it down, cut it into tiles, or save it as JPEG or PNG"
    return ImageError(sentence(got, f"at most {limit:.0f} million pixels in WebP, ICO and TIFF files", remedy))
