"""Redraw the masks of any segmenter at the image's own resolution: coarse map -> windows -> crops -> sharp mask."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from wordmask.backbones.crop.inputs import FILL, OUTSIDE, coarse_input, pixel_input, working_scale
from wordmask.backbones.crop.network import STRIDE
from wordmask.components.windows import border_tiles, region_windows
from wordmask.ops.crops import CropView, cut
from wordmask.ops.probability import logit
from wordmask.prompts import TextPrompt
from wordmask.prompts.left_right import swap_left_right
from wordmask.results import MaskLogits
from wordmask.results.refined_logits import FinePatch, RefinedLogits

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from wordmask.backbones.crop.network import CropNetwork
    from wordmask.contracts import ImageEncoder
    from wordmask.images import RgbImage
    from wordmask.ops.geometry import Size, Window
    from wordmask.ops.masks import PackedMask
    from wordmask.prompts import Prompt
    from wordmask.results import Found, Region

__all__ = ["CropRefiner", "RefinerSettings"]

_SIDE_LOGIT = 2.0
"""Coarse logit inside a mask that is known as bits only, and below zero outside."""
_BITS_LONG_SIDE = 512
"""Cells along the longer side of a map that is made from bits."""


@dataclass(frozen=True, kw_only=True)
class RefinerSettings:
    """How masks are refined.

    Attributes:
        margin: Added to every side of a region's box, as a fraction of its longer side ...
        least_margin: ... but at least this many crop pixels.
        longest: A region's longer side is reduced to this many crop pixels.
        most_windows: More regions than this are refined in one window.
        most_tiles: A region that had to be reduced is refined again along its border, in at most so many tiles.
        smallest: Masks that cover a smaller fraction of the image stay as they are ...
        largest: ... and so do those that cover a larger one.
        shift: Added to the network's logits; fitted on training images.
        mirror: Whether every crop is drawn a second time, mirrored, with left and right exchanged in its phrase; the
            logits are averaged.
        weight: Of the network's logits in a weighted mean with the coarse ones ...
        adaptive: Whether that weight is not `weight` but, in each window, the mean of the two numbers that `least_iou`
            and `least_confidence` bound.
        reach: Crop pixels from the coarse mask's border, inside and outside, beyond which its logits stay; 0: no limit.
        alone_below: Masks that cover a smaller fraction of the image are the network's logits alone.
        least_iou: A window stays as it is where the IoU of the network's mask with the coarse one is below this ...
        least_inside: ... or the part of the network's mask that the coarse one holds is ...
        least_confidence: ... or the mean of 2 p - 1 over the network's mask is, p being its probabilities. The three,
            and how logits are weighted, were fitted on training images (docs/experiments/imss.md).
    """

    margin: float = 0.35
    least_margin: int = 16
    longest: int = 320
    most_windows: int = 8
    most_tiles: int = 48
    smallest: float = 0.0
    largest: float = 1.0
    shift: float = 0.0
    mirror: bool = False
    weight: float = 1.0
    adaptive: bool = False
    reach: float = 0.0
    alone_below: float = 0.0
    least_iou: float = 0.0
    least_inside: float = 0.0
    least_confidence: float = 0.0


class CropRefiner:
    """Refines the results of segmenters by a crop network.

    Args:
        network: The network, in evaluation mode.
        encoder: The frozen image encoder whose maps it reads.
        settings: Windows and scales.
        embed: Returns the embedding (C,) of a prompt, or None where the network should not be told; None: never.
        device: Where all of it is.
    """

    def __init__(
        self, network: CropNetwork, encoder: ImageEncoder, settings: RefinerSettings | None = None, *,
        embed: Callable[[Prompt], Tensor | None] | None = None, device: torch.device | str = "cpu",
    ) -> None:  # fmt: skip
        self.network = network
        self.encoder = encoder
        self.embed = embed
        self.settings = settings or RefinerSettings()
        self.device = torch.device(device)

    def ungated(self) -> CropRefiner:
        """Return a refiner that draws every window: for boxes, which say nothing of a shape."""
        settings = replace(
            self.settings, weight=1.0, adaptive=False, reach=0.0, least_iou=0.0, least_inside=0.0, least_confidence=0.0
        )
        return CropRefiner(self.network, self.encoder, settings, embed=self.embed, device=self.device)

    @torch.inference_mode()
    def refine(self, found: Found, image: RgbImage, *, told: bool = True) -> Found:
        """Return a result with sharper masks; its presence stays, and an absent one is returned as it is.

        Args:
            found: The result of any segmenter.
            image: The image that it is about.
            told: Whether the network reads the phrase, where `embed` knows it; otherwise the mask alone says what is
                meant.
        """
        threshold = logit(found.threshold)
        if not found.present or not math.isfinite(threshold):
            return found
        condition = self._condition(found.prompt) if told else None
        if found.regions is not None:
            regions = tuple(self._region(region, threshold, image.pixels, condition) for region in found.regions)
            return replace(found, regions=regions)
        if found.heatmap_logits is None:
            return found
        return replace(found, heatmap_logits=self.refine_map(found.heatmap_logits, threshold, image.pixels, condition))

    def refine_map(
        self, dense: MaskLogits, threshold: float, pixels: NDArray[np.uint8], condition: Tensor | None = None
    ) -> MaskLogits:
        """Return dense logits with finer ones round the parts that exceed a threshold (a logit)."""
        relative = self._over_image(dense) - np.float32(threshold)
        size, fraction = dense.size, float((relative > 0).mean())
        if not self.settings.smallest <= fraction <= self.settings.largest:
            return dense
        alone = fraction < self.settings.alone_below
        patches: list[FinePatch] = []
        for box, side in region_windows(relative > 0, size, settings=self.settings):
            view = self._view(box, side, size)
            coarse = cut(relative, view, size, fill=OUTSIDE)
            logits = self.draw(pixels, coarse, view, condition)
            trust = _trust(logits, coarse)
            if not trust.enough(self.settings):
                continue
            weights = np.ones_like(coarse) if alone else _weights(coarse, trust, self.settings)
            logits = _mixed(logits, coarse, weights)
            patches.append(FinePatch(_raised(logits, threshold), view, view.window(size)))
            for tile, window in border_tiles(logits > 0, view, size, most=self.settings.most_tiles):
                coarse, part = _cut_again(logits, view, tile), _cut_again(weights, view, tile).clip(0, 1)
                fine = _mixed(self.draw(pixels, coarse, tile, condition), coarse, part)
                patches.append(FinePatch(_raised(fine, threshold), tile, window))
        return RefinedLogits(dense.values, dense.placement, tuple(patches)) if patches else dense

    def draw(
        self, pixels: NDArray[np.uint8], coarse: NDArray[np.float32], view: CropView, condition: Tensor | None = None
    ) -> NDArray[np.float32]:
        """Return mask logits float32 `(h, w)` over a view.

        Args:
            pixels: uint8 `(H, W, 3)`, the image.
            coarse: float32 `(h, w)` over the view: coarse logits less their threshold.
            view: What to draw, its sides multiples of the network's stride.
            condition: (1, C), the phrase's embedding, or (2, C) with that of the mirrored crop; None: none.
        """
        size = (pixels.shape[0], pixels.shape[1])
        crop = torch.from_numpy(pixel_input(cut(pixels, view, size, fill=tuple(float(v) for v in FILL))))[None]
        planes = torch.from_numpy(coarse_input(coarse))[None]
        if self.settings.mirror:
            crop, planes = (torch.cat([part, part.flip(-1)]) for part in (crop, planes))
        weight = self.network.head.weight
        words = None if condition is None else condition.to(weight)
        batch = crop.to(weight).contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.network(batch, planes.to(weight), self.encoder(batch), words)
        logits = (logits[0] + logits[1].flip(-1)) / 2 if self.settings.mirror else logits[0]
        values: NDArray[np.float32] = logits.float().cpu().numpy() + np.float32(self.settings.shift)
        return values

    def _condition(self, prompt: Prompt) -> Tensor | None:
        """Embeddings (1, C) of a prompt or, where crops are mirrored too, (2, C); None where it is not known."""
        if self.embed is None:
            return None
        other = TextPrompt(swap_left_right(prompt.text)) if isinstance(prompt, TextPrompt) else prompt
        rows = [self.embed(asked) for asked in ((prompt, other) if self.settings.mirror else (prompt,))]
        known = [row for row in rows if row is not None]
        return torch.stack(known) if len(known) == len(rows) else None

    def _region(self, region: Region, threshold: float, pixels: NDArray[np.uint8], condition: Tensor | None) -> Region:
        """A region with a finer mask: logits where it had logits, otherwise bits."""
        if isinstance(region.mask, MaskLogits):
            return replace(region, mask=self.refine_map(region.mask, threshold, pixels, condition))
        if not region.mask.area:
            return region
        return replace(region, mask=self._bits(region.mask, pixels, condition))

    def _bits(self, mask: PackedMask, pixels: NDArray[np.uint8], condition: Tensor | None) -> PackedMask:
        coarse = _map_of_bits(mask)
        refined = self.refine_map(coarse, 0.0, pixels, condition)
        return refined.packed(0.5) if isinstance(refined, RefinedLogits) else mask

    def _over_image(self, dense: MaskLogits) -> NDArray[np.float32]:
        """The cells that show the image, without padding."""
        (top, left, height, width), canvas = dense.placement.content, dense.placement.canvas
        if (top, left, height, width) == (0, 0, *canvas):
            return dense.values
        down, across = dense.values.shape[0] / canvas[0], dense.values.shape[1] / canvas[1]
        content = CropView(left * across, top * down, 1.0, (math.ceil(height * down), math.ceil(width * across)))
        return cut(dense.values, content, (dense.values.shape[0], dense.values.shape[1]), fill=OUTSIDE)

    def _view(self, box: Window, side: float, size: Size) -> CropView:
        """The view of a window for a region of a longer side."""
        scale = working_scale(side, longest=self.settings.longest)
        height, width = (
            STRIDE * math.ceil((box[end] - box[start]) * scale / STRIDE) for start, end in ((1, 3), (0, 2))
        )
        return CropView(
            _shifted(box[0], box[2], width / scale, size[1]), _shifted(box[1], box[3], height / scale, size[0]),
            scale, (height, width),
        )  # fmt: skip


class _Trust(NamedTuple):
    """A network's mask of a window: its IoU with the coarse mask, the part of it inside that, and how sure it is."""

    overlap: float
    inside: float
    sure: float

    @property
    def weight(self) -> float:
        return (self.overlap + self.sure) / 2

    def enough(self, settings: RefinerSettings) -> bool:
        return (
            self.overlap >= settings.least_iou
            and self.inside >= settings.least_inside
            and self.sure >= settings.least_confidence
        )


