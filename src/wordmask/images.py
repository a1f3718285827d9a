"""Read images from paths, bytes, PIL images, arrays and tensors as RGB uint8."""

from __future__ import annotations

import io
import os
import struct
import sys
import zlib
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
from PIL import Image, ImageOps

from wordmask.errors import ImageError, MissingExtraError, quote, sentence
from wordmask.files import require_regular

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

__all__ = ["IMAGE_SUFFIXES", "MAX_PIXELS", "SAMPLES", "ImageInput", "RgbImage", "check_path", "load_image"]

MAX_PIXELS = 200_000_000
"""Largest image decoded from a file, in pixels; larger ones are taken for decompression bombs."""

IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif", ".gif", ".jfif", ".jp2", ".pgm", ".pnm", ".ppm",
    ".tga",
)  # fmt: skip
"""Endings, in lower case, of the files that are images where a folder is read; the usual ones first."""

SAMPLES = ("astronaut", "chelsea", "coffee")
"""Images that come with scikit-image, readable as `sample:NAME`."""

# Decoders that run no other program (EPS would start Ghostscript) and read still images; common ones first, and
# last TGA, whose files have no mark of their own.
_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "AVIF", "JPEG2000", "ICO", "QOI", "TGA")
_KNOWN = "an image such as JPEG, PNG, WebP, TIFF, GIF or BMP"
_HEIC = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"heif", b"mif1", b"msf1"})  # brands of files
# What decoders raise on damaged data; anything else is a fault of ours and must surface.
_DAMAGE = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, AttributeError, OverflowError,
    ZeroDivisionError, MemoryError, NotImplementedError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip
_GREY_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")  # more than 8 bits in one channel
_FLOAT_SLACK = 1e-4  # resampling and normalising leave values a hair outside [0, 1]


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


ImageInput: TypeAlias = (
    "RgbImage | str | os.PathLike[str] | bytes | IO[bytes] | Image.Image | NDArray[Any] | torch.Tensor"
)


def load_image(image: ImageInput, *, max_pixels: int = MAX_PIXELS) -> RgbImage:
    """Read an image.

    Args:
        image: A path, `sample:astronaut` (or chelsea, coffee), the bytes of a file, an open binary file, a PIL image,
            an array `(H, W)` or `(H, W, 1 | 3 | 4)` of uint8, uint16 or float in [0, 1], or a torch tensor of the
            same types, `(3, H, W)` or `(H, W, 3)` (read as channels first where both fit). Of an animation or a
            stack the first image is read.
        max_pixels: Files that would decode to more pixels than this are refused before they are decoded.

    Raises:
        ImageError: If it is missing, unreadable, damaged, empty, too large or of a type that is not listed above.
        MissingExtraError: If a sample is asked for and scikit-image is not installed.
    """
    if isinstance(image, RgbImage):
        return image
    if isinstance(image, Image.Image):
        return _from_pil(image, max_pixels)
    if isinstance(image, np.ndarray):
        return RgbImage(_from_array(image, "an array", _ARRAY_REMEDY))
    if isinstance(image, bytes | bytearray | memoryview):
        return _from_file(io.BytesIO(image), "bytes", None, max_pixels)
    if isinstance(image, str) and image.startswith("sample:"):
        return _sample(image)
    if isinstance(image, str | os.PathLike):
        return _from_path(image, max_pixels)
    if _is_tensor(image):
        return _from_tensor(image)
    if callable(getattr(image, "read", None)):
        return _from_stream(image, max_pixels)
    expected = "a path, bytes, a PIL image, a NumPy array or a torch tensor"
    raise ImageError(sentence(f"an image of type {type(image).__name__}", expected, "convert it to one of these"))


# --- files ---------------------------------------------------------------------------------------------------------


def _sample(address: str) -> RgbImage:
    name = address.removeprefix("sample:")
    if name not in SAMPLES:
        expected = " or ".join(f"sample:{sample}" for sample in SAMPLES)
        raise ImageError(sentence(f"the sample {quote(address)}", expected, "choose one of these, or give a path"))
    package = find_spec("skimage")  # not imported: that takes 0.2 s
    if package is None or package.origin is None:
        remedy = "run `pip install scikit-image`, or give a path"
        raise MissingExtraError(sentence("a sample image", "scikit-image, which contains it", remedy))
    image = _from_path(Path(package.origin).parent / "data" / f"{name}.png", MAX_PIXELS)
    return replace(image, path=address)


