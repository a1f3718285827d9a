"""The picture with what was found drawn over it: translucent colours, crisp outlines, labels."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import cv2
import numpy as np

from wordmask.errors import ImageError, OutputError, quote, sentence
from wordmask.formats.colours import palette
from wordmask.formats.files import as_path, write
from wordmask.formats.plates import Tag, draw_tags
from wordmask.formats.strokes import contours, outline
from wordmask.formats.style import Style
from wordmask.images import load_image

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image

    from wordmask.formats.colours import Colour
    from wordmask.images import ImageInput
    from wordmask.ops.masks import PackedMask
    from wordmask.results import Found, Segmentation

_FILL = 0.38  # opacity of a mask's colour
_DIM = 0.85  # brightness of what was not found, when something was
_SAVE = {
    ".png": ("PNG", {"compress_level": 1}),
    ".jpg": ("JPEG", {"quality": 92, "subsampling": 0}),
    ".jpeg": ("JPEG", {"quality": 92, "subsampling": 0}),
    ".webp": ("WEBP", {"quality": 90}),
}


def save_overlay(segmentation: Segmentation, path: str | os.PathLike[str], *, image: ImageInput | None = None) -> Path:
    """Draw an overlay and write it: `.png`, `.jpg` or `.webp` by the suffix, PNG without one.

    Raises:
        ImageError: If there is no picture to draw on, or it has another size.
        OutputError: If the suffix is unknown, the path is none or the file cannot be written.
    """
    target = as_path(path)
    suffix = target.suffix.lower() or ".png"
    if suffix not in _SAVE and not os.path.isdir(target):
        remedy = "change the suffix"
        raise OutputError(sentence(f"the overlay path {quote(path)}", f"one that ends in {', '.join(_SAVE)}", remedy))
    kind, options = _SAVE.get(suffix, _SAVE[".png"])
    overlay, buffer = draw_overlay(segmentation, image=image), io.BytesIO()
    try:
        overlay.save(buffer, kind, **options)
    except (OSError, ValueError) as error:
        got = f"an overlay of {overlay.width} x {overlay.height} pixels"
        raise OutputError(sentence(got, f"a size that {kind} can hold", "change the suffix to .png")) from error
    return write(target, buffer.getvalue())


def draw_overlay(segmentation: Segmentation, *, image: ImageInput | None = None) -> Image.Image:
    """Return the picture with every mask filled, outlined and labelled with its name and presence.

    Prompts keep their colour by position, so that pictures asked the same things look alike. Large masks lie under
    small ones. Prompts that found nothing are listed in grey. Sizes of lines and letters follow the picture's.

    Args:
        segmentation: What to draw.
        image: The input picture, needed when the result did not keep it.

    Returns:
        RGB, as large as the input.

    Raises:
        ImageError: If there is no picture to draw on, or it has another size.
    """
    pixels = _pixels(segmentation, image)
    style = Style.of(segmentation.size)
    colours = palette(len(segmentation))
    visible = [(found, colour) for found, colour in zip(segmentation, colours, strict=True) if found.area]
    visible.sort(key=lambda pair: -pair[0].area)
    canvas = _filled(pixels, visible)
    outline(canvas, [(contours(found.packed, smooth=style.line), colour) for found, colour in visible], style.line)
    tags = [Tag.of(found, colour) for found, colour in zip(segmentation, colours, strict=True)]
    return draw_tags(canvas, tags, style)


def _pixels(segmentation: Segmentation, image: ImageInput | None) -> NDArray[np.uint8]:
    source = segmentation.image if image is None else load_image(image)
    if source is None:
        got = "a result that did not keep its picture"
        raise ImageError(sentence(got, "a picture to draw on", "pass it as save(path, picture)"))
    if source.size != segmentation.size:
        got = f"a picture of size {source.size} (height, width)"
        raise ImageError(sentence(got, f"the size of the result, {segmentation.size}", "pass the very picture"))
    return source.pixels


def _filled(pixels: NDArray[np.uint8], visible: Sequence[tuple[Found, Colour]]) -> NDArray[np.uint8]:
    """Return a copy in which the surroundings are dimmed and the masks tinted."""
    if not visible:
        return pixels.copy()
    canvas = np.asarray(cv2.convertScaleAbs(pixels, alpha=_DIM), dtype=np.uint8)
    for found, _ in visible:
        window, inside = _window(found.packed)
        cv2.copyTo(pixels[window], inside, canvas[window])
    for found, colour in visible:
        window, inside = _window(found.packed)
        cv2.copyTo(cv2.LUT(canvas[window], _tint(colour)), inside, canvas[window])
    return canvas


def _window(mask: PackedMask) -> tuple[tuple[slice, slice], NDArray[np.uint8]]:
    x0, y0, x1, y1 = mask.window
    return np.s_[y0:y1, x0:x1], mask.crop().view(np.uint8)


def _tint(colour: Colour) -> NDArray[np.uint8]:
    """Return the lookup table `(1, 256, 3)` that lays a colour over any value of each channel."""
    values = np.arange(256)[:, None] * (1 - _FILL) + np.array(colour) * _FILL
    return values.round().astype(np.uint8)[None]
