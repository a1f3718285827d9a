"""SAM's windowed and global self-attention without a materialised position bias."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["FoldedAttention"]


class FoldedAttention(nn.Module):
    """Attention with decomposed relative positions folded into queries and keys.

    The bias of cell (y, x) towards (v, u) is `q . Rh[y - v] + q . Rw[x - u]`. With `[q * scale, q Rh, q Rw]` as queries
    and `[k, one-hot v, one-hot u]` as keys it is part of the product, and no tensor of cells x cells x heads is made:
    the encoder takes 0.6 of the time (`benchmarks/box_masks.py`). Equal to transformers' layer but for rounding.

    Args:
        layer: transformers' `SamVisionAttention` (or SAM-HQ's), whose projections are shared.
        side: Cells along each side of the window.
    """

    def __init__(self, layer: Any, side: int) -> None:
        super().__init__()
        self.qkv, self.proj = layer.qkv, layer.proj
        self.heads, self.scale, self.side = int(layer.num_attention_heads), float(layer.scale), side
        self.rel_pos_h, self.rel_pos_w = layer.rel_pos_h, layer.rel_pos_w
        self._folded: tuple[Tensor, Tensor, Tensor] | None = None

    def forward(self, hidden_states: Tensor, output_attentions: Any = None) -> tuple[Tensor, None]:
        """Cells (B, S, S, C) -> (B, S, S, C), and None in place of attention weights."""
        batch, side, _, channels = hidden_states.shape
        cells, depth = side * side, channels // self.heads
        rows, columns, places = self._positions(hidden_states)
        qkv = self.qkv(hidden_states).view(batch, cells, 3, self.heads, depth).permute(2, 0, 3, 1, 4)
        query, key, value = qkv.unbind(0)  # each (B, heads, cells, depth)
        grid = query.reshape(batch * self.heads, side, side, depth)
        by_row = torch.einsum("bhwc,hkc->bhwk", grid, rows).reshape(batch, self.heads, cells, side)
        by_column = torch.einsum("bhwc,wkc->bhwk", grid, columns).reshape(batch, self.heads, cells, side)
        query = torch.cat([query * self.scale, by_row, by_column], dim=-1)
        key = torch.cat([key, places.expand(batch, self.heads, cells, 2 * side)], dim=-1)
        value = F.pad(value, (0, 2 * side))  # the fast kernels want equal widths
        mixed = F.scaled_dot_product_attention(query, key, value, scale=1.0)[..., :depth]
        return self.proj(mixed.transpose(1, 2).reshape(batch, side, side, channels)), None

    def _positions(self, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rh and Rw `(S, S, depth)` and one-hot places `(S * S, 2 S)`; made once for a device and precision."""
        kept = self._folded
        if kept is None or kept[0].dtype != like.dtype or kept[0].device != like.device:
            eye = torch.eye(self.side, dtype=like.dtype, device=like.device)
            size = (self.side, self.side, self.side)
            one_hot = torch.cat([eye[:, None].expand(size), eye[None].expand(size)], dim=-1).flatten(0, 1)
            tables = [_table(weight.detach(), self.side) for weight in (self.rel_pos_h, self.rel_pos_w)]
            kept = self._folded = (tables[0].to(like), tables[1].to(like), one_hot)
        return kept


def _table(weight: Tensor, side: int) -> Tensor:
    """Relative position vectors `(S, S, depth)` from a table `(L, depth)`, which is resampled to 2 S - 1 rows."""
    if len(weight) != 2 * side - 1:
        resized = F.interpolate(weight.T[None].float(), size=2 * side - 1, mode="linear")
        weight = resized[0].T.to(weight.dtype)
    place = torch.arange(side, device=weight.device)
    return weight[place[:, None] - place[None] + side - 1]
