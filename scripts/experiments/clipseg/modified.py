"""A picture changed to say which thing in it is meant: the rows of CLIPSeg's table 2 (arXiv 2112.10003)."""

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
RED = (255, 0, 0)
CONTOUR = 5
"""Thickness of the red outline in pixels, at 352 pixels."""


@dataclass(frozen=True, kw_only=True)
class Mode:
    """One row.

    Attributes:
        title: As the paper calls it.
        paper: Its change of the probability of what is meant, times 100; None for the picture as it is.
        paint: Pixels (3, H, W), normalised, and a mask (H, W) to new pixels of the same shape.
        context: Cut out around the thing afterwards, with this margin; None leaves the picture whole.
        attention: Kind and blocks of a token mask in place of new pixels: `"last"` or `"all"` of them.
    """

    title: str
    paper: float | None
    paint: Callable[[Pixels, Mask], Pixels] = lambda image, mask: image
    context: float | None = None
    attention: tuple[Literal["cls_token", "all"], Literal["last", "all"]] | None = None

    def apply(self, image: Pixels, mask: Mask) -> Pixels:
        """Return the picture with this change, float32 (3, H, H) for square pictures."""
        changed = self.paint(image, mask).astype(np.float32, copy=False)
        if self.context is None:
            return changed
        return crop_square(changed, crop_box(mask, self.context), image.shape[1])


def _ground(blur: float, brightness: float) -> Callable[[Pixels, Mask], Pixels]:
    return lambda image, mask: composite(image, mask.astype(np.float32), blur=blur, background=brightness)


def as_bytes(image: Pixels) -> NDArray[np.uint8]:
    """Undo the normalisation: uint8 (H, W, 3)."""
    mean, std, _ = (np.asarray(part, np.float32) for part in TRAINED_WITH)
    values = image.transpose(1, 2, 0) * std + mean
    return np.asarray(np.clip(np.rint(values * 255), 0, 255), np.uint8)


def as_pixels(picture: NDArray[np.uint8]) -> Pixels:
    """Normalise uint8 (H, W, 3) by ImageNet's statistics: float32 (3, H, W)."""
    mean, std, _ = (np.asarray(part, np.float32) for part in TRAINED_WITH)
    return np.ascontiguousarray(((picture.astype(np.float32) / 255 - mean) / std).transpose(2, 0, 1))


def outlined(image: Pixels, mask: Mask) -> Pixels:
    """Draw a red line around the thing."""
    picture = np.ascontiguousarray(as_bytes(image))
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, RED, CONTOUR)
    return as_pixels(picture)


def red_in_grey(image: Pixels, mask: Mask) -> Pixels:
    """Take the colours away and dye the thing red: grey times (1, 0.2, 0.2)."""
    picture = as_bytes(image).astype(np.float32)
    grey = np.repeat(picture.mean(axis=2, keepdims=True), 3, axis=2)
    dyed = np.where(mask[..., None], grey * np.array([1.0, 0.2, 0.2], np.float32), grey)
    return as_pixels(np.rint(dyed).astype(np.uint8))


MODES: Mapping[str, Mode] = {
    "original": Mode(title="the picture as it is", paper=None),
    "cls_last": Mode(title="mask CLS, last layer", paper=1.34, attention=("cls_token", "last")),
    "cls_all": Mode(title="mask CLS, all layers", paper=1.71, attention=("cls_token", "all")),
    "all_all": Mode(title="mask all, all layers", paper=-14.44, attention=("all", "all")),
    "red_in_grey": Mode(title="dye object red in grey", paper=1.21, paint=red_in_grey),
    "outline": Mode(title="red outline", paper=2.29, paint=outlined),
    "dim_50": Mode(title="background intensity 50 %", paper=3.08, paint=_ground(0, 0.5)),
    "dim_10": Mode(title="background intensity 10 %", paper=13.85, paint=_ground(0, 0.1)),
    "dim_0": Mode(title="background intensity 0 %", paper=23.40, paint=_ground(0, 0.0)),
    "blur": Mode(title="background blur", paper=13.15, paint=_ground(BLUR, 1.0)),
    "blur_10": Mode(title="background blur + 10 %", paper=21.73, paint=_ground(BLUR, 0.1)),
    "crop_large": Mode(title="crop, large context", paper=6.27, context=0.5),
    "crop": Mode(title="crop", paper=13.60, context=0.1),
    "crop_blur": Mode(title="crop & background blur", paper=15.34, paint=_ground(BLUR, 1.0), context=0.1),
    "crop_10": Mode(title="crop & intensity 10 %", paper=21.73, paint=_ground(0, 0.1), context=0.1),
    "crop_blur_10": Mode(title="crop & blur & 10 %", paper=23.50, paint=_ground(BLUR, 0.1), context=0.1),
}
