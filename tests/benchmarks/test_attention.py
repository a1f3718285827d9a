"""The benchmark of attention measures what it says."""

from __future__ import annotations

import torch

from tests.benchmarks.scripts import load_benchmark


def test_both_sides_are_timed_and_agree() -> None:
    module = load_benchmark("attention")
    (ours, fused), errors = module.compare(module.attend_by_head, module.ENCODER, torch.float32, 2)
    assert len(ours) == len(fused) == 2
    assert min(*ours, *fused) > 0
    assert max(errors) < 1e-5
    assert min(module.compare(module.attend_by_head, module.ENCODER, torch.bfloat16, 1)[1]) > 1e-4


def test_float32_rounds_less() -> None:
    module = load_benchmark("attention")
    ours, fused = module.compare(module.in_float32, module.DECODER, torch.bfloat16, 1)[1]
    assert 1e-4 < ours < fused
