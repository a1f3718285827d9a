"""Open image files: paths, samples, bytes and streams."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from wordmask.errors import ImageError, MissingExtraError, quote, sentence
from wordmask.files import require_regular
from wordmask.images.decoding import KNOWN, read_file

if TYPE_CHECKING:
    from wordmask.images.rgb import RgbImage

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_BYTES",
    "SAMPLES",
    "check_path",
    "from_bytes",
    "from_path",
    "from_stream",
    "read_all",
    "sample_path",
]

IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".gif", ".jfif", ".jp2", ".pgm", ".pnm", ".ppm",
    ".tga",
)  # fmt: skip
"""Endings, in lower case, of the files that are images where a folder is read; the usual ones first."""

SAMPLES = ("astronaut", "chelsea", "coffee")
"""Images that come with scikit-image, readable as `sample:NAME`."""

MAX_BYTES = 500_000_000
"""Most that is read of a stream, such as standard input, which may never end."""


def sample_path(address: str) -> Path:
    """Return the file of a sample such as `sample:astronaut`.

    Raises:
        ImageError: If there is no such sample.
        MissingExtraError: If scikit-image is not installed.
    """
    name = address.removeprefix("sample:")
    if name not in SAMPLES:
        expected = " or ".join(f"sample:{sample}" for sample in SAMPLES)
        raise ImageError(sentence(f"the sample {quote(address)}", expected, "choose one of these, or give a path"))
    package = find_spec("skimage")  # not imported: that takes 0.2 s
    if package is None or package.origin is None:
        remedy = "run `pip install scikit-image`, or give a path"
        raise MissingExtraError(sentence("a sample image", "scikit-image, which contains it", remedy))
    return Path(package.origin).parent / "data" / f"{name}.png"


def check_path(path: str | os.PathLike[str]) -> None:
    """Check that a path names an ordinary file that may be read; nothing is decoded.

    Raises:
        ImageError: If it does not.
    """
    with _open_path(path):
        pass


def from_path(path: str | os.PathLike[str], max_pixels: int) -> RgbImage:
    """Read an image file."""
    text = os.fsdecode(path)
    with _open_path(path) as file:
        try:
            return replace(read_file(file, quote(text), Path(text).name, max_pixels), path=text)
        except OSError as error:
            raise _unreadable(text) from error


def _open_path(path: str | os.PathLike[str]) -> IO[bytes]:
    text = os.fsdecode(path)
    if not text:
        remedy = "name a file, or a sample such as sample:astronaut"
        raise ImageError(sentence("an empty path", "the path of an image", remedy))
    if "://" in text[:12]:
        raise ImageError(sentence(f"the address {quote(text)}", "a file on this machine", "download it first"))
    try:
        _check_file(Path(text), text)
        return open(text, "rb")
    except FileNotFoundError as error:
        got = f"the path {quote(text)}, where there is nothing"
        raise ImageError(sentence(got, KNOWN, "check the spelling and the folder")) from error
    except PermissionError as error:
        got = f"the file {quote(text)}, which may not be read"
        raise ImageError(sentence(got, "read permission", "change its permissions")) from error
    except (OSError, ValueError) as error:
        raise _unreadable(text) from error


def _unreadable(text: str) -> ImageError:
    got = f"the path {quote(text)}, which this system cannot open"
    return ImageError(sentence(got, "the path of an image", "check the path and the disk"))


def _check_file(path: Path, text: str) -> None:
    if path.is_dir():
        remedy = f"name a file in it, or all of them with {quote(os.path.join(text, '*.jpg'))}"
        raise ImageError(sentence(f"the folder {quote(text)}", "an image file", remedy))
    require_regular(path, "an image file", error=ImageError, remedy="download or export it again")


def from_bytes(content: Any, max_pixels: int) -> RgbImage:
    """Read an image from the bytes of its file."""
    return read_file(io.BytesIO(content), "bytes", None, max_pixels)


def from_stream(stream: Any, max_pixels: int) -> RgbImage:
    """Read an image from an open file."""
    name = getattr(stream, "name", None)
    unnamed = "standard input" if name == "<stdin>" else "a stream"
    name = os.path.basename(name) if isinstance(name, str) and not name.startswith("<") else None
    shown = quote(name) if name else unnamed
    return read_file(io.BytesIO(read_all(stream, shown)), shown, name, max_pixels)


def read_all(stream: Any, shown: str) -> bytes:
    """Return what is left of an open file, of at most `MAX_BYTES`.

    Raises:
        ImageError: If it cannot be read, is opened as text or does not end; `shown` stands for it in the message.
    """
    try:
        content = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ImageError(sentence("a file that cannot be read", "an open file", "open it again with 'rb'")) from error
    if not isinstance(content, bytes):
        raise ImageError(sentence("a file opened as text", "a file opened as bytes", "open it with mode 'rb'"))
    if len(content) > MAX_BYTES:
        got = f"more than {MAX_BYTES / 1e6:.0f} MB from {shown}"
        raise ImageError(sentence(got, "the bytes of one image", "write them to a file, and give its path"))
    return content
