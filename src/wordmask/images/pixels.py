"""Convert decoded images and arrays to RGB uint8, strip by strip: 3 bytes a pixel beside what is converted.

Values of 16 bits are scaled by the smallest of 8, 10, 12, 14 and 16 bits that holds the highest of them: cameras and
scanners store 12 bits in files of 16, which would be nearly black otherwise. Transparency is laid over white, unless
every pixel is transparent and their colours vary: then the alpha channel is ignored.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from PIL import Image

from wordmask.errors import ImageError, WordmaskWarning, sentence
from wordmask.images.rgb import check_pixels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Strip = NDArray[Any]

__all__ = ["GREY_MODES", "from_array", "from_decoded"]

STRIP = 2**20
"""Pixels that are converted at a time."""
DEPTHS = (8, 10, 12, 14, 16)
"""Bits that images of 16 bits a channel really have."""
GREY_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
"""Pillow's modes of more than 8 bits in one channel."""
FLOAT_SLACK = 1e-4
"""Resampling and normalising leave values a hair outside [0, 1]."""
DARK = 64
"""Of 16-bit colours, Pillow reads the upper 8 bits: below this value they were 14 bits or fewer."""


def from_decoded(image: Image.Image, shown: str, orientation: int, *, deep: bool) -> NDArray[np.uint8]:
    """Return uint8 RGB `(H, W, 3)`, upright and read-only, of a decoded image.

    Args:
        image: Loaded.
        shown: What messages call it.
        orientation: EXIF orientation, 1 to 8.
        deep: Whether the file has colours of 16 bits a channel, of which Pillow keeps the upper 8.

    Raises:
        ImageError: If its values are out of range.
    """
    width, height = image.size
    upright = np.empty((width, height, 3) if orientation >= 5 else (height, width, 3), np.uint8)
    stored = _as_stored(upright, orientation)
    if image.mode in GREY_MODES:
        scale = _scale_of_image(image, shown)
        for rows in _strips(height, width):
            stored[rows] = scale(np.asarray(_crop(image, rows)))[..., None]
    else:
        layered = image.has_transparency_data and _is_transparency(image)
        for rows in _strips(height, width):
            stored[rows] = np.asarray(_flattened(_crop(image, rows), layered=layered))
    if deep and upright.max() < DARK:
        _warn_of_depth(shown)
    upright.flags.writeable = False
    return upright


def from_array(array: NDArray[Any], shown: str, remedy: str, *, max_pixels: int) -> NDArray[np.uint8]:
    """Return uint8 RGB `(H, W, 3)`, read-only, from `(H, W)` or `(H, W, 1 | 3 | 4)`; always a copy.

    Raises:
        ImageError: If the shape, the size, the type or the values are none of an image's.
    """
    array = np.asarray(array)  # np.matrix has two dimensions whatever is done with it
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        got = f"{shown} of shape {tuple(array.shape)}"
        raise ImageError(sentence(got, "(height, width) or (height, width, 1, 3 or 4)", remedy))
    if 0 in array.shape:
        got = f"{shown} of shape {tuple(array.shape)}"
        raise ImageError(sentence(got, "at least one pixel", "check how it was cut out or read"))
    height, width = array.shape[:2]
    check_pixels(height, width, shown, max_pixels)
    scale = _scale_of_array(array, shown)
    values = array.reshape(height, width, -1)
    if values.shape[2] == 4 and not values[..., 3].any() and np.ptp(values[..., :3], axis=(0, 1)).any():
        values = values[..., :3]
    pixels = np.empty((height, width, 3), np.uint8)
    for rows in _strips(height, width):
        strip = scale(values[rows])
        if strip.shape[2] == 4:
            strip = np.asarray(_flattened(Image.fromarray(np.ascontiguousarray(strip)), layered=True))
        pixels[rows] = strip
    pixels.flags.writeable = False
    return pixels


