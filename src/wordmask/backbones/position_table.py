"""Resize the learned position table of a Vision Transformer."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["resize_position_table"]


def resize_position_table(table: Tensor, height: int, width: int) -> Tensor:
    """Interpolate a table made for a square grid to another grid.

    The class token's row stays as it is; the others are resized bicubically without antialiasing, with half-pixel
    centres. On the table's own grid the values are returned unchanged.

    Args:
        table: float (1 + n * n, C), class token first, then the grid row by row.
        height: Rows of the new grid.
        width: Columns of the new grid.

    Returns:
        float32 (1 + height * width, C).
    """
    table = table.float()
    side = math.isqrt(len(table) - 1)
    if (height, width) == (side, side):
        return table
    grid = table[1:].view(side, side, -1).permute(2, 0, 1).unsqueeze(0)  # (1, C, n, n)
    resized = F.interpolate(grid, size=(height, width), mode="bicubic", align_corners=False)  # (1, C, height, width)
    return torch.cat([table[:1], resized[0].permute(1, 2, 0).flatten(0, 1)])