def check_path(path: str | os.PathLike[str]) -> None:
    """Check that a path names an ordinary file that may be read; nothing is decoded.

    Raises:
        ImageError: If it does not.
    """
    with _open_path(path):
        pass


def _from_path(path: str | os.PathLike[str], max_pixels: int) -> RgbImage:
    text = os.fsdecode(path)
    with _open_path(path) as file:
        try:
            return replace(_from_file(file, quote(text), Path(text).name, max_pixels), path=text)
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
        raise ImageError(sentence(got, _KNOWN, "check the spelling and the folder")) from error
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


def _from_stream(stream: Any, max_pixels: int) -> RgbImage:
    try:
        content = stream.read()
    except (OSError, ValueError) as error:
        raise ImageError(sentence("a file that cannot be read", "an open file", "open it again with 'rb'")) from error
    if not isinstance(content, bytes):
        raise ImageError(sentence("a file opened as text", "a file opened as bytes", "open it with mode 'rb'"))
    name = getattr(stream, "name", None)
    unnamed = "standard input" if name == "<stdin>" else "a stream"
    name = os.path.basename(name) if isinstance(name, str) and not name.startswith("<") else None
    return _from_file(io.BytesIO(content), quote(name) if name else unnamed, name, max_pixels)


def _from_file(file: IO[bytes], shown: str, name: str | None, max_pixels: int) -> RgbImage:
    """Decode an open file; `shown` stands for it in messages."""
    head = file.read(64)
    if not head:
        raise ImageError(sentence(f"nothing in {shown}", _KNOWN, "download or export it again"))
    image = _open(file, head)
    if image is None and head[4:8] == b"ftyp" and head[8:12] in _HEIC:
        remedy = "convert it to JPEG, or open it with pillow-heif (`pip install pillow-heif`) and pass the PIL image"
        raise ImageError(sentence(f"{shown}, which is a HEIC image", _KNOWN, remedy))
    if image is None:
        got = f"{shown}, which is not an image or is damaged in its first bytes"
        raise ImageError(sentence(got, _KNOWN, "open it in a viewer and export it again"))
    with image:
        _check_pixels(image, shown, max_pixels)
        return RgbImage(_decoded(image, shown), name)


