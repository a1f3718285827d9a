"""Training crops: a window of an image round a region, a coarse map of any quality, and the mask to be drawn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from wordmask.backbones.crop.inputs import FILL, OUTSIDE, coarse_input, pixel_input, working_scale
from wordmask.ops.crops import CropView, cut
from wordmask.prompts.left_right import swap_left_right
from wordmask.training.imss.coarse_maps import blurred_map, box_map, degraded, mask_box, wide_map

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

__all__ = ["Crop", "CropSettings", "LabelledImage", "draw_crop"]


_TARGET_SHOWN = 0.75
"""Part of the crops of wide boxes that lie round the target; the others lie anywhere in the box."""
_WRONG_BOXES = 0.6
"""Part of the crops round another part whose coarse map is that part's box."""


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """An image with the names in it.

    Attributes:
        pixels: uint8 `(H, W, 3)`.
        names: Of the masks.
        masks: bool `(K, H, W)`, none of them empty.
        coarse: For each name float32 `(h, w)`, a segmenter's logits less its threshold; None where there are none.
        ignored: bool `(H, W)`, pixels of which nothing is known.
        unlabelled: Whether objects of these names may be in the image that are not marked.
        absent: Names of which nothing is in the image.
    """

    pixels: NDArray[np.uint8]
    names: tuple[str, ...]
    masks: NDArray[np.bool_]
    coarse: NDArray[np.float32] | None
    ignored: NDArray[np.bool_]
    unlabelled: bool = False
    absent: tuple[str, ...] = ()

    @cached_property
    def areas(self) -> NDArray[np.float64]:
        """Pixels of each mask, (K,)."""
        return np.array([np.count_nonzero(mask) for mask in self.masks], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Crop:
    """One training example.

    Attributes:
        pixels: float32 `(3, s, s)`, normalised.
        coarse: float32 `(s, s)`.
        target: float32 `(s, s)`, 0 or 1.
        weight: float32 `(s, s)`, of each pixel in the loss.
        phrase: What is asked; "" where the network is not told.
    """

    pixels: NDArray[np.float32]
    coarse: NDArray[np.float32]
    target: NDArray[np.float32]
    weight: NDArray[np.float32]
    phrase: str


@dataclass(frozen=True, kw_only=True)
class CropSettings:
    """How crops are drawn.

    Attributes:
        side: Pixels of a crop's side.
        segmenter: Fraction of coarse maps that are the segmenter's own, where there are any.
        box: Fraction of coarse maps that are a jittered box.
        wrong: Fraction of crops round another part than the one that is asked for, most of them by its box.
        wide: Fraction of crops of a box much larger than what is asked for, up to the whole image.
        absent: Fraction of crops that ask for a name that is not in the image, where such names are known.
        phrase: Fraction of crops with their phrase.
        mirror: Fraction of crops that are mirrored, with left and right exchanged in the phrase.
        border: Weight added to pixels within 3 px of the mask's border.
        smaller: Exponent of 1 / area with which one of an image's names is drawn; 0: all alike.
        often: Names that are drawn more often than that, each with a factor.
    """

    side: int = 128
    segmenter: float = 0.55
    box: float = 0.2
    wrong: float = 0.2
    wide: float = 0.06
    absent: float = 0.04
    phrase: float = 0.6
    mirror: float = 0.5
    border: float = 2.0
    smaller: float = 0.3
    often: tuple[tuple[str, float], ...] = ()


def draw_crop(image: LabelledImage, draw: Generator, settings: CropSettings) -> Crop:
    """Draw one crop of an image with at least one mask."""
    often = dict(settings.often)
    chances = image.areas**-settings.smaller * [often.get(name, 1.0) for name in image.names]
    index = int(draw.choice(len(chances), p=chances / chances.sum()))
    kind = draw.random()
    if kind < settings.wide:
        logits = wide_map(image.masks[index], draw)
        view = _view(image, index, logits, draw, settings.side, near=draw.random() < _TARGET_SHOWN)
        return _cut_crop(image, index, logits, view, draw, settings, told=True)
    if image.absent and kind > 1 - settings.absent:
        logits = _coarse(image, index, draw, settings)
        view = _view(image, index, logits, draw, settings.side)
        return _cut_crop(image, None, logits, view, draw, settings, told=True)
    shown = index
    if len(chances) > 1 and draw.random() < settings.wrong:
        shown = int(draw.choice([other for other in range(len(chances)) if other != index]))
    logits = _coarse(image, shown, draw, settings, box=settings.box if shown == index else _WRONG_BOXES)
    view = _view(image, shown, logits, draw, settings.side)
    told = shown != index or draw.random() < settings.phrase
    return _cut_crop(image, index, logits, view, draw, settings, told=told)


def _coarse(
    image: LabelledImage, index: int, draw: Generator, settings: CropSettings, *, box: float | None = None
) -> NDArray[np.float32]:
    """Logits `(h, w)` over the image, less their threshold; a box by the chance of the settings, or that given."""
    chance = draw.random()
    box = settings.box if box is None else box
    if chance < box:
        return box_map(image.masks[index], draw)
    if image.coarse is not None and chance < box + (1 - box) * settings.segmenter / max(1 - settings.box, 1e-6):
        own = degraded(image.coarse[index], draw)
        if (own > 0).any():
            return own
    return blurred_map(image.masks[index], draw)


def _view(
    image: LabelledImage, index: int, logits: NDArray[np.float32], draw: Generator, side: int, *, near: bool = False
) -> CropView:
    """A square view of the region round a part of the coarse map or, where that is empty, of the mask.

    Where `near`, at the scale of that region but round the mask.
    """
    height, width = image.masks.shape[1:]
    positive = (logits > 0).astype(np.uint8)
    if positive.any():
        count, _, stats, _ = cv2.connectedComponentsWithStats(positive, connectivity=8)
        sizes = stats[1:, cv2.CC_STAT_AREA].astype(np.float64)
        part = 1 + int(draw.choice(count - 1, p=sizes / sizes.sum()))
        x, y, w, h = (float(v) for v in stats[part, :4])
        down, across = height / logits.shape[0], width / logits.shape[1]
        x0, y0, x1, y1 = x * across, y * down, (x + w) * across, (y + h) * down
    else:
        x0, y0, x1, y1 = mask_box(image.masks[index])
    long = max(x1 - x0, y1 - y0)
    scale = working_scale(long, longest=256) * float(np.exp(draw.uniform(-0.35, 0.35)))
    reach = side / scale  # image pixels of the crop's side
    if near:
        x0, y0, x1, y1 = mask_box(image.masks[index])
    centre = [_centre(a, b, reach, draw) for a, b in ((x0, x1), (y0, y1))]
    left, top = centre[0] - reach / 2, centre[1] - reach / 2
    return CropView(_inside(left, reach, width), _inside(top, reach, height), scale, (side, side))


def _centre(low: float, high: float, reach: float, draw: Generator) -> float:
    """Centre of a crop along one axis: near the region's middle, or anywhere along a region longer than the crop."""
    slack = max(0.0, (high - low) - 0.6 * reach) / 2 + 0.18 * reach
    return (low + high) / 2 + float(draw.uniform(-slack, slack))


def _inside(start: float, reach: float, limit: int) -> float:
    """Start of a crop moved inside the image, or centred where the image is smaller."""
    return min(max(start, 0.0), limit - reach) if reach <= limit else (limit - reach) / 2


def _cut_crop(
    image: LabelledImage, index: int | None, logits: NDArray[np.float32], view: CropView, draw: Generator,
    settings: CropSettings, *, told: bool,
) -> Crop:  # fmt: skip
    """A crop that asks for a name of the image or, where `index` is None, for one that is absent."""
    size = (image.masks.shape[1], image.masks.shape[2])
    pixels = cut(image.pixels, view, size, fill=tuple(float(v) for v in FILL))
    coarse = cut(logits, view, size, fill=OUTSIDE)
    mask = np.zeros(size, np.uint8) if index is None else image.masks[index].view(np.uint8) * np.uint8(255)
    target = cut(mask, view, size) > 127
    unknown = cut(image.ignored.view(np.uint8), view, size, fill=1.0) > 0
    if image.unlabelled:
        unknown |= (coarse > -1) & ~_near(target, settings.side // 8)
    border = cv2.dilate(target.astype(np.uint8), np.ones((7, 7))) != cv2.erode(target.astype(np.uint8), np.ones((7, 7)))
    weight = (1 + settings.border * border.astype(np.float32)) * ~unknown
    asked = image.absent[int(draw.integers(len(image.absent)))] if index is None else image.names[index]
    phrase = asked if told else ""
    parts = [_recoloured(pixels, draw), coarse_input(coarse), target.astype(np.float32), weight.astype(np.float32)]
    if draw.random() < settings.mirror:
        parts = [np.ascontiguousarray(part[:, ::-1]) for part in parts]
        phrase = swap_left_right(phrase)
    return Crop(pixel_input(parts[0].astype(np.uint8)), parts[1], parts[2], parts[3], phrase)


def _near(target: NDArray[np.bool_], margin: int) -> NDArray[np.bool_]:
    """The bounding box of a mask, enlarged; all of it where the mask is empty."""
    near = np.zeros_like(target)
    if target.any():
        x0, y0, x1, y1 = mask_box(target)
        near[max(0, y0 - margin) : y1 + margin, max(0, x0 - margin) : x1 + margin] = True
    return near


def _recoloured(pixels: NDArray[np.uint8], draw: Generator) -> NDArray[np.uint8]:
    """Change brightness, contrast and colour a little; now and then remove colour or blur."""
    values: NDArray[Any] = pixels.astype(np.float32)
    if draw.random() < 0.08:
        values = np.repeat(values.mean(2, keepdims=True), 3, 2)
    if draw.random() < 0.12:
        values = cv2.GaussianBlur(values, (0, 0), float(draw.uniform(0.4, 1.2)))
    gain = draw.uniform(0.8, 1.25) * draw.uniform(0.93, 1.07, 3)
    mean = float(values.mean())
    values = (values - mean) * gain.astype(np.float32) + mean + np.float32(draw.uniform(-20, 20))
    return values.clip(0, 255).astype(np.uint8)
