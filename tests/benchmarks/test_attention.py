"""The benchmark of attention measures what it says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import torch

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "attention.py"


def test_both_sides_are_timed_and_agree() -> None:
    specification = importlib.util.spec_from_file_location("attention", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    ours, fused, errors = module.compare(torch.float32, 2)
    assert len(ours) == len(fused) == 2
    assert min(*ours, *fused) > 0
    assert max(errors) < 1e-5
    assert min(module.compare(torch.bfloat16, 1)[2]) > 1e-4
