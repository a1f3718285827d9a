"""CutMix of labelled images: a rectangle of another image with its labels and boxes (Yun et al., arXiv 1905.04899)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from wordmask.training.compact.augment import random_rectangles, uniform
from wordmask.training.compact.labelled_images import BOXED, BY_BOXES, BY_PIXELS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["CutMix", "Known", "Regions", "Scene"]

CUT = (0.4, 0.85)
"""Sides of the rectangle, as fractions of the canvas."""
TOLD = 0.5
"""Confidence from which a name is taken to be absent where an image has no label of it."""


class Scene(NamedTuple):
    """Warped images with their maps."""

    pixels: Tensor  # (B, 3, S, S)
    labels: Tensor  # uint8 (B, S / 2, S / 2)
    boxes: Tensor  # uint8 (B, S / 2, S / 2); int32 with a second image's boxes in the bits from 8 on
    flip: Tensor  # bool (B,)
    whole: Tensor  # bool (B,), most of the image is shown


class Known(NamedTuple):
    """What is known of the names of B images."""

    slots: Tensor  # int64 (B, 8), or (B, 16) with those of a second image
    present: Tensor  # uint8 (B, P)
    absent: Tensor  # float (B, P)


class Regions(NamedTuple):
    """The part of each canvas that shows a second image, and the names that each of both tells apart from the rest.

    Attributes:
        second: bool (B, h, w).
        told: bool (B, 2, P): absent names, and present ones whose place is known, of the first and the second image.
    """

    second: Tensor
    told: Tensor

    def certain(self, rows: Tensor) -> Tensor:
        """Bool (B, K, h, w): cells without a label of a name of `rows`, int64 (B, K), are known to be without it."""
        first, second = (self.told[:, i].gather(1, rows)[:, :, None, None] for i in (0, 1))
        return torch.where(self.second[:, None], second, first)

    def unclear(self, shown: Tensor) -> Tensor:
        """Bool (B, h, w): the image shown there does not tell all names that are labelled on the canvas.

        Args:
            shown: bool (B, P) names that are labelled.
        """
        first, second = ((shown & ~self.told[:, i]).any(1)[:, None, None] for i in (0, 1))
        return torch.where(self.second, second, first)


class CutMix:
    """Puts a rectangle of another image of the same label space on some rows of a batch.

    Args:
        names: of the label spaces.
        order: numbers of the label spaces of a batch, in order.
        counts: images of each.
        shares: name of a label space -> share of its images that are mixed, the last ones.
        device: of the batches.
    """

    def __init__(
        self,
        names: Sequence[str],
        order: Sequence[int],
        counts: Sequence[int],
        shares: Mapping[str, float],
        device: torch.device,
    ) -> None:
        rows: list[int] = []
        sources: list[tuple[int, int]] = []
        start = 0
        for space, count in zip(order, counts, strict=True):
            number = round(shares.get(names[space], 0.0) * count) if count > 1 else 0
            rows += range(start + count - number, start + count)
            sources += [(start, count)] * number
            start += count
        self.rows = torch.tensor(rows, dtype=torch.long, device=device)
        self.sources = torch.tensor(sources, dtype=torch.long, device=device).view(-1, 2)

    def __len__(self) -> int:
        return len(self.rows)

    def __call__(self, scene: Scene, known: Known, generator: torch.Generator) -> tuple[Scene, Known, Regions]:
        """Return the mixed scene, what is known of it, and which of both images is shown where."""
        rows, (first, count) = self.rows, self.sources.unbind(1)
        step = (uniform(0, 1, (len(rows),), generator) * (count - 1)).long() + 1
        other = first + (rows - first + step) % count  # any row of the space but its own
        area = random_rectangles(len(rows), scene.labels.shape[-1], 1.0, generator, extent=CUT)
        fine = area.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, None]
        boxes, further = scene.boxes.int(), torch.full_like(known.slots, -1)
        further[rows] = known.slots[other]
        mixed = Scene(
            _put(scene.pixels, rows, torch.where(fine, scene.pixels[other], scene.pixels[rows])),
            _put(scene.labels, rows, torch.where(area, scene.labels[other], scene.labels[rows])),
            _put(boxes, rows, torch.where(area, boxes[other] << BOXED, boxes[rows])),
            scene.flip,
            _put(scene.whole, rows, torch.zeros_like(scene.whole[rows])),
        )
        told = (known.absent >= TOLD) | (known.present == BY_PIXELS) | (known.present == BY_BOXES)
        second = _put(torch.zeros_like(scene.labels, dtype=torch.bool), rows, area)
        regions = Regions(second, torch.stack([told, _put(told, rows, told[other])], 1))
        present = _put(known.present, rows, _surer(known.present[rows], known.present[other]))
        absent = _put(known.absent, rows, torch.minimum(known.absent[rows], known.absent[other]))
        return mixed, Known(torch.cat([known.slots, further], 1), present, absent), regions


def _put(values: Tensor, rows: Tensor, new: Tensor) -> Tensor:
    return values.index_copy(0, rows, new)


def _surer(one: Tensor, other: Tensor) -> Tensor:
    """Of two sources of the knowledge that a name is there: label map, then boxes, then a tag, then none."""
    both = torch.minimum(one, other)  # the surer source has the smaller number, but for 0
    return torch.where(both == 0, torch.maximum(one, other), both)
