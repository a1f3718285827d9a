"""Softmax attention: torch's fused kernel, or a loop over heads where that was measured to be faster."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["attend", "attend_by_head", "attend_unshifted"]

MODERATE = (1e-26, 1e26)
"""Sums of exponentials between which float32 keeps its precision, though no maximum was subtracted: the highest score
of each row is then between -66 and 60, far from what vanishes or overflows."""
CACHED_SCORES = 2**18
"""Scores (1 MiB in float32) that stay in a core's cache: up to 512 tokens."""


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


def attend_unshifted(query: Tensor, key: Tensor, value: Tensor) -> Tensor | None:
    """Softmax attention, one head after the other, without subtracting the highest score of each row.

    For inference: no gradient passes. Of small heads, torch's fused kernel spends as long on the maxima and on moving
    small tiles as on the products; for four heads of 485 tokens and 16 channels this takes four fifths of its time.

    Args:
        query: float32 `(B, heads, L, D)` on a CPU.
        key: `(B, heads, M, D)`.
        value: `(B, heads, M, D)`.

    Returns:
        `(B, heads, L, D)`, in memory as `(B, L, heads, D)`; None where a row's scores are too high or too low for it
        (`MODERATE`), or no numbers.
    """
    batch, heads, length, channels = query.shape
    scores = query.new_empty(length, key.shape[2])
    read = query.new_empty(batch, length, heads, channels).transpose(1, 2)
    sums = query.new_empty(batch, heads, length, 1)
    for row in range(batch):
        for head in range(heads):
            asked, keys = query[row, head], key[row, head].t()
            torch.addmm(scores, asked, keys, beta=0, alpha=channels**-0.5, out=scores).exp_()
            torch.sum(scores, -1, keepdim=True, out=sums[row, head])
            torch.mm(scores, value[row, head], out=read[row, head])
    lowest, highest = (float(bound) for bound in sums.aminmax())
    return read.div_(sums) if MODERATE[0] <= lowest and highest <= MODERATE[1] else None
