"""Cells that look alike agree on their answer: non-local means (Buades et al., CVPR 2005) over pixel vectors.

A network that is unsure of a thing finds scraps of it: the wheels of a car, the head of a horse. Its pixel vectors know
better which cells belong together than the mask does. So the probability of a cell of a large mask becomes the mean
over the picture's cells, those near by and with vectors like its own above all. Only what a coarse grid can show is
exchanged; edges, which are finer, stay, and so do masks of small things, which that grid would blur away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor

ASKING = 48
"""Cells along the longer side that look for others like them; at a canvas of 384 px each is 8 px wide."""
ANSWERING = 24
"""Cells along the longer side that are looked at."""
REACH = 0.25
"""Distance at which another cell counts less by exp(-1/2), as a share of the longer side."""
LARGE = 0.03
"""A mask whose probabilities add up to this share of the picture, or more, listens in full; smaller ones less."""
SURE = 1e-5
"""Probabilities are kept this far from 0 and 1 where logits are made of them."""


def likeness(pixel: Tensor, sharpness: float) -> Tensor:
    """How much each cell listens to each other: softmax(sharpness * cosine - (distance / REACH)^2 / 2).

    Vectors are taken from the picture's mean before their cosine.

    Args:
        pixel: float (B, D, h, w) pixel vectors.
        sharpness: how much more cells count that look alike; 0 for none of it.

    Returns:
        float32 (B, N, M), rows add up to 1; N cells of the finer grid and M of the coarser one. (B, 0, 0) for none.
    """
    if not sharpness:
        return pixel.new_empty((len(pixel), 0, 0), dtype=torch.float32)
    asking, answering = (_shrunk(pixel.float(), cells) for cells in (ASKING, ANSWERING))
    middle = asking.mean((2, 3), keepdim=True)
    rows, columns = (F.normalize((x - middle).flatten(2), dim=1) for x in (asking, answering))
    apart = torch.cdist(_places(asking), _places(answering))
    return (sharpness * rows.transpose(1, 2) @ columns - (apart / REACH) ** 2 / 2).softmax(2)


def agree(logits: Tensor, alike: Tensor) -> Tensor:
    """Mask logits after each cell has listened to those like it.

    Args:
        logits: float32 (P, h, w).
        alike: float (N, M), one picture's of `likeness`.

    Returns:
        float32 (P, h, w); the logits as they are where `alike` is of no cells.
    """
    if not alike.numel():
        return logits
    probability = logits.sigmoid()
    own, others = (_shrunk(probability[None], cells)[0] for cells in (ASKING, ANSWERING))
    heard = (others.flatten(1) @ alike.float().T).view_as(own)
    change = torch.logit(heard, eps=SURE) - torch.logit(own, eps=SURE)
    listens = (probability.mean((1, 2), keepdim=True) / LARGE).clamp(max=1)
    finer: Tensor = F.interpolate(change[None], size=logits.shape[1:], mode="bilinear", align_corners=False)[0]
    return logits + listens * finer


def _shrunk(maps: Tensor, cells: int) -> Tensor:
    """Maps (B, C, h, w) averaged down to at most so many cells along the longer side."""
    height, width = maps.shape[2:]
    scale = min(1.0, cells / max(height, width))
    return F.adaptive_avg_pool2d(maps, (max(1, round(height * scale)), max(1, round(width * scale))))


def _places(maps: Tensor) -> Tensor:
    """Middle of each cell (h * w, 2) of maps (B, C, h, w), in shares of the longer side."""
    height, width = maps.shape[2:]
    y, x = (torch.arange(side, device=maps.device) + 0.5 for side in (height, width))
    return torch.cartesian_prod(y, x) / max(height, width)
