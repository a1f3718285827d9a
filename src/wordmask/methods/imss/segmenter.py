"""The region segmenter: a detector finds boxes for phrases, a box-prompted vision model draws a mask in each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from wordmask.backbones.encoded_pixels import require_pixels
from wordmask.images import RgbImage
from wordmask.methods.imss.hosts import canvas_boxes
from wordmask.methods.imss.losi import Isolation, RegionPlan, ScoredBox, plan_regions, select_boxes
from wordmask.methods.imss.zoom import OUTSIDE, merge_windows, paste, zoom_window
from wordmask.methods.runner import MethodRunner
from wordmask.ops import masks
from wordmask.prompts import Prompt, TextPrompt
from wordmask.results import Candidate, Found, MaskLogits, Region, Segmentation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wordmask.components.thresholds import Thresholds
    from wordmask.contracts import Detector, Encoded
    from wordmask.methods.imss.hosts import BoxHost
    from wordmask.ops.geometry import Placement, Size, Window
    from wordmask.results.region import Box

__all__ = ["RegionSegmenter"]


class BoxMask(NamedTuple):
    """The mask of one box: logits with their placement, and the predicted IoU."""

    logits: MaskLogits
    quality: float


class RegionSegmenter(MethodRunner[RegionPlan]):
    """Boxes for phrases, a mask for each box: Grounded-SAM, and IMSS where the host has a resolver.

    One encoding of the image serves all prompts and boxes; boxes are decoded together, in chunks. Presence is the
    highest score among a phrase's boxes, and the presence threshold is the score that every box must reach. Boxes that
    were dropped are candidates, with the reason among their scores.

    Args:
        detector: Finds boxes; it gets the encoded image.
        host: The vision model.
        isolation: How boxes become regions.
        device: Device of the pixels.
        dtype: Precision of the host; logits are float32.
    """

    joint_vocabulary = True  # detectors give each box to the phrase that it fits best

    def __init__(
        self, detector: Detector, host: BoxHost, *, isolation: Isolation | None = None,
        device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32,
    ) -> None:  # fmt: skip
        self.isolation = isolation or Isolation()
        super().__init__(_Model(host, self.isolation), device=device, dtype=dtype)
        self.detector, self.host = detector, host

    def prepare(self, prompts: tuple[Prompt, ...]) -> RegionPlan:
        """Collect the phrases of all prompts."""
        return plan_regions(prompts)

    def answer(self, encoded: Encoded, plan: RegionPlan, thresholds: Thresholds) -> Segmentation:
        """Detect, select, and segment the boxes of all prompts together."""
        found = self.detector.detect(encoded, plan.phrases)
        chosen = [select_boxes(found, own, self.isolation, threshold=thresholds.presence) for own in plan.own]
        boxes = [one.box for boxes in chosen for one in boxes if one.chosen]
        decoded = iter(self.segment_boxes(encoded, boxes))
        founds = [
            self._found(prompt, scored, [next(decoded) for one in scored if one.chosen], encoded, thresholds)
            for prompt, scored in zip(plan.prompts, chosen, strict=True)
        ]
        return Segmentation(encoded.size, tuple(founds), encoded.image, self.name)

    @torch.inference_mode()
    def segment_boxes(self, encoded: Encoded, boxes: Sequence[Box]) -> list[BoxMask]:
        """Return a mask for each box (XYXY in input pixels), by the image's encoding or by windows of their own."""
        zoomed = [index for index, box in enumerate(boxes) if self._zooms(box, encoded.size)]
        plain = [index for index in range(len(boxes)) if index not in set(zoomed)]
        decoded = dict(
            zip(plain, self._decode(encoded.features, [boxes[i] for i in plain], encoded.placement), strict=True)
        )
        decoded |= dict(zip(zoomed, self._decode_windows(encoded, [boxes[i] for i in zoomed]), strict=True))
        return [decoded[index] for index in range(len(boxes))]

    def _zooms(self, box: Box, size: Size) -> bool:
        rules = self.isolation
        if rules.isolation == "crop" or rules.zoom == "always":
            return True
        area = (box[2] - box[0]) * (box[3] - box[1])
        return rules.zoom == "auto" and area < rules.zoom_below * size[0] * size[1]

    def _decode(self, features: Any, boxes: Sequence[Box], placement: Placement) -> list[BoxMask]:
        if not boxes:
            return []
        decoded = self.host.decode_boxes(features, canvas_boxes(list(boxes), placement).to(self.device))
        logits, quality = decoded.logits.cpu().numpy(), decoded.quality.tolist()
        if self.isolation.isolation == "hard":
            for values, box in zip(logits, boxes, strict=True):
                _erase_outside(values, box, placement, self.isolation.hard_scale)
        return [BoxMask(MaskLogits(values, placement), score) for values, score in zip(logits, quality, strict=True)]

    def _decode_windows(self, encoded: Encoded, boxes: Sequence[Box]) -> list[BoxMask]:
        """Encode each window once, decode its boxes, and put the logits back in their place."""
        if not boxes:
            return []
        whole = require_pixels(encoded)
        rules, size = self.isolation, encoded.size
        own = [zoom_window(box, size, scale=rules.zoom_scale, shortest=rules.zoom_side) for box in boxes]
        windows = merge_windows(own, size)
        decoded: dict[int, BoxMask] = {}
        for window in dict.fromkeys(windows):
            rows = [index for index, one in enumerate(windows) if one == window]
            x0, y0, x1, y1 = window
            part = self.encode(RgbImage(np.ascontiguousarray(whole.pixels[y0:y1, x0:x1])))
            moved = [_moved(boxes[index], window) for index in rows]
            for index, mask in zip(rows, self._decode(part.features, moved, part.placement), strict=True):
                values = paste(mask.logits.values, part.placement, window, size)
                decoded[index] = BoxMask(MaskLogits(*values), mask.quality)
        return [decoded[index] for index in range(len(boxes))]

    def _found(
        self, prompt: Prompt, scored: list[ScoredBox], decoded: list[BoxMask], encoded: Encoded, thresholds: Thresholds
    ) -> Found:
        threshold = 0.5 if thresholds.mask is None else thresholds.mask
        remaining = iter(decoded)
        candidates = tuple(_candidate(one, next(remaining) if one.chosen else None, encoded.size) for one in scored)
        regions = tuple(candidate.region for candidate in candidates if candidate.chosen)
        if self.isolation.policy == "semantic" and len(regions) > 1:
            regions = (_union(regions, threshold),)
        presence = min(1.0, max((one.score for one in scored), default=0.0))
        return Found(
            prompt, presence, threshold=threshold, presence_threshold=thresholds.presence, size=encoded.size,
            regions=regions, candidates=candidates,
        )  # fmt: skip

    def _pixels(self, image: RgbImage, placement: Placement) -> Tensor:
        """Normalised float32 pixels (3, h, w); the padding is exactly 0, as in the published preprocessing."""
        pixels = super()._pixels(image, placement)
        _, _, height, width = placement.content
        pixels[:, height:] = 0
        pixels[:, :, width:] = 0
        return pixels