def _open(file: IO[bytes], head: bytes) -> Image.Image | None:
    """Return the unread image of the first decoder that knows the file, or None.

    The table of decoders is walked here because `Image.open` applies Pillow's own limit (an error at 179 megapixels,
    a warning at 89) that can be moved only for the whole process; `max_pixels` takes its place.
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
        except _DAMAGE:
            continue
    return None


def _check_pixels(image: Image.Image, shown: str, max_pixels: int) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        got = f"{shown} of {width} x {height} pixels"
        raise ImageError(sentence(got, "at least 1 x 1", "export it again with a size"))
    if width * height > max_pixels:
        got = f"{shown} of {width} x {height} pixels"
        expected = f"at most {max_pixels / 1e6:g} million"
        raise ImageError(sentence(got, expected, "scale it down or cut it into tiles"))


def _decoded(image: Image.Image, shown: str) -> NDArray[np.uint8]:
    try:
        image.load()
        upright = _upright(image)
        plain = upright if upright.mode in _GREY_MODES else _flattened(upright)
    except _DAMAGE as error:
        got = f"{shown}, which is damaged or cut short ({quote(error, limit=60)})"
        raise ImageError(sentence(got, "a complete image", "download or export it again")) from error
    if plain.mode != "RGB":
        return _from_grey(plain, shown)
    pixels: NDArray[np.uint8] = np.asarray(plain)  # Pillow hands out a copy of its own: no second one is needed
    pixels.flags.writeable = False
    return pixels


def _from_pil(image: Image.Image, max_pixels: int) -> RgbImage:
    path = getattr(image, "filename", "")
    name = os.path.basename(path) if isinstance(path, str) else ""
    shown = quote(name) if name else "a PIL image"
    _check_pixels(image, shown, max_pixels)
    return RgbImage(_decoded(image, shown), name or None, path if name else None)


def _upright(image: Image.Image) -> Image.Image:
    """Turn the image as its EXIF orientation says; a damaged EXIF block turns nothing."""
    try:
        return ImageOps.exif_transpose(image)
    except _DAMAGE:
        return image


def _flattened(image: Image.Image) -> Image.Image:
    """Return an RGB image from any mode of 8 bits: palette looked up, transparency laid over white."""
    if not image.has_transparency_data:
        return image if image.mode == "RGB" else image.convert("RGB")
    layered = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")  # no direct way from La
    canvas = Image.new("RGB", layered.size, "white")
    canvas.paste(layered, mask=layered)
    return canvas


def _from_grey(image: Image.Image, shown: str) -> NDArray[np.uint8]:
    """Return uint8 RGB from a single channel of more than 8 bits."""
    values = np.asarray(image)
    if image.mode == "F":
        return _from_array(values, shown, "rescale it to the range 0 to 1")
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        got = f"{shown} with values from {low} to {high}"
        raise ImageError(sentence(got, "8 or 16 bits a channel", "rescale it to 16 bits"))
    eight = image.mode == "I" and high <= 255  # what `convert("I")` makes of 8 bits; of 16 it would be all black
    return _from_array(values.astype(np.uint8 if eight else np.uint16), shown, "export it as 8 or 16 bits")


# --- arrays --------------------------------------------------------------------------------------------------------

_ARRAY_REMEDY = "reshape it; channels first becomes channels last with array.transpose(1, 2, 0)"
_TENSOR_REMEDY = "pass one image at a time, for example batch[0]"


def _is_tensor(value: object) -> bool:
    """Whether `value` is a torch tensor; torch is not imported for the question."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _from_tensor(tensor: Any) -> RgbImage:
    try:
        values = tensor.detach().cpu()
        if values.is_floating_point():
            values = values.float()  # NumPy knows no bfloat16
        array: NDArray[Any] = np.asarray(values)
    except (TypeError, RuntimeError) as error:  # sparse, quantised, on the meta device
        got = f"a tensor of layout {tensor.layout} on {tensor.device} that holds no plain values"
        raise ImageError(sentence(got, "a dense tensor", "convert it with tensor.to_dense()")) from error
    if array.ndim == 3 and array.shape[0] in (1, 3, 4):
        array = array.transpose(1, 2, 0)
    return RgbImage(_from_array(array, "a tensor", _TENSOR_REMEDY))


def _from_array(array: NDArray[Any], shown: str, remedy: str) -> NDArray[np.uint8]:
    """Return uint8 RGB `(H, W, 3)` from `(H, W)` or `(H, W, 1 | 3 | 4)`."""
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        got = f"{shown} of shape {tuple(array.shape)}"
        raise ImageError(sentence(got, "(height, width) or (height, width, 1, 3 or 4)", remedy))
    if 0 in array.shape:
        got = f"{shown} of shape {tuple(array.shape)}"
        raise ImageError(sentence(got, "at least one pixel", "check how it was cut out or read"))
    values = _to_uint8(array, shown)
    if values.ndim == 3 and values.shape[2] == 4:
        return _frozen(np.asarray(_flattened(Image.fromarray(np.ascontiguousarray(values)))))
    grey = values.ndim == 2 or values.shape[2] == 1
    return _frozen(np.repeat(values.reshape(*values.shape[:2], 1), 3, axis=2) if grey else values)


def _to_uint8(array: NDArray[Any], shown: str) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:  # either byte order
        return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)  # 65535 -> 255, rounded
    if array.dtype.kind != "f":
        expected = "uint8, uint16, or float in [0, 1]"
        remedy = "convert it, for example with array.astype('uint8') if it holds 0 to 255"
        raise ImageError(sentence(f"{shown} of {array.dtype}", expected, remedy))
    low, high = float(array.min()), float(array.max())  # NaN anywhere makes both NaN
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ImageError(sentence(f"{shown} with NaN or infinite values", "finite values in [0, 1]", "repair it first"))
    if low < -_FLOAT_SLACK or high > 1 + _FLOAT_SLACK:
        remedy = "divide it by 255" if low >= 0 and high <= 255 else "undo its normalisation"
        raise ImageError(sentence(f"{shown} with floats from {low:g} to {high:g}", "values in [0, 1]", remedy))
    scaled: NDArray[np.float32] = array.astype(np.float32).clip(0, 1) * 255
    return np.rint(scaled).astype(np.uint8)


def _frozen(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a contiguous read-only copy: results keep it, and the caller may change the original."""
    copy = np.array(pixels, dtype=np.uint8, order="C")
    copy.flags.writeable = False
    return copy
