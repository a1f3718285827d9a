from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from wordmask.ops.attention import attend_by_head, attend_unshifted


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_heads_one_by_one_give_softmax_attention(dtype: torch.dtype, bound: float) -> None:
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(2, 3, 7, 8, generator=generator).to(dtype)
    key, value = (torch.randn(2, 3, 11, 8, generator=generator).to(dtype) for _ in range(2))

    expected = F.scaled_dot_product_attention(query.float(), key.float(), value.float())

    got = attend_by_head(query, key, value)
    assert got.dtype == dtype
    assert torch.allclose(got.float(), expected, atol=bound)


def test_views_of_one_product_are_read_right() -> None:
    mixed = torch.randn(1, 5, 3 * 2 * 4, generator=torch.Generator().manual_seed(1))
    query, key, value = mixed.view(1, 5, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)

    expected = F.scaled_dot_product_attention(query, key, value)

    assert torch.allclose(attend_by_head(query, key, value), expected, atol=1e-6)


def _mixed(scale: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    mixed = scale * torch.randn(2, 37, 3 * 2 * 16, generator=torch.Generator().manual_seed(2))
    query, key, value = mixed.view(2, 37, 3, 2, 16).permute(2, 0, 3, 1, 4).unbind(0)
    return query, key, value


@pytest.mark.parametrize("scale", [0.1, 1.0, 2.5])
def test_unshifted_exponentials_are_as_exact_as_the_fused_kernel(scale: float) -> None:
    query, key, value = _mixed(scale)
    exact = F.scaled_dot_product_attention(query.double(), key.double(), value.double())
    fused = (F.scaled_dot_product_attention(query, key, value) - exact).norm()
    got = attend_unshifted(query, key, value)
    assert got is not None
    assert (got - exact).norm() < 3 * fused < 1e-4
    assert got.transpose(1, 2).is_contiguous()


def test_scores_that_float32_cannot_hold_unshifted_are_told() -> None:
    query, key, value = _mixed(1.0)
    assert attend_unshifted(query, 50 * key, value) is None  # sums overflow
    assert attend_unshifted(query.abs(), -50 * key.abs(), value) is None  # sums vanish
    query[1, 0, 3, 5] = torch.nan
    assert attend_unshifted(query, key, value) is None
