"""The benchmark of packed layers measures what it says."""

from __future__ import annotations

import pytest
import torch

from tests.benchmarks.scripts import load_benchmark
from wordmask.backbones.packed_linear import can_pack_linears


@pytest.mark.skipif(
    not can_pack_linears(torch.device("cpu"), torch.bfloat16), reason="oneDNN has no bfloat16 on this CPU"
)
def test_both_sides_are_timed_and_agree() -> None:
    (packed, plain), difference = load_benchmark("packed_linear").compare(5, 32, 64, "swish", 3)
    assert len(packed) == len(plain) == 3
    assert min(*packed, *plain) > 0
    assert difference < 0.01
