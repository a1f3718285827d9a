"""Convolutions of the compact encoder on maps of one or two columns."""

from __future__ import annotations

import pytest
import torch

from wordmask.backbones.compact.image import ThinConv2d


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("width", [1, 2, 3])
def test_thin_maps_in_bfloat16_have_the_numbers_of_float32(kernel: int, stride: int, width: int) -> None:
    torch.manual_seed(0)
    layer = ThinConv2d(192, 288, kernel, stride, kernel // 2, bias=False)
    maps = torch.randn(1, 192, 24, width)
    exact = layer(maps)
    rounded = layer.to(torch.bfloat16)(maps.to(torch.bfloat16)).float()
    torch.testing.assert_close(rounded, exact, rtol=0.05, atol=0.05)
