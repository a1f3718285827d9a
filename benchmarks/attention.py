"""Attention of CLIPSeg on a CPU against torch's fused kernel in the precision of the network.

    python benchmarks/attention.py --threads 1

From the joint query, key and value projection to the attended values; both sides are timed alternately. The encoder
(ViT-B/16 at 352 px: 12 heads of 485 tokens and 64 channels) computes head by head, measured in bfloat16 and float32;
the decoder (10 prompts, 4 heads of 16 channels) converts bfloat16 to float32 and back. Errors are relative (L2) to
the fused kernel in float64.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch loads

import argparse
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from pairs import alternate, relative_error, summary
from torch import Tensor

from wordmask.ops.attention import attend_by_head

if TYPE_CHECKING:
    from collections.abc import Callable

TOKENS = 485
ENCODER = (1, 12, 64)
DECODER = (10, 4, 16)
"""Batch size, heads, channels per head."""


def in_float32(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Return the result of the fused kernel in float32, in the precision of the query."""
    return F.scaled_dot_product_attention(query.float(), key.float(), value.float()).to(query.dtype)


@torch.inference_mode()
def compare(
    ours: Callable[[Tensor, Tensor, Tensor], Tensor], shape: tuple[int, int, int], dtype: torch.dtype, pairs: int
) -> tuple[tuple[list[float], list[float]], list[float]]:
    """Return seconds of ours and of the fused kernel, and the error of each."""
    batch, heads, channels = shape
    qkv = torch.randn(batch, TOKENS, 3, heads, channels, generator=torch.Generator().manual_seed(0)).to(dtype)
    query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (batch, heads, TOKENS, channels)

    def mine() -> Tensor:
        return ours(query, key, value)

    def fused() -> Tensor:
        return F.scaled_dot_product_attention(query, key, value)

    exact = F.scaled_dot_product_attention(query.double(), key.double(), value.double())
    return alternate(mine, fused, pairs), [relative_error(side(), exact) for side in (mine, fused)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for name, ours, shape, dtype in (
        ("encoder, head by head", attend_by_head, ENCODER, torch.bfloat16),
        ("encoder, head by head", attend_by_head, ENCODER, torch.float32),
        ("decoder, in float32", in_float32, DECODER, torch.bfloat16),
    ):
        seconds, errors = compare(ours, shape, dtype, args.pairs)
        print(f"{dtype}: {summary(seconds, name, 'fused')}; errors {errors[0]:.1e} and {errors[1]:.1e}")


if __name__ == "__main__":
    main()
