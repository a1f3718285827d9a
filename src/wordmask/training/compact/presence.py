"""Presence loss, balanced between present and absent names on each image and for each name.

Unbalanced, the loss fits how often a name is a prompt in a data set, not the appearance of the object. Present and
absent names therefore weigh the same on each image, and the two sides of each name weigh the same over the run.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MEMORY = 0.998
"""Decay per batch of the running counts of how often a name was present and absent."""
MOST = 4.0
"""Highest weight of the rarer of present and absent, for a name."""
ONE_SIDED = 0.2
"""Weight of an image on which only absent (or only present) names were asked for."""


class PresenceLoss(nn.Module):
    """Cross-entropy of presence, in balance on each image and for each name.

    Args:
        names: how many names there are.
    """

    there: Tensor
    absent: Tensor

    def __init__(self, names: int) -> None:
        super().__init__()
        self.register_buffer("there", torch.zeros(names))
        self.register_buffer("absent", torch.zeros(names))

    def forward(self, presence: Tensor, there: Tensor, sure: Tensor, names: Tensor) -> Tensor:
        """The loss of a batch, which is counted.

        Args:
            presence: float (B, K) logits.
            there: float (B, K) 1 where the thing is there.
            sure: float (B, K) weight of that knowledge, 0 to 1.
            names: int64 (B, K) number of each prompt's name.
        """
        weights = balanced(there, sure)
        self.there.mul_(MEMORY).index_add_(0, names.flatten(), (weights * there).flatten())
        self.absent.mul_(MEMORY).index_add_(0, names.flatten(), (weights * (1 - there)).flatten())
        yes, no = self.there[names], self.absent[names]
        middle = (yes + no) / 2
        weights = weights * (
            there * _factor(middle, yes) + (1 - there) * torch.where(yes > 0, _factor(middle, no), 1.0)
        )
        return F.binary_cross_entropy_with_logits(presence, there, weight=weights)


def balanced(there: Tensor, sure: Tensor) -> Tensor:
    """Weights (B, K) with which what is there and what is absent have the same sum on each image.

    Args:
        there: float (B, K) 1 where the thing is there.
        sure: float (B, K) weight of that knowledge, 0 to 1.
    """
    yes, no = ((sure * side).sum(1, keepdim=True) for side in (there, 1 - there))
    both = torch.where(torch.minimum(yes, no) > 0, torch.minimum(yes, no), ONE_SIDED * torch.maximum(yes, no))
    return sure * both * (there / yes.clamp(min=1e-6) + (1 - there) / no.clamp(min=1e-6))


def _factor(middle: Tensor, side: Tensor) -> Tensor:
    return (middle / side.clamp(min=1e-6)).clamp(max=MOST)
