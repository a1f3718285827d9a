"""Attention of CLIPSeg's encoder in bfloat16 or float32 on a CPU: head by head against torch's fused kernel.

Errors are relative (L2) to the fused kernel on the same numbers in float64.

    python benchmarks/attention.py --threads 1

12 heads of 485 tokens and 64 channels (ViT-B/16 at 352 px), from the joined product to the tokens; both sides in turn.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch loads

import argparse
import statistics
import time

import torch
import torch.nn.functional as F

from wordmask.ops.attention import attend_by_head

HEADS, TOKENS, CHANNELS = 12, 485, 64


@torch.inference_mode()
def compare(dtype: torch.dtype, pairs: int) -> tuple[list[float], list[float], list[float]]:
    """Seconds of head by head and of the fused kernel, the first pair left out, and the error of each."""
    mixed = torch.randn(1, TOKENS, 3, HEADS, CHANNELS, generator=torch.Generator().manual_seed(0)).to(dtype)
    query, key, value = mixed.permute(2, 0, 3, 1, 4).unbind(0)
    sides = (attend_by_head, F.scaled_dot_product_attention)
    seconds: tuple[list[float], list[float]] = ([], [])
    for pair in range(pairs + 1):
        both = list(zip(sides, seconds, strict=True))
        for side, spent in both if pair % 2 else reversed(both):
            begin = time.perf_counter()
            side(query, key, value)
            if pair:
                spent.append(time.perf_counter() - begin)
    exact = F.scaled_dot_product_attention(query.double(), key.double(), value.double())
    errors = [float((side(query, key, value).double() - exact).norm() / exact.norm()) for side in sides]
    return *seconds, errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for dtype in (torch.bfloat16, torch.float32):
        ours, fused, errors = compare(dtype, args.pairs)
        ratio = statistics.median(b / a for a, b in zip(ours, fused, strict=True))
        first, second = (1000 * statistics.median(values) for values in (ours, fused))
        print(f"{dtype}: head by head {first:.2f} ms, fused {second:.2f} ms, {ratio:.2f}x", end="; ")
        print(f"errors {errors[0]:.1e} and {errors[1]:.1e}")


if __name__ == "__main__":
    main()