class _Model:
    """A host as `MethodRunner` needs it."""

    accepts = frozenset({TextPrompt})
    threshold = 0.5

    def __init__(self, host: BoxHost, isolation: Isolation) -> None:
        self.name, self.mean, self.std = host.name, host.mean, host.std
        self.presence_threshold = isolation.box_threshold
        self.canvas, self.encode_pixels = host.canvas, host.encode_pixels


def _candidate(scored: ScoredBox, decoded: BoxMask | None, size: Size) -> Candidate:
    """A box with its mask; a dropped one is not segmented, and stands for the pixels inside it."""
    if decoded is None:
        region = Region(_rectangle(scored.box, size), scored.score, None, scored.box)
        return Candidate(region, scored.facts, chosen=False)
    region = Region(decoded.logits, scored.score, decoded.quality, scored.box)
    return Candidate(region, {**scored.facts, "mask quality": decoded.quality}, chosen=True)


def _rectangle(box: Box, size: Size) -> masks.PackedMask:
    x0, y0 = (max(0, int(side)) for side in box[:2])
    x1, y1 = min(size[1], int(np.ceil(box[2]))), min(size[0], int(np.ceil(box[3])))
    return masks.pack(np.ones((max(0, y1 - y0), max(0, x1 - x0)), np.bool_), size=size, offset=(x0, y0))


def _union(regions: tuple[Region, ...], threshold: float) -> Region:
    """One region: the union of the masks, with the highest score, its quality, and the box round all boxes."""
    boxes = np.array([region.box for region in regions])
    ends = [*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist()]
    best = max(regions, key=lambda region: region.score)
    mask = masks.union([region.packed(threshold) for region in regions])
    return Region(mask, best.score, best.mask_score, (ends[0], ends[1], ends[2], ends[3]))


def _moved(box: Box, window: Window) -> Box:
    return box[0] - window[0], box[1] - window[1], box[2] - window[0], box[3] - window[1]


def _erase_outside(values: NDArray[np.float32], box: Box, placement: Placement, scale: float) -> None:
    """Set logits (h, w) to `OUTSIDE`, in place, where cells lie outside the enlarged box."""
    ends = canvas_boxes([box], placement)[0].numpy()
    centre, half = (ends[:2] + ends[2:]) / 2, scale * (ends[2:] - ends[:2]) / 2
    for axis, (length, side) in enumerate(zip(values.shape[::-1], placement.canvas[::-1], strict=True)):
        cells = (np.arange(length) + 0.5) * side / length
        outside = np.abs(cells - centre[axis]) > half[axis]
        values[(slice(None), outside) if axis == 0 else (outside, slice(None))] = OUTSIDE
