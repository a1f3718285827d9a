"""Overlays: an image with its masks drawn over it in translucent colours, with outlines and labels."""

from __future__ import annotations

import io
import math
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from wordmask.errors import ImageError, OutputError, quote, sentence
from wordmask.formats.colours import palette
from wordmask.formats.files import as_path, write
from wordmask.formats.legend import with_legend
from wordmask.formats.plates import Layout, Tag
from wordmask.formats.strokes import contours, outline
from wordmask.formats.style import OverlayStyle, Style
from wordmask.ops.masks import subsample
from wordmask.ops.resize import resize
from wordmask.prompts.phrases import fold_phrase

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from wordmask.formats.colours import Colour
    from wordmask.formats.named_mask import AnnotatedImage, NamedMask
    from wordmask.ops.masks import PackedMask

_SOFTWARE = 0x0131  # the tag of EXIF
_DIM = 0.85  # brightness of the background, when something was found
_SAVE_OPTIONS = {
    ".png": ("PNG", {"compress_level": 1}),
    ".jpg": ("JPEG", {"quality": 92, "subsampling": 0}),
    ".jpeg": ("JPEG", {"quality": 92, "subsampling": 0}),
    ".webp": ("WEBP", {"quality": 90}),
}

LARGEST_OVERLAY = 50_000_000
"""Pixels of an image above which a saved overlay is drawn at a fraction of its size: at full size, drawing would take
several copies of the image in memory."""

OVERLAY_SUFFIXES = tuple(_SAVE_OPTIONS)
"""Endings of the files that an overlay can be."""


def save_overlay(image: AnnotatedImage, path: str | os.PathLike[str], *, style: OverlayStyle | None = None) -> Path:
    """Draw an overlay and write it: `.png`, `.jpg` or `.webp` by the suffix, PNG without one.

    The file's metadata name wordmask as the software that made it. Where labels would hide what they name, they stand
    below the image, unless the style says otherwise. Images of more than `LARGEST_OVERLAY` pixels are drawn smaller.

    Raises:
        ImageError: If the pixels are missing.
        OutputError: If the suffix is unknown, the path is none or the file cannot be written.
    """
    target = as_path(path)
    suffix = target.suffix.lower() or ".png"
    if suffix not in _SAVE_OPTIONS and not os.path.isdir(target):
        remedy = "change the suffix"
        raise OutputError(
            sentence(f"the overlay path {quote(path)}", f"one that ends in {', '.join(_SAVE_OPTIONS)}", remedy)
        )
    kind, options = _SAVE_OPTIONS.get(suffix, _SAVE_OPTIONS[".png"])
    overlay, buffer = draw_overlay(_reduced(image), style=style or OverlayStyle()), io.BytesIO()
    made_by = Image.Exif()
    made_by[_SOFTWARE] = "wordmask"
    try:
        overlay.save(buffer, kind, exif=made_by, **options)
    except (OSError, ValueError) as error:
        got = f"an overlay of {overlay.width} x {overlay.height} pixels"
        raise OutputError(sentence(got, f"a size that {kind} can hold", "change the suffix to .png")) from error
    return write(target, buffer.getvalue())


def is_overlay(path: str | os.PathLike[str]) -> bool:
    """Whether a file is an overlay that `save_overlay` wrote."""
    try:
        with Image.open(path) as image:
            return bool(image.getexif().get(_SOFTWARE) == "wordmask")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


