"""Changes of an image that say which object in it is meant: the rows of CLIPSeg's table 2 (arXiv 2112.10003)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from wordmask.methods.clipseg.checkpoint import TRAINED_WITH
from wordmask.ops.highlight import composite, crop_box, crop_square

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Pixels = NDArray[np.float32]
    Mask = NDArray[np.bool_]

BLUR = 3.0
"""Standard deviation of the background blur in pixels, at 352 pixels."""
RED = (255, 0, 0)
CONTOUR = 5
"""Thickness of the red outline in pixels, at 352 pixels."""


@dataclass(frozen=True, kw_only=True)
class ImageChange:
    """One row of the table.

    Attributes:
        title: As the paper calls it.
        paper: The paper's change of the target's probability, times 100; None for the unchanged image.
        paint: Function of pixels (3, H, W), normalised, and the target's mask (H, W); returns new pixels.
        context: Margin of a crop around the target, applied afterwards; None: no crop.
        attention: Kind and blocks (`"last"` or `"all"`) of a token mask, in place of new pixels.
    """

    title: str
    paper: float | None
    paint: Callable[[Pixels, Mask], Pixels] = lambda image, mask: image
    context: float | None = None
    attention: tuple[Literal["cls_token", "all"], Literal["last", "all"]] | None = None

    def apply(self, image: Pixels, mask: Mask) -> Pixels:
        """Return the changed image, float32 (3, H, H), of a square one."""
        changed = self.paint(image, mask).astype(np.float32, copy=False)
        if self.context is None:
            return changed
        return crop_square(changed, crop_box(mask, self.context), image.shape[1])


def _background(blur: float, brightness: float) -> Callable[[Pixels, Mask], Pixels]:
    return lambda image, mask: composite(image, mask.astype(np.float32), blur=blur, background=brightness)


def to_bytes(image: Pixels) -> NDArray[np.uint8]:
    """Undo `normalise`: uint8 (H, W, 3)."""
    mean, std, _ = (np.asarray(part, np.float32) for part in TRAINED_WITH)
    values = image.transpose(1, 2, 0) * std + mean
    return np.asarray(np.clip(np.rint(values * 255), 0, 255), np.uint8)


def normalise(image: NDArray[np.uint8]) -> Pixels:
    """Normalise uint8 (H, W, 3) by ImageNet's mean and standard deviation: float32 (3, H, W)."""
    mean, std, _ = (np.asarray(part, np.float32) for part in TRAINED_WITH)
    return np.ascontiguousarray(((image.astype(np.float32) / 255 - mean) / std).transpose(2, 0, 1))


def draw_outline(image: Pixels, mask: Mask) -> Pixels:
    """Draw a red line around the target."""
    drawn_on = np.ascontiguousarray(to_bytes(image))
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(drawn_on, contours, -1, RED, CONTOUR)
    return normalise(drawn_on)


def red_in_grey(image: Pixels, mask: Mask) -> Pixels:
    """Make the image grey and the target red: grey times (1, 0.2, 0.2)."""
    grey = np.repeat(to_bytes(image).astype(np.float32).mean(axis=2, keepdims=True), 3, axis=2)
    dyed = np.where(mask[..., None], grey * np.array([1.0, 0.2, 0.2], np.float32), grey)
    return normalise(np.rint(dyed).astype(np.uint8))


CHANGES: Mapping[str, ImageChange] = {
    "original": ImageChange(title="the unchanged image", paper=None),
    "cls_last": ImageChange(title="mask CLS, last layer", paper=1.34, attention=("cls_token", "last")),
    "cls_all": ImageChange(title="mask CLS, all layers", paper=1.71, attention=("cls_token", "all")),
    "all_all": ImageChange(title="mask all, all layers", paper=-14.44, attention=("all", "all")),
    "red_in_grey": ImageChange(title="dye object red in grey", paper=1.21, paint=red_in_grey),
    "outline": ImageChange(title="red outline", paper=2.29, paint=draw_outline),
    "dim_50": ImageChange(title="background intensity 50 %", paper=3.08, paint=_background(0, 0.5)),
    "dim_10": ImageChange(title="background intensity 10 %", paper=13.85, paint=_background(0, 0.1)),
    "dim_0": ImageChange(title="background intensity 0 %", paper=23.40, paint=_background(0, 0.0)),
    "blur": ImageChange(title="background blur", paper=13.15, paint=_background(BLUR, 1.0)),
    "blur_10": ImageChange(title="background blur + 10 %", paper=21.73, paint=_background(BLUR, 0.1)),
    "crop_large": ImageChange(title="crop, large context", paper=6.27, context=0.5),
    "crop": ImageChange(title="crop", paper=13.60, context=0.1),
    "crop_blur": ImageChange(title="crop & background blur", paper=15.34, paint=_background(BLUR, 1.0), context=0.1),
    "crop_10": ImageChange(title="crop & intensity 10 %", paper=21.73, paint=_background(0, 0.1), context=0.1),
    "crop_blur_10": ImageChange(title="crop & blur & 10 %", paper=23.50, paint=_background(BLUR, 0.1), context=0.1),
}

PAIRS = (
    ("crop_blur_10", "crop_10"), ("crop_blur_10", "crop_blur"), ("crop_blur_10", "crop"), ("crop", "crop_large"),
    ("dim_0", "dim_10"), ("dim_10", "dim_50"), ("blur_10", "blur"), ("blur_10", "dim_10"), ("dim_10", "outline"),
    ("outline", "red_in_grey"), ("cls_all", "cls_last"), ("outline", "cls_all"), ("original", "all_all"),
)  # fmt: skip
"""The first raises the target's probability more than the second, in the paper."""
