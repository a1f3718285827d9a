"""Visual prompt engineering: prompt images that highlight one object, after CLIPSeg.

The background is blurred and dimmed and the image is cropped around the object (arXiv 2112.10003, section 3.2 and
table 2). All of it acts on normalised pixels, so dimming pulls the background towards the mean colour of the
encoder's training images, not towards black, and padding with zeros is mean grey.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from wordmask.errors import PromptError, quote, sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Pixels = NDArray[np.float32]

__all__ = ["MODES", "Mode", "composite", "crop_box", "crop_square", "engineer_prompt"]

KERNEL = 15
"""Side of the Gaussian kernel in pixels, whatever its sigma."""
DEFAULT_SIZE = 224
"""Side of a cropped prompt in pixels where neither the mode nor the caller says."""


@dataclass(frozen=True)
class Mode:
    """How an example image is changed to highlight its object.

    Attributes:
        paint: Makes the new image from pixels (3, H, W), mask (1, H, W) and a random generator.
        context: Crop around the object, widened on each side by this fraction of its extent; None does not crop.
        size: Side of the crop after resizing; None leaves it to the caller.
    """

    paint: Callable[[Pixels, Pixels, np.random.Generator], Pixels]
    context: float | None = None
    size: int | None = None


def composite(image: Pixels, mask: Pixels, *, blur: float, background: float) -> Pixels:
    """Keep the object and replace the rest by the blurred image times `background`.

    Args:
        image: float32 (3, H, W).
        mask: float32 (H, W) or (1, H, W), 1 on the object.
        blur: Sigma of the Gaussian in pixels; 0 blurs nothing.
        background: Brightness of the background.
    """
    blurred = image if blur <= 0 else _blurred(image, blur)
    return image * mask + np.float32(background) * blurred * (1 - mask)


def crop_box(mask: NDArray[Any], context: float) -> tuple[int, int, int, int]:
    """Return `(x0, x1, y0, y1)` around the nonzero part of a mask (H, W), ends exclusive, inside the image.

    Each side moves outwards by `context` times the extent along its axis; an empty mask gives the whole image.
    """
    height, width = mask.shape
    if not mask.any():
        return 0, width, 0, height
    x0, x1 = _widened(mask.any(axis=0), context)
    y0, y1 = _widened(mask.any(axis=1), context)
    return x0, x1, y0, y1


def crop_square(image: Pixels, box: tuple[int, int, int, int], size: int) -> Pixels:
    """Cut a box out of (C, H, W), pad it with zeros to a square and resize by nearest neighbour to (C, size, size).

    The padding goes to both sides alike, an odd pixel to the right or bottom.
    """
    x0, x1, y0, y1 = box
    part = image[:, y0:y1, x0:x1]
    side = max(part.shape[1:])
    missing = [side - length for length in part.shape[1:]]
    padded = np.pad(part, ((0, 0), *((gap // 2, gap - gap // 2) for gap in missing)))
    picked = np.minimum((np.arange(size) * np.float32(side / size)).astype(np.intp), side - 1)
    return padded[:, picked[:, None], picked]


def engineer_prompt(
    image: Pixels,
    mask: NDArray[Any],
    mode: str,
    *,
    size: int | None = None,
    random: np.random.Generator | None = None,
) -> Pixels:
    """Turn an example image and the mask of the object meant into a prompt image.

    Args:
        image: float32 (3, H, W), normalised as the encoder wants it.
        mask: (H, W), nonzero on the object.
        mode: A name in `MODES`.
        size: Side of the result in pixels for modes that crop and do not fix it themselves; 224 by default.
        random: Where the random mode takes its numbers from.

    Returns:
        float32 (3, h, w); (4, H, W) with the mask last for mode "concat".

    Raises:
        PromptError: If there is no such mode.
    """
    if mode not in MODES:
        remedy = "use 'crop_blur_highlight352', the one CLIPSeg was trained with"
        raise PromptError(sentence(f"the visual prompt mode {quote(mode)}", f"one of {', '.join(MODES)}", remedy))
    chosen_mode = MODES[mode]
    chosen = (mask != 0).astype(np.float32)[None]
    painted = chosen_mode.paint(image, chosen, random or np.random.default_rng())
    if chosen_mode.context is None:
        return painted.astype(np.float32, copy=False)
    box = crop_box(mask, chosen_mode.context)
    return crop_square(painted.astype(np.float32, copy=False), box, chosen_mode.size or size or DEFAULT_SIZE)


def _dimmed(blur: float, background: float, shift: float = 0.0) -> Callable[..., Pixels]:
    def paint(image: Pixels, mask: Pixels, random: np.random.Generator) -> Pixels:
        return composite(image, mask, blur=blur, background=background) - np.float32(shift)

    return paint


def _dimmed_at_random(image: Pixels, mask: Pixels, random: np.random.Generator) -> Pixels:
    blur, background = float(random.integers(3)), random.uniform(0.1, 0.9)
    return composite(image, mask, blur=blur, background=background) - np.float32(0.01)


MODES: Mapping[str, Mode] = {
    "crop_blur_highlight352": Mode(_dimmed(3, 0.1), context=0.1, size=352),
    "crop_blur_highlight": Mode(_dimmed(3, 0.1), context=0.1),
    "blur3_highlight01": Mode(_dimmed(3, 0.1, 0.01)),
    "blur3_highlight": Mode(_dimmed(3, 0.5, 0.01)),
    "blur_highlight": Mode(_dimmed(1, 0.5, 0.01)),
    "blur_highlight_random": Mode(_dimmed_at_random),
    "crop": Mode(_dimmed(1, 1.0), context=0.1),
    "overlay": Mode(lambda image, mask, random: image * mask),
    "highlight": Mode(lambda image, mask, random: 0.85 * image * mask + 0.15 * image),
    "highlight2": Mode(lambda image, mask, random: (0.5 * image + np.float32(0.1)) * mask + 0.15 * image),
    "shape": Mode(lambda image, mask, random: np.repeat(mask, 3, axis=0)),
    "concat": Mode(lambda image, mask, random: np.concatenate([image, mask])),
    "image_only": Mode(lambda image, mask, random: image),
    "image_black": Mode(lambda image, mask, random: np.zeros_like(image)),
}
"""The recipes by the names in CLIPSeg's training files; the published weights had "crop_blur_highlight352"."""


def _blurred(image: Pixels, sigma: float) -> Pixels:
    channels_last = np.ascontiguousarray(image.transpose(1, 2, 0))
    return np.asarray(cv2.GaussianBlur(channels_last, (KERNEL, KERNEL), sigma), dtype=np.float32).transpose(2, 0, 1)


def _widened(occupied: Any, context: float) -> tuple[int, int]:
    """First and last (exclusive) position along one axis, moved outwards and clamped."""
    places = np.flatnonzero(occupied)
    start, stop = int(places[0]), int(places[-1]) + 1
    margin = context * (stop - start)
    return max(0, int(start - margin)), min(len(occupied), int(stop + margin))