def _strips(height: int, width: int) -> Iterator[slice]:
    """Yield the rows of an image from top to bottom, about `STRIP` pixels at a time."""
    rows = max(1, STRIP // width)
    yield from (slice(top, min(top + rows, height)) for top in range(0, height, rows))


def _crop(image: Image.Image, rows: slice) -> Image.Image:
    """Some rows of an image; the image itself where these are all of them."""
    if rows.stop - rows.start == image.height:
        return image
    return image.crop((0, rows.start, image.width, rows.stop))


def _as_stored(upright: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """A view of an upright image, indexed as the file stores its pixels."""
    indexed: dict[int, Callable[[], NDArray[np.uint8]]] = {
        2: lambda: upright[:, ::-1],
        3: lambda: upright[::-1, ::-1],
        4: lambda: upright[::-1],
        5: lambda: upright.transpose(1, 0, 2),
        6: lambda: np.rot90(upright, 1),
        7: lambda: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: lambda: np.rot90(upright, -1),
    }
    return indexed[orientation]() if orientation in indexed else upright


def _layered(image: Image.Image) -> Image.Image:
    """An image with transparency as RGBA."""
    return (image.convert("LA") if image.mode == "La" else image).convert("RGBA")  # no direct way from La


def _is_transparency(image: Image.Image) -> bool:
    """Whether the alpha of an image means something: not if it is 0 everywhere, over colours that vary."""
    seen: set[tuple[tuple[int, int], ...]] = set()
    for rows in _strips(image.height, image.width):
        *colours, alpha = cast("Any", _layered(_crop(image, rows)).getextrema())
        if alpha[1] > 0:
            return True
        seen.add(tuple(colours))
    return len(seen) == 1 and all(low == high for low, high in next(iter(seen)))


def _flattened(image: Image.Image, *, layered: bool) -> Image.Image:
    """An RGB image from any mode of 8 bits: palette looked up, transparency laid over white if `layered`."""
    if not layered:
        image = _layered(image) if image.mode in ("La", "RGBa") else image
        return image if image.mode == "RGB" else image.convert("RGB")
    over = _layered(image)
    canvas = Image.new("RGB", over.size, "white")
    canvas.paste(over, mask=over)
    return canvas


# --- more than 8 bits ----------------------------------------------------------------------------------------------


def _scale_of_image(image: Image.Image, shown: str) -> Callable[[Strip], NDArray[np.uint8]]:
    """Return what makes 8 bits of the values of a single channel of more."""
    low, high = _range(image)
    if image.mode == "F":
        return _float_scale(low, high, shown, "rescale it to the range 0 to 1")
    if low < 0 or high > 65535:
        got = f"{shown} with values from {low:.0f} to {high:.0f}"
        raise ImageError(sentence(got, "8 or 16 bits a channel", "rescale it to 16 bits"))
    return _whole_scale(int(high))


def _range(image: Image.Image) -> tuple[float, float]:
    """Lowest and highest value of a single channel; NaN anywhere makes both NaN."""
    lows, highs = [], []
    for rows in _strips(image.height, image.width):
        values = np.asarray(_crop(image, rows))
        lows.append(float(values.min()))
        highs.append(float(values.max()))
    return float(np.min(lows)), float(np.max(highs))


def _scale_of_array(array: NDArray[Any], shown: str) -> Callable[[Strip], NDArray[np.uint8]]:
    """Return what makes 8 bits of parts of an array."""
    if array.dtype == np.uint8:
        return lambda strip: strip
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:  # either byte order
        return _whole_scale(int(array.max()))
    if array.dtype.kind != "f":
        expected = "uint8, uint16, or float in [0, 1]"
        remedy = "convert it, for example with array.astype('uint8') if it holds 0 to 255"
        raise ImageError(sentence(f"{shown} of {array.dtype}", expected, remedy))
    low, high = float(array.min()), float(array.max())  # NaN anywhere makes both NaN
    remedy = "divide it by 255" if low >= 0 and high <= 255 else "undo its normalisation"
    return _float_scale(low, high, shown, remedy)


def _whole_scale(highest: int) -> Callable[[Strip], NDArray[np.uint8]]:
    """Scale whole numbers by the smallest depth that holds the highest of them."""
    full = 2 ** next(depth for depth in DEPTHS if highest < 2**depth) - 1
    return lambda strip: ((strip.astype(np.uint32) * 510 + full) // (2 * full)).astype(np.uint8)  # rounded


def _float_scale(low: float, high: float, shown: str, remedy: str) -> Callable[[Strip], NDArray[np.uint8]]:
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ImageError(sentence(f"{shown} with NaN or infinite values", "finite values in [0, 1]", "repair it first"))
    if low < -FLOAT_SLACK or high > 1 + FLOAT_SLACK:
        raise ImageError(sentence(f"{shown} with floats from {low:g} to {high:g}", "values in [0, 1]", remedy))
    return lambda strip: np.rint(strip.astype(np.float32).clip(0, 1) * 255).astype(np.uint8)


def _warn_of_depth(shown: str) -> None:
    got = f"{shown}, whose colours of 16 bits use 14 or fewer"
    said = sentence(got, "values up to 65535", "it is read nearly black; multiply its values, or export it as 8 bits")
    warnings.warn(said, WordmaskWarning, stacklevel=2)
