"""Overlays: an image with its masks drawn over it in translucent colours, with outlines and labels."""

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

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image

    from wordmask.formats.colours import Colour
    from wordmask.formats.named_mask import AnnotatedImage, NamedMask
    from wordmask.ops.masks import PackedMask

_FILL = 0.38  # opacity of a mask's colour
_DIM = 0.85  # brightness of the background, when something was found
SAVE_OPTIONS = {
    ".png": ("PNG", {"compress_level": 1}),
    ".jpg": ("JPEG", {"quality": 92, "subsampling": 0}),
    ".jpeg": ("JPEG", {"quality": 92, "subsampling": 0}),
    ".webp": ("WEBP", {"quality": 90}),
}


def save_overlay(image: AnnotatedImage, path: str | os.PathLike[str]) -> Path:
    """Draw an overlay and write it: `.png`, `.jpg` or `.webp` by the suffix, PNG without one.

    Raises:
        ImageError: If the pixels are missing.
        OutputError: If the suffix is unknown, the path is none or the file cannot be written.
    """
    target = as_path(path)
    suffix = target.suffix.lower() or ".png"
    if suffix not in SAVE_OPTIONS and not os.path.isdir(target):
        remedy = "change the suffix"
        raise OutputError(
            sentence(f"the overlay path {quote(path)}", f"one that ends in {', '.join(SAVE_OPTIONS)}", remedy)
        )
    kind, options = SAVE_OPTIONS.get(suffix, SAVE_OPTIONS[".png"])
    overlay, buffer = draw_overlay(image), io.BytesIO()
    try:
        overlay.save(buffer, kind, **options)
    except (OSError, ValueError) as error:
        got = f"an overlay of {overlay.width} x {overlay.height} pixels"
        raise OutputError(sentence(got, f"a size that {kind} can hold", "change the suffix to .png")) from error
    return write(target, buffer.getvalue())


def draw_overlay(image: AnnotatedImage) -> Image.Image:
    """Return the image with every mask filled, outlined and labelled with its name and presence.

    A prompt's colour depends on its position alone, so the same prompts have the same colours on every image. Large
    masks lie under small ones. Prompts without a mask are listed in grey. Line widths and letters scale with the image.

    Args:
        image: Pixels and masks.

    Returns:
        RGB, as large as the input.

    Raises:
        ImageError: If the pixels are missing.
    """
    if image.pixels is None:
        got = "a result that did not keep its image"
        raise ImageError(sentence(got, "an image to draw on", "pass it as save(path, image)"))
    style = Style.of(image.size)
    coloured = list(zip(image.masks, palette(len(image.masks)), strict=True))
    visible = sorted(
        ((mask, colour) for mask, colour in coloured if mask.mask.area), key=lambda pair: -pair[0].mask.area
    )
    canvas = _filled(image.pixels, visible)
    outline(canvas, [(contours(mask.mask, smooth=style.line), colour) for mask, colour in visible], style.line)
    tags = [Tag.of(mask, colour) for mask, colour in coloured]
    return draw_tags(canvas, tags, style)


def _filled(pixels: NDArray[np.uint8], visible: Sequence[tuple[NamedMask, Colour]]) -> NDArray[np.uint8]:
    """Return a copy in which the surroundings are dimmed and the masks tinted."""
    if not visible:
        return pixels.copy()
    canvas = np.asarray(cv2.convertScaleAbs(pixels, alpha=_DIM), dtype=np.uint8)
    for mask, _ in visible:
        window, inside = _window(mask.mask)
        cv2.copyTo(pixels[window], inside, canvas[window])
    for mask, colour in visible:
        window, inside = _window(mask.mask)
        cv2.copyTo(cv2.LUT(canvas[window], _tint(colour)), inside, canvas[window])
    return canvas


def _window(mask: PackedMask) -> tuple[tuple[slice, slice], NDArray[np.uint8]]:
    x0, y0, x1, y1 = mask.window
    return np.s_[y0:y1, x0:x1], mask.crop().view(np.uint8)


def _tint(colour: Colour) -> NDArray[np.uint8]:
    """Return the lookup table `(1, 256, 3)` that lays a colour over any value of each channel."""
    values = np.arange(256)[:, None] * (1 - _FILL) + np.array(colour) * _FILL
    return values.round().astype(np.uint8)[None]