def _trust(logits: NDArray[np.float32], coarse: NDArray[np.float32]) -> _Trust:
    mask, before = logits > 0, coarse > 0
    common, union = int(np.count_nonzero(mask & before)), int(np.count_nonzero(mask | before))
    sure = float(np.tanh(logits[mask] / 2).mean()) if mask.any() else 0.0
    return _Trust(common / max(union, 1), common / max(int(np.count_nonzero(mask)), 1), sure)


def _weights(coarse: NDArray[np.float32], trust: _Trust, settings: RefinerSettings) -> NDArray[np.float32]:
    """Weights (h, w) of a network's logits over a view, zero out of reach of the coarse mask's border."""
    import cv2

    weights = np.full(coarse.shape, trust.weight if settings.adaptive else settings.weight, np.float32)
    mask = (coarse > 0).astype(np.uint8)
    if settings.reach and mask.any() and not mask.all():
        inside, outside = (cv2.distanceTransform(part, cv2.DIST_L2, 3) for part in (mask, 1 - mask))
        weights[inside + outside > settings.reach] = 0
    return weights


def _mixed(
    logits: NDArray[np.float32], coarse: NDArray[np.float32], weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The weighted mean of a network's logits and the coarse ones, limited as the network reads them."""
    return np.asarray(weights * logits + (1 - weights) * coarse.clip(OUTSIDE, -OUTSIDE), dtype=np.float32)


def _raised(logits: NDArray[np.float32], threshold: float) -> NDArray[np.float16]:
    """Logits to which the threshold was added, as a patch keeps them."""
    return (logits + np.float32(threshold)).astype(np.float16)


def _cut_again(logits: NDArray[np.float32], view: CropView, tile: CropView) -> NDArray[np.float32]:
    """What a tile shows of the logits over a view that it is part of."""
    inside = CropView(tile.left - view.left, tile.top - view.top, tile.scale, tile.size)
    return cut(logits, inside, (view.size[0] / view.scale, view.size[1] / view.scale), fill=OUTSIDE)


def _shifted(low: float, high: float, reach: float, limit: int) -> float:
    """Start of a view of length `reach` round an interval, inside the image where it fits."""
    start = (low + high - reach) / 2
    return min(max(start, 0.0), limit - reach) if reach <= limit else (limit - reach) / 2


def _map_of_bits(mask: PackedMask) -> MaskLogits:
    """Logits of a mask of bits, on a grid of bounded size."""
    import cv2

    from wordmask.ops.geometry import squash

    scale = min(1.0, _BITS_LONG_SIDE / max(mask.size))
    height, width = (max(1, round(side * scale)) for side in mask.size)
    shrunk = cv2.resize(mask.full().astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
    values = ((shrunk - 0.5) * (2 * _SIDE_LOGIT)).astype(np.float32)
    return MaskLogits(values, squash(mask.size, (height, width)))
