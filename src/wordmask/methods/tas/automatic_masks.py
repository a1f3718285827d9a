"""Masks of everything in an image, by asking Segment Anything at the points of a grid.

Kirillov et al., arXiv 2304.02643, appendix B, with the settings of TAS (arXiv 2310.18049). transformers' own mask
generation needs torchvision; this one does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeAlias

import cv2
import numpy as np
import torch

from wordmask.contracts import Encoded
from wordmask.ops import masks as packed_masks
from wordmask.ops.boxes import nms
from wordmask.ops.masks import pack
from wordmask.results import Region
from wordmask.settings import Ranges, Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from wordmask.images import RgbImage
    from wordmask.ops.geometry import Placement, Size
    from wordmask.ops.masks import PackedMask

__all__ = ["AutomaticMasks", "GridSettings", "PointModel", "point_grid", "without_small_parts"]


Margins: TypeAlias = "tuple[tuple[int, int], tuple[int, int]]"
"""Pixels added at (top, bottom) and (left, right)."""


class PointModel(Protocol):
    """A network that makes three masks for each point of an image: `backbones.sam_points.SamPoints`."""

    def canvas(self, size: Size) -> Placement: ...
    def encode(self, image: RgbImage, placement: Placement) -> Tensor: ...
    def decode(self, embedding: Tensor, points: Tensor) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True)
class GridSettings(Settings):
    """How masks are generated; the defaults are those of TAS.

    Attributes:
        points_per_side: Points along each side of the grid.
        points_per_batch: Points that are decoded together.
        min_quality: Predicted IoU that a mask must exceed.
        min_stability: Stability that a mask must reach: area at the logit `offset` by area at `-offset`.
        offset: Logit of the stability.
        max_box_iou: Of two masks whose boxes overlap more, the one of lower quality is dropped.
        min_part: Parts and holes smaller than that, in pixels, are removed; 0: they stay.
        min_part_fraction: The same as a fraction of the image, in place of `min_part`; 0: not used.
    """

    points_per_side: int = 8
    points_per_batch: int = 64
    min_quality: float = 0.7
    min_stability: float = 0.7
    offset: float = 1.0
    max_box_iou: float = 0.7
    min_part: int = 800
    min_part_fraction: float = 0.0

    ranges: ClassVar[Ranges] = {
        "points_per_side": (1, 256), "points_per_batch": (1, 4096), "min_part": (0, 1e9), "min_part_fraction": (0, 1),
        "max_box_iou": (0, 1),
    }  # fmt: skip


def point_grid(per_side: int) -> NDArray[np.float64]:
    """Return the points (N, 2) of a grid over the unit square, x and y, row by row; each in the centre of its cell."""
    centres = (np.arange(per_side) + 0.5) / per_side
    columns, rows = np.meshgrid(centres, centres)
    return np.stack([columns.ravel(), rows.ravel()], axis=1)


class AutomaticMasks:
    """A `ProposalSource` made from a `PointModel`.

    Args:
        model: The network.
        settings: Of the grid and the filters.
    """

    def __init__(self, model: PointModel, settings: GridSettings | None = None) -> None:
        self.model = model
        self.settings = settings or GridSettings()

    @torch.inference_mode()
    def propose(self, image: Encoded | RgbImage) -> tuple[Region, ...]:
        """Return masks with their predicted IoU, the best first."""
        given = image.image if isinstance(image, Encoded) else image
        assert given is not None
        placement = self.model.canvas(given.size)
        embedding = self.model.encode(given, placement)
        found = [one for points in self._batches(placement) for one in self._masks(embedding, points, placement)]
        found = [found[index] for index in _kept(found, self.settings.max_box_iou)]
        return tuple(Region(mask, quality, quality, mask.box) for mask, quality in self._cleaned(found))

    def _batches(self, placement: Placement) -> Sequence[Tensor]:
        """Points on the canvas."""
        top, left, height, width = placement.content
        points = point_grid(self.settings.points_per_side) * (width, height) + (left, top)
        whole, step = torch.from_numpy(points.astype(np.float32)), self.settings.points_per_batch
        return [whole[start : start + step] for start in range(0, len(whole), step)]

    def _masks(self, embedding: Tensor, points: Tensor, placement: Placement) -> list[tuple[PackedMask, float]]:
        """The masks of points that pass the filters of quality and stability, in order, with their quality."""
        logits, quality = self.model.decode(embedding, points)
        rows = [values.cpu().numpy() for values in logits.flatten(0, 1)]
        scores = quality.flatten().tolist()
        made = (
            (self._stable(rows[index], placement), score)
            for index, score in enumerate(scores)
            if score > self.settings.min_quality
        )
        return [(mask, score) for mask, score in made if mask is not None]

    def _stable(self, logits: NDArray[np.float32], placement: Placement) -> PackedMask | None:
        """The mask of logits (h, w), or None where it is empty or its stability too low."""
        mask = packed_masks.threshold(logits, placement, 0.0)
        if not mask.area:
            return None
        if self.settings.min_stability <= 0:
            return mask
        inner, outer = (
            packed_masks.threshold(logits, placement, sign * self.settings.offset).area for sign in (1.0, -1.0)
        )
        return mask if inner / max(1, outer) >= self.settings.min_stability else None

    def _cleaned(self, found: list[tuple[PackedMask, float]]) -> list[tuple[PackedMask, float]]:
        """Remove small parts and holes, then masks that have become repetitions; unchanged ones come first."""
        if not found:
            return found
        size = found[0][0].size
        least = self.settings.min_part
        if self.settings.min_part_fraction:
            least = round(self.settings.min_part_fraction * size[0] * size[1])
        if least <= 0:
            return found
        cleaned = [without_small_parts(mask, least) for mask, _ in found]
        unchanged = [float(after is before) for after, (before, _) in zip(cleaned, found, strict=True)]
        boxes = np.array([mask.window for mask in cleaned], np.float64)
        kept = sorted(nms(boxes, np.array(unchanged), threshold=self.settings.max_box_iou).tolist())
        return [(cleaned[index], found[index][1]) for index in kept]


def without_small_parts(mask: PackedMask, least: int) -> PackedMask:
    """Fill holes and then remove parts of fewer than `least` pixels; the largest part stays in any case.

    What lies around the window of the mask counts as large.

    Returns:
        The same object where nothing changes.
    """
    x0, y0, x1, y1 = mask.window
    inner = ((int(y0 > 0), int(y1 < mask.size[0])), (int(x0 > 0), int(x1 < mask.size[1])))
    crop = np.pad(mask.crop(), inner)  # on those sides on which the image goes on
    filled = crop | _small_holes(crop, least, inner)
    result = filled & ~_small_parts(filled, least)
    if (result == crop).all():
        return mask
    return pack(result, size=mask.size, offset=(x0 - inner[1][0], y0 - inner[0][0]))


def _small_holes(crop: NDArray[np.bool_], least: int, margins: Margins) -> NDArray[np.bool_]:
    """The 8-connected parts of the background of fewer than `least` pixels that do not reach a margin."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats((~crop).view(np.uint8), connectivity=8)
    small = stats[:, cv2.CC_STAT_AREA] < least
    small[0] = False  # the mask itself
    (top, bottom), (left, right) = margins
    edges = [labels[:top], labels[len(labels) - bottom :], labels[:, :left], labels[:, labels.shape[1] - right :]]
    small[np.unique(np.concatenate([edge.ravel() for edge in edges]))] = False
    found: NDArray[np.bool_] = small[labels]
    return found


def _small_parts(crop: NDArray[np.bool_], least: int) -> NDArray[np.bool_]:
    """The 8-connected parts of fewer than `least` pixels; where all are smaller, all but the largest."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(crop.view(np.uint8), connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA]
    small = areas < least
    small[0] = False  # the background
    if len(areas) > 1 and small[1:].all():
        small[1 + int(areas[1:].argmax())] = False
    found: NDArray[np.bool_] = small[labels]
    return found


def _kept(found: list[tuple[PackedMask, float]], threshold: float) -> list[int]:
    if not found:
        return []
    boxes = np.array([mask.window for mask, _ in found], np.float64)
    return [int(index) for index in nms(boxes, np.array([quality for _, quality in found]), threshold=threshold)]