def draw_overlay(image: AnnotatedImage, *, style: OverlayStyle | None = None) -> Image.Image:
    """Return the image with every mask filled, outlined and labelled with its name and presence.

    A prompt's colour depends on its position alone, so the same prompts have the same colours on every image. Large
    masks lie under small ones. Prompts without a mask are listed in grey. Line widths and letters scale with the image.

    Args:
        image: Pixels and masks.
        style: How it looks; None for the usual colours without a legend.

    Returns:
        RGB, as large as the input; with a legend higher, and wider if the input is very narrow.

    Raises:
        ImageError: If the pixels are missing.
    """
    if image.pixels is None:
        got = "a result that did not keep its image"
        raise ImageError(sentence(got, "an image to draw on", "pass it as save(path, image)"))
    chosen = style or OverlayStyle(legend=False)
    sizes = Style.of(image.size, label_size=chosen.label_size)
    coloured = list(zip(image.masks, _colours(image.masks, chosen), strict=True))
    visible = sorted(
        ((mask, colour) for mask, colour in coloured if mask.mask.area), key=lambda pair: -pair[0].mask.area
    )
    canvas = _filled(image.pixels, visible, chosen.opacity)
    outline(canvas, [(contours(mask.mask, smooth=sizes.line), colour) for mask, colour in visible], sizes.line)
    tags = _tags(coloured, chosen)
    layout = Layout.of([] if chosen.legend else tags, sizes, image.size)
    if chosen.legend or (chosen.legend is None and not layout.is_good()):
        return with_legend(Image.fromarray(canvas), tags, sizes)
    return layout.draw(canvas, sizes)


def _reduced(image: AnnotatedImage) -> AnnotatedImage:
    """Return the image at a whole fraction of its sides where it has more than `LARGEST_OVERLAY` pixels."""
    step = math.ceil(math.sqrt(image.size[0] * image.size[1] / LARGEST_OVERLAY))
    if step == 1 or image.pixels is None:
        return image
    size = (-(-image.size[0] // step), -(-image.size[1] // step))
    masks = tuple(
        replace(
            named,
            mask=subsample(named.mask, step),
            instances=tuple(replace(one, mask=subsample(one.mask, step)) for one in named.instances),
        )
        for named in image.masks
    )
    return replace(image, size=size, masks=masks, pixels=resize(image.pixels, size))


def _colours(masks: Sequence[NamedMask], style: OverlayStyle) -> list[Colour]:
    chosen = {fold_phrase(name): colour for name, colour in style.colours.items()}
    return [chosen.get(fold_phrase(mask.name), usual) for mask, usual in zip(masks, palette(len(masks)), strict=True)]


def _tags(coloured: Sequence[tuple[NamedMask, Colour]], style: OverlayStyle) -> list[Tag]:
    """Return the labels; names that several prompts share are numbered."""
    if not style.label_size:
        return []
    names = [mask.name for mask, _ in coloured]
    tags = []
    for place, (mask, colour) in enumerate(coloured):
        name = mask.name
        if names.count(name) > 1:
            name = f"{name} #{names[: place + 1].count(name)}"
        if mask.mask.area or not style.hide_missing:
            tags.append(replace(Tag.of(mask, colour), name=name))
    return tags


def _filled(
    pixels: NDArray[np.uint8], visible: Sequence[tuple[NamedMask, Colour]], opacity: float
) -> NDArray[np.uint8]:
    """Return a copy in which the surroundings are dimmed and the masks tinted."""
    if not visible:
        return pixels.copy()
    canvas = np.asarray(cv2.convertScaleAbs(pixels, alpha=_DIM), dtype=np.uint8)
    for mask, _ in visible:
        window, inside = _window(mask.mask)
        cv2.copyTo(pixels[window], inside, canvas[window])
    for mask, colour in visible:
        window, inside = _window(mask.mask)
        cv2.copyTo(cv2.LUT(canvas[window], _tint(colour, opacity)), inside, canvas[window])
    return canvas


def _window(mask: PackedMask) -> tuple[tuple[slice, slice], NDArray[np.uint8]]:
    x0, y0, x1, y1 = mask.window
    return np.s_[y0:y1, x0:x1], mask.crop().view(np.uint8)


def _tint(colour: Colour, opacity: float) -> NDArray[np.uint8]:
    """Return the lookup table `(1, 256, 3)` that lays a colour over any value of each channel."""
    values = np.arange(256)[:, None] * (1 - opacity) + np.array(colour) * opacity
    return values.round().astype(np.uint8)[None]
