"""Softmax attention: torch's fused kernel, or a loop over heads where that was measured to be faster."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["attend", "attend_by_head"]


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Softmax attention of (B, heads, L, D) to (B, heads, M, D): torch's fused kernel, or `attend_by_head`.

    Measured for heads of 64 channels; with the 16 of CLIPSeg's decoder head by head gains nothing.
    """
    is_reduced_on_cpu = query.dtype == torch.bfloat16 and query.device.type == "cpu"
    needs_gradient = torch.is_grad_enabled() and (query.requires_grad or key.requires_grad or value.requires_grad)
    if is_reduced_on_cpu and not needs_gradient:
        return attend_by_head(query, key, value)
    return F.scaled_dot_product_attention(query, key, value)


def attend_by_head(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Softmax attention, one head after the other through two buffers that stay in the cache.

    For inference: no gradient passes. In bfloat16 on a CPU it is faster than torch's fused kernel and rounds more
    (`benchmarks/attention.py` measures both); in float32 the fused kernel is the faster one.

    Args:
        query: `(B, heads, L, D)`.
        key: `(B, heads, M, D)`.
        value: `(B, heads, M, D)`.

    Returns:
        `(B, heads, L, D)`.
    """
    batch, heads, length, channels = query.shape
    asked = (query * channels**-0.5).flatten(0, 1)
    keys, values = key.flatten(0, 1).transpose(1, 2), value.flatten(0, 1)
    read = torch.empty_like(asked)
    scores = query.new_empty(length, key.shape[2])
    shares = torch.empty_like(scores)
    for head in range(batch * heads):
        torch.mm(asked[head], keys[head], out=scores)
        torch.softmax(scores, -1, out=shares)
        torch.mm(shares, values[head], out=read[head])
    return read.view(batch, heads, length, channels)
