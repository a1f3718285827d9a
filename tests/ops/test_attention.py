from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from wordmask.ops.attention import attend_by_head


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
