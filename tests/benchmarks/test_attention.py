"""The benchmark of attention measures what it says."""

from __future__ import annotations

import torch

from tests.benchmarks.scripts import load_benchmark


def test_both_sides_are_timed_and_agree() -> None:
    module = load_benchmark("attention")
    ours, fused, errors = module.compare(torch.float32, 2)
    assert len(ours) == len(fused) == 2
    assert min(*ours, *fused) > 0
    assert max(errors) < 1e-5
    assert min(module.compare(torch.bfloat16, 1)[2]) > 1e-4
