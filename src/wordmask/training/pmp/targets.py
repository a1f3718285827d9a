"""What mask proposals are compared with: the whole mask of a phrase, its instances, and points to compare them at."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["UNKNOWN_INSTANCES", "ProposalTargets", "boxes_of", "sample_points"]

UNKNOWN_INSTANCES = -1
"""`counts` of a row whose mask may hold several instances that are not told apart."""
MARGIN = 0.2
"""Points near an instance lie in its bounding box, wider by this fraction of its sides at each end."""


class ProposalTargets(NamedTuple):
    """Targets of R rows; a row is a prompt for an image, or an image without a prompt.

    Attributes:
        whole: bool `(R, S, S)`, the mask of the phrase; empty where it is absent.
        has_whole: bool `(R,)`, whether that mask is complete; False in rows without a prompt.
        instances: bool `(R, T, S, S)`, padded with empty masks.
        counts: int64 `(R,)`, number of instances, or `UNKNOWN_INSTANCES`.
        complete: bool `(R,)`, whether every instance is marked, so that further ones are false positives.
        known: bool `(R, S, S)`, False where nothing is known.
        boxed: bool `(R,)`, whether only boxes are annotated: `instances` are then rectangles, and `whole` covers more
            than the phrase. No mask is compared with them; they are targets of the centre head alone.
    """

    whole: Tensor
    has_whole: Tensor
    instances: Tensor
    counts: Tensor
    complete: Tensor
    known: Tensor
    boxed: Tensor

    def at(self, cells: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return whole masks `(R, P)`, instances `(R, T, P)` and what is known `(R, P)` as float32.

        Args:
            cells: int64 `(R, P)`, indices into the S * S cells.
        """
        spread = cells.unsqueeze(1).expand(-1, self.instances.shape[1], -1)
        whole, known = (m.flatten(1).gather(1, cells).float() for m in (self.whole, self.known))
        return whole, self.instances.flatten(2).gather(2, spread).float(), known

    def pooled(self, size: int) -> tuple[Tensor, Tensor]:
        """Return whole masks `(R, size * size)` and instances `(R, T, size * size)` on a coarser grid, as float32."""
        step = self.whole.shape[-1] // size
        whole, instances = (m[..., ::step, ::step] for m in (self.whole, self.instances))
        return whole.flatten(1).float(), instances.flatten(2).float()


def boxes_of(masks: Tensor) -> Tensor:
    """Return boxes float `(..., 4)` of bool masks `(..., S, S)`: XYXY as fractions of S; (0, 0, 1, 1) of empty ones."""
    size = masks.shape[-1]
    sides = []
    for axis in (-2, -1):  # columns, then rows
        there = masks.any(axis)
        first = there.float().argmax(-1)
        last = size - there.flip(-1).float().argmax(-1)
        sides.append((first, last))
    (x0, x1), (y0, y1) = sides
    box = torch.stack([x0, y0, x1, y1], -1).float() / size
    whole = torch.tensor([0.0, 0.0, 1.0, 1.0], device=masks.device)
    return torch.where(masks.flatten(-2).any(-1, keepdim=True), box, whole)


def sample_points(
    targets: ProposalTargets, count: int, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Draw points: half of them anywhere, half near instances, each of which gets the same share whatever its size.

    Args:
        targets: Of R rows with masks of S x S cells.
        count: Number of points P.
        generator: Of the draws.

    Returns:
        Points float `(R, P, 2)`, x and y in [0, 1], in the middle of their cells; and int64 `(R, P)`, the cells.
    """
    rows, size = len(targets.whole), targets.whole.shape[-1]
    device = targets.whole.device
    near = count // 2
    points = torch.rand((rows, count, 2), generator=generator, device=device)
    choice = torch.rand((rows, near), generator=generator, device=device)
    several = targets.counts > 0
    index = (choice * targets.counts.clamp(min=1).unsqueeze(1)).long().clamp(max=targets.instances.shape[1] - 1)
    boxes = boxes_of(targets.instances).gather(1, index.unsqueeze(2).expand(-1, -1, 4))  # (R, near, 4)
    boxes = torch.where(several[:, None, None], boxes, boxes_of(targets.whole).unsqueeze(1))
    corner, extent = boxes[..., :2], boxes[..., 2:] - boxes[..., :2]
    margin = MARGIN * extent + 1.5 / size
    points[:, :near] = corner - margin + (extent + 2 * margin) * points[:, :near]
    cell = (points * size).long().clamp(0, size - 1)  # (R, P, 2)
    return (cell.float() + 0.5) / size, cell[..., 1] * size + cell[..., 0]
