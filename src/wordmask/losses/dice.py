"""Overlap as a loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

THERE = 0.5
"""Cells that a thing must cover to be there."""


def dice(logits: Tensor, targets: Tensor, known: Tensor) -> Tensor:
    """One minus Dice's coefficient of each thing that is there (Milletari et al., arXiv 1606.04797, section 3).

    Args:
        logits: float `(N, h, w)`.
        targets: float `(N, h, w)` in [0, 1].
        known: float `(N, h, w)`, weight of each pixel.

    Returns:
        float `(N,)`: 0 for a perfect overlap and for a thing that is not there, towards 1 for none.
    """
    probability = logits.sigmoid() * known
    joint = (probability * targets).sum((1, 2))
    both = (probability * probability).sum((1, 2)) + (known * targets * targets).sum((1, 2))
    there = (known * targets).sum((1, 2)) > THERE
    return (1 - (2 * joint + 1) / (both + 1)) * there
