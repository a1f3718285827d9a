"""Divide a mask among proposals, so that things that touch come apart and nothing of the mask is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wordmask.methods.pmp.embedded.settings import ProposalSettings

__all__ = ["Part", "divide", "kept_proposals"]

FAR = np.float32(20.0)
"""Logit of a cell that certainly belongs to a part, or certainly not."""
CONTAINED = 0.85
"""Fraction of a proposal inside another one from which it is dropped."""


class Part(NamedTuple):
    """A part of a mask.

    Attributes:
        logits: float32 `(h, w)`, above 0 inside.
        proposal: Index of the proposal, or -1 for a connected part that no proposal covers.
    """

    logits: NDArray[np.float32]
    proposal: int


def kept_proposals(
    masks: NDArray[np.bool_], quality: NDArray[np.float32], settings: ProposalSettings, *, area: int
) -> list[int]:
    """Return indices of the proposals that are instances, best first: good enough, large enough, no duplicates.

    Args:
        masks: bool `(Q, h, w)`.
        quality: float `(Q,)`, expected IoU.
        settings: Thresholds.
        area: Cells of the mask that they are parts of.
    """
    flat = masks.reshape(len(masks), -1).astype(np.float32)
    areas = flat.sum(1)
    common = flat @ flat.T
    kept: list[int] = []
    for index in np.argsort(-quality, kind="stable").tolist():
        if quality[index] < settings.least_quality:
            break
        if areas[index] < max(1.0, settings.least_area * area):
            continue
        same = (common[index, other] >= settings.overlap * (areas[index] + areas[other] - common[index, other])
                or common[index, other] >= CONTAINED * areas[index] for other in kept)  # fmt: skip
        if not any(same):
            kept.append(index)
    return kept


def divide(
    mask: NDArray[np.float32], proposals: NDArray[np.float32], quality: NDArray[np.float32], settings: ProposalSettings
) -> list[Part]:
    """Divide a mask among the proposals; a connected part that none of them covers becomes a part of its own.

    Every cell goes to the proposal with the highest logit, so that the parts' union is the mask, but for what
    interpolation changes along their borders.

    Args:
        mask: float32 `(h, w)`, logits above 0 inside.
        proposals: float32 `(Q, h, w)`, logits.
        quality: float32 `(Q,)`, expected IoU.
        settings: Thresholds.
    """
    inside = mask > 0
    kept = kept_proposals((proposals > 0) & inside, quality, settings, area=int(inside.sum()))
    uncovered = _uncovered(inside, proposals[kept] > 0, settings)
    claims = np.concatenate([proposals[kept], np.where(uncovered, FAR, -FAR)])  # (M, h, w)
    if len(uncovered):
        claims[: len(kept)][:, uncovered.any(0)] = -FAR
    owners = [*kept, *[-1] * len(uncovered)]
    if len(owners) < 2:
        return [Part(mask, owner) for owner in owners]
    highest = np.sort(claims, axis=0)[-2:]  # second highest, highest
    rivals = np.where(claims == highest[1], highest[0], highest[1])
    return [
        Part(np.minimum(mask, claim - rival), owner) for claim, rival, owner in zip(claims, rivals, owners, strict=True)
    ]


def _uncovered(inside: NDArray[np.bool_], masks: NDArray[np.bool_], settings: ProposalSettings) -> NDArray[np.bool_]:
    """Connected parts bool `(N, h, w)` of a mask that no proposal covers and that are large enough."""
    number, parts = cv2.connectedComponents(inside.astype(np.uint8), connectivity=8)
    touched = set(np.unique(parts[masks.any(0) & inside]).tolist()) if len(masks) else set()
    sizes = np.bincount(parts.ravel(), minlength=number)
    least = 0.02 * sizes[1:].max(initial=0)
    chosen = [i for i in range(1, number) if i not in touched and sizes[i] >= least]
    if not chosen:
        return np.zeros((0, *inside.shape), dtype=np.bool_)
    return np.stack([parts == i for i in chosen])
