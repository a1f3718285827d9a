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

    The cosine is that of pixel vectors from which the picture's mean was taken. No gradient flows through it.

    Args:
        pixel: float (B, D, h, w) pixel vectors.
        sharpness: how much more cells count that look alike.

    Returns:
        float32 (B, N, M), rows add up to 1; N cells of the finer grid and M of the coarser one.
    """
    with torch.autocast(pixel.device.type, enabled=False):
        grids = [_shrunk(pixel.detach().float(), cells) for cells in (ASKING, ANSWERING)]
        middle = grids[0].mean((2, 3), keepdim=True)
        rows, columns = (F.normalize((grid - middle).flatten(2), dim=1) for grid in grids)  # (B, D, N), (B, D, M)
        asking, answering = (_places(pixel, cells).T.expand(len(pixel), -1, -1) for cells in (ASKING, ANSWERING))
        # -|a - b|^2 / 2 is a b - |b|^2 / 2 but for |a|^2 / 2, which is the same for all that a cell listens to
        far = answering.square().sum(1, keepdim=True) / (-2 * REACH**2)
        ask = torch.cat([sharpness * rows, asking / REACH**2, torch.ones_like(asking[:, :1])], 1)
        return (ask.transpose(1, 2) @ torch.cat([columns, answering, far], 1)).softmax(2)


def agree(logits: Tensor, alike: Tensor) -> Tensor:
    """Mask logits after each cell has listened to those like it.

    Args:
        logits: float (B, P, h, w).
        alike: float (B, N, M), what `likeness` made of pixel vectors (B, D, h, w), in any precision.

    Returns:
        float32 (B, P, h, w).
    """
    with torch.autocast(logits.device.type, enabled=False):
        logits, alike = logits.float(), alike.float()
        probability = logits.sigmoid()
        own, others = (_shrunk(probability, cells) for cells in (ASKING, ANSWERING))
        whole = alike.sum(2).unsqueeze(1)  # not quite 1 where the shares were rounded
        heard = (others.flatten(2) @ alike.transpose(1, 2) / whole).view_as(own)
        change = torch.logit(heard, eps=SURE) - torch.logit(own, eps=SURE)
        listens = (probability.mean((2, 3), keepdim=True) / LARGE).clamp(max=1)
        finer = F.interpolate(change, size=logits.shape[2:], mode="bilinear", align_corners=False)
        return logits + listens * finer


def _stride(maps: Tensor, cells: int) -> int:
    """Side of the squares of which a map (B, C, h, w) has at most so many along its longer side."""
    return -(-max(maps.shape[2:]) // cells)


def _shrunk(maps: Tensor, cells: int) -> Tensor:
    """Maps (B, C, h, w) averaged over squares, at most so many along the longer side."""
    return F.avg_pool2d(maps, _stride(maps, cells), ceil_mode=True, count_include_pad=False)


def _places(maps: Tensor, cells: int) -> Tensor:
    """Middles (n, 2) of the squares that `_shrunk` averages over, in shares of the longer side."""
    side, (height, width) = _stride(maps, cells), maps.shape[2:]
    y, x = (torch.arange(-(-length // side), device=maps.device) + 0.5 for length in (height, width))
    return torch.cartesian_prod(y, x) * (side / max(height, width))
