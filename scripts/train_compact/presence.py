"""What presence learns from: is the thing there at all?

Left to themselves, the labels teach how often a set's pictures are asked for a name, and not what the thing looks like.
One name of a PASCAL picture is there and five that are asked for are not, on a face it is the other way round; "cow" is
asked for on every street and face to learn that none is there, "necklace" is rarely worn. So on each picture what is
there and what is absent weigh the same, and so they do for each name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from batches import Batch
    from torch import Tensor

MEMORY = 0.998
"""What is kept, each batch, of how often a name was there and absent."""
MOST = 4.0
"""A rare side of a name weighs at most so much more."""


class PresenceLoss:
    """Cross-entropy of presence, in balance on each picture and for each name.

    Args:
        names: How many names `Batch.names` tells apart.
    """

    def __init__(self, names: int) -> None:
        self.there, self.absent = torch.zeros(names), torch.zeros(names)

    def __call__(self, presence: Tensor, batch: Batch) -> Tensor:
        """The loss of a batch, which is counted.

        Args:
            presence: float (B, K) logits.
            batch: what was asked for.
        """
        there, weights = batch.presence, even(batch.presence, batch.presence_weights)
        self._count(batch.names, weights * there, weights * (1 - there))
        yes, no = self.there[batch.names], self.absent[batch.names]
        middle = (yes + no) / 2
        weights = weights * (there * _share(middle, yes) + (1 - there) * torch.where(yes > 0, _share(middle, no), 1.0))
        return F.binary_cross_entropy_with_logits(presence, there, weight=weights)

    def _count(self, names: Tensor, yes: Tensor, no: Tensor) -> None:
        self.there.mul_(MEMORY).index_add_(0, names.flatten(), yes.flatten())
        self.absent.mul_(MEMORY).index_add_(0, names.flatten(), no.flatten())

    def state_dict(self) -> dict[str, Tensor]:
        return {"there": self.there, "absent": self.absent}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.there, self.absent = state["there"], state["absent"]


def even(there: Tensor, sure: Tensor) -> Tensor:
    """Weights (B, K) with which what is there and what is absent have the same sum on each picture.

    Args:
        there: float (B, K) 1 where the thing is there.
        sure: float (B, K) how sure that is.
    """
    yes, no = (part.sum(1, keepdim=True) for part in (sure * there, sure * (1 - there)))
    return sure * torch.minimum(yes, no) * (there / yes.clamp(min=1e-6) + (1 - there) / no.clamp(min=1e-6))


def _share(middle: Tensor, side: Tensor) -> Tensor:
    return (middle / side.clamp(min=1e-6)).clamp(max=MOST)
