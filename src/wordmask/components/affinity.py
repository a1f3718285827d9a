"""Refine mask logits by affinity: non-local means (Buades et al., CVPR 2005) over pixel embeddings.

The probability of a cell of a large mask becomes a mean over the image's cells, weighted by how similar their pixel
embeddings are and how near they lie. It closes holes and removes scattered false positives in large masks. It works on
coarse grids, so only coarse differences are corrected: edges, which are finer, stay, and small masks, which those grids
would blur, are changed less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["affinity_matrix", "refine"]

QUERY_CELLS = 48
"""Cells along the longer side whose value is replaced; at a canvas of 384 px each is 8 px wide."""
KEY_CELLS = 24
"""Cells along the longer side over which the mean is taken."""
SIGMA = 0.25
"""Standard deviation of the spatial weight, as a fraction of the longer side."""
FULL_AREA = 0.03
"""Masks whose probabilities sum to this fraction of the image, or more, are refined in full; smaller ones less."""
EPSILON = 1e-5
"""Probabilities are kept this far from 0 and 1 before they are turned into logits."""


def affinity_matrix(embeddings: Tensor, sharpness: float, *, longer: int | None = None) -> Tensor:
    """Return the affinities of all cells: softmax(sharpness * cosine - (distance / SIGMA)^2 / 2).

    The cosine is that of pixel embeddings from which the image's mean was subtracted. No gradient flows through it.

    Args:
        embeddings: float (B, D, h, w), one embedding per pixel.
        sharpness: Factor of the cosine; the higher, the more weight similar cells get.
        longer: Longer side of the maps, where it is known whatever their shape: an exported graph must not depend on
            the shape that it was traced with. None takes that of the embeddings.

    Returns:
        float32 (B, N, M), rows sum to 1; N cells of the finer grid and M of the coarser one.
    """
    with torch.autocast(embeddings.device.type, enabled=False):
        strides = [_stride(embeddings, cells, longer) for cells in (QUERY_CELLS, KEY_CELLS)]
        grids = [_pooled(embeddings.detach().float(), stride) for stride in strides]
        mean = grids[0].mean((2, 3), keepdim=True)
        rows, columns = (F.normalize((grid - mean).flatten(2), dim=1) for grid in grids)  # (B, D, N), (B, D, M)
        places, key_places = (
            _centres(embeddings, stride, longer).T.expand(len(embeddings), -1, -1) for stride in strides
        )  # (B, 2, N), (B, 2, M)
        # -|a - b|^2 / 2 = a b - |b|^2 / 2 - |a|^2 / 2, whose last term is the same for all keys of a cell
        distance = key_places.square().sum(1, keepdim=True) / (-2 * SIGMA**2)
        queries = torch.cat([sharpness * rows, places / SIGMA**2, torch.ones_like(places[:, :1])], 1)  # (B, D + 3, N)
        return (queries.transpose(1, 2) @ torch.cat([columns, key_places, distance], 1)).softmax(2)


def refine(logits: Tensor, affinity: Tensor, *, longer: int | None = None) -> Tensor:
    """Return mask logits after averaging probabilities over similar cells.

    Args:
        logits: float (B, P, h, w).
        affinity: float (B, N, M), the `affinity_matrix` of pixel embeddings (B, D, h, w), in any precision.
        longer: As for `affinity_matrix`.

    Returns:
        float32 (B, P, h, w).
    """
    with torch.autocast(logits.device.type, enabled=False):
        logits, affinity = logits.float(), affinity.float()
        probability = logits.sigmoid()
        strides = (_stride(logits, cells, longer) for cells in (QUERY_CELLS, KEY_CELLS))
        before, keys = (_pooled(probability, stride) for stride in strides)  # fine and coarse grid
        total = affinity.sum(2).unsqueeze(1)  # (B, 1, N), not quite 1 where affinities were rounded
        after = (keys.flatten(2) @ affinity.transpose(1, 2) / total).view_as(before)
        change = torch.logit(after, eps=EPSILON) - torch.logit(before, eps=EPSILON)
        strength = (probability.mean((2, 3), keepdim=True) / FULL_AREA).clamp(max=1)  # (B, P, 1, 1)
        finer = F.interpolate(change, size=logits.shape[2:], mode="bilinear", align_corners=False)
        return logits + strength * finer


def _stride(maps: Tensor, cells: int, longer: int | None) -> int:
    """Side of the squares that divide maps (B, C, h, w) into at most `cells` along the longer side."""
    return -(-(longer or max(maps.shape[2:])) // cells)


def _pooled(maps: Tensor, stride: int) -> Tensor:
    """Maps (B, C, h, w) averaged over squares of `stride` cells."""
    return F.avg_pool2d(maps, stride, ceil_mode=True, count_include_pad=False)


def _centres(maps: Tensor, side: int, longer: int | None) -> Tensor:
    """Centres (n, 2) of the squares of `side` cells that `_pooled` averages over, as fractions of the longer side."""
    height, width = maps.shape[2:]
    y, x = (torch.arange(-(-length // side), device=maps.device) + 0.5 for length in (height, width))
    return torch.cartesian_prod(y, x) * (side / (longer or max(height, width)))
