"""Linear layers in bfloat16 on a CPU: prepacked weights with a fused activation against torch's own layers.

    python benchmarks/packed_linear.py --threads 1

The layers of CLIPSeg at 352 px: a block of the ViT-B/16 (485 tokens), of CLIP's text tower (60, about ten phrases)
and of the decoder (512 tokens at a time). Each has twelve copies with weights of their own, used one after the other
as in a network. Both sides are timed alternately.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch loads

import argparse
import itertools
from typing import TYPE_CHECKING

import torch
from pairs import alternate, relative_error, summary
from torch import nn

from wordmask.backbones.packed_linear import PackedLinear, can_pack_linears

if TYPE_CHECKING:
    from wordmask.backbones.packed_linear import Activation

LAYERS: tuple[tuple[int, int, int, Activation], ...] = (
    (485, 768, 2304, "none"),
    (485, 768, 768, "none"),
    (485, 768, 3072, "swish"),
    (485, 3072, 768, "none"),
    (60, 512, 2048, "swish"),
    (60, 2048, 512, "none"),
    (512, 64, 2048, "relu"),
    (512, 2048, 64, "none"),
)
"""Tokens, channels in and out, activation."""
MODULES = {"none": nn.Identity(), "relu": nn.ReLU(), "swish": nn.SiLU()}
COPIES = 12


@torch.inference_mode()
def compare(
    tokens: int, inputs: int, outputs: int, activation: Activation, pairs: int
) -> tuple[tuple[list[float], list[float]], float]:
    """Return seconds of the packed and of the plain layer, and their relative (L2) difference."""
    torch.manual_seed(0)
    linears = [nn.Linear(inputs, outputs, dtype=torch.bfloat16) for _ in range(COPIES)]
    packed = [PackedLinear(linear, activation) for linear in linears]
    plain = [nn.Sequential(linear, MODULES[activation]) for linear in linears]
    rows = torch.randn(1, tokens, inputs, dtype=torch.bfloat16)
    one, other = (itertools.cycle(layers) for layers in (packed, plain))
    seconds = alternate(lambda: next(one)(rows), lambda: next(other)(rows), pairs)
    return seconds, relative_error(packed[0](rows), plain[0](rows))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if not can_pack_linears(torch.device("cpu"), torch.bfloat16):
        raise SystemExit("nothing to measure: on this machine oneDNN has no bfloat16, so nothing is packed")
    for tokens, inputs, outputs, activation in LAYERS:
        seconds, difference = compare(tokens, inputs, outputs, activation, args.pairs)
        times = summary(seconds, "packed", "plain")
        print(f"{tokens} x {inputs} -> {outputs}, {activation}: {times}; difference {difference:.1e}")


if __name__ == "__main__":
    main()
