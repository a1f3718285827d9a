"""A transformer's feed-forward layer on a CPU, a tile of tokens at a time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["feed_forward"]

TILE = 512
"""Tokens that pass at once: their hidden layer (4 MiB at 2048 channels) stays in the cache, and no large buffer is
asked of the system for every call."""


def feed_forward(rows: Tensor, up: Tensor, up_bias: Tensor, down: Tensor, down_bias: Tensor) -> Tensor:
    """`relu(rows @ up.T + up_bias) @ down.T + down_bias`, without storing the hidden layer of all rows.

    Gradients pass once; the hidden layer is computed anew for them. All arguments have one dtype.

    Args:
        rows: `(N, D)`.
        up: `(H, D)`.
        up_bias: `(H,)`.
        down: `(D, H)`.
        down_bias: `(D,)`.

    Returns:
        `(N, D)`.
    """
    out: Tensor = _FeedForward.apply(rows, up, up_bias, down, down_bias)  # type: ignore[no-untyped-call]
    return out


class _FeedForward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, up: Tensor, up_bias: Tensor, down: Tensor, down_bias: Tensor) -> Tensor:
        out = torch.empty_like(rows)
        buffer = _buffer(rows, up)
        for start in range(0, len(rows), TILE):
            part = rows[start : start + TILE]
            hidden = torch.addmm(up_bias, part, up.t(), out=buffer[: len(part)]).relu_()
            torch.addmm(down_bias, hidden, down.t(), out=out[start : start + TILE])
        ctx.save_for_backward(rows, up, up_bias, down)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, to_out: Tensor) -> tuple[Tensor, ...]:
        rows, up, up_bias, down = ctx.saved_tensors
        to_out = to_out.contiguous()
        to_rows = torch.empty_like(rows)
        to_up, to_bias, to_down = torch.zeros_like(up), torch.zeros_like(up_bias), torch.zeros_like(down)
        first, second = _buffer(rows, up), _buffer(rows, up)
        for start in range(0, len(rows), TILE):
            part, output = rows[start : start + TILE], to_out[start : start + TILE]
            hidden = torch.addmm(up_bias, part, up.t(), out=first[: len(part)]).relu_()
            to_down.addmm_(output.t(), hidden)
            to_hidden = torch.mm(output, down, out=second[: len(part)])
            torch.ops.aten.threshold_backward.grad_input(to_hidden, hidden, 0, grad_input=to_hidden)
            to_up.addmm_(to_hidden.t(), part)
            to_bias += to_hidden.sum(0)
            torch.mm(to_hidden, up, out=to_rows[start : start + TILE])
        return to_rows, to_up, to_bias, to_down, to_out.sum(0)


def _buffer(rows: Tensor, up: Tensor) -> Tensor:
    return rows.new_empty(min(TILE, len(rows)), len(up))
