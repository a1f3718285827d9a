"""Prepare example images for CLIPSeg's vision tower (visual prompts)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wordmask.errors import PromptError, quote, sentence
from wordmask.ops.highlight import MODES, engineer_prompt
from wordmask.ops.resize import resize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wordmask.ops.geometry import Size
    from wordmask.prompts import VisualPrompt

NOT_COLOUR = ("concat",)
"""Modes whose result is not an image of three channels."""
LONGEST = 4
"""The longer side of an example is at most this many times the encoder's."""


def prompt_pixels(
    prompt: VisualPrompt, *, mean: tuple[float, ...], std: tuple[float, ...], size: int
) -> NDArray[np.float32]:
    """Return normalised pixels (3, h, w) of an example, its object highlighted according to the prompt's mode.

    For modes that crop, the image is first scaled to a shorter side of `size`, the scale of objects in CLIPSeg's
    training; for the others, and without a mask, it is stretched to a square of that side.

    Args:
        prompt: The example image, with or without a mask.
        mean: RGB mean of pixels in [0, 1].
        std: RGB standard deviation likewise.
        size: Side of the encoder's canvas, in pixels.

    Raises:
        PromptError: If the mode is unknown or does not make a colour image.
    """
    if prompt.mode not in MODES or prompt.mode in NOT_COLOUR:
        known = ", ".join(mode for mode in MODES if mode not in NOT_COLOUR)
        remedy = "use 'crop_blur_highlight352', the one CLIPSeg was trained with"
        raise PromptError(sentence(f"the visual prompt mode {quote(prompt.mode)}", f"one of {known}", remedy))
    crops = MODES[prompt.mode].context is not None and prompt.mask is not None
    target = _scaled(prompt.example.size, size) if crops else (size, size)
    pixels = resize(prompt.example.pixels, target).astype(np.float32) * np.float32(1 / 255)
    pixels -= np.asarray(mean, np.float32)
    pixels /= np.asarray(std, np.float32)
    normalised = pixels.transpose(2, 0, 1)
    if prompt.mask is None:
        return normalised
    return engineer_prompt(normalised, _resized_mask(prompt.region, target), prompt.mode, size=size)


def _scaled(size: Size, shorter: int) -> Size:
    """The size of the image after scaling with its aspect ratio kept."""
    scale = min(shorter / min(size), LONGEST * shorter / max(size))
    height, width = (max(1, round(side * scale)) for side in size)
    return height, width


def _resized_mask(mask: NDArray[np.bool_], size: Size) -> NDArray[np.bool_]:
    """The mask resized by nearest neighbour; an object too small for that keeps every pixel that it touches."""
    values = mask.astype(np.uint8) * np.uint8(255)
    nearest = resize(values, size, resample="nearest") > 0
    return nearest if nearest.any() else resize(values, size, resample="bilinear") > 0
