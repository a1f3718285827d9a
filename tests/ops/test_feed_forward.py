from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from wordmask.ops.feed_forward import TILE, feed_forward


def arguments(rows: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = torch.Generator().manual_seed(rows)
    shapes = [(rows, 6), (20, 6), (20,), (6, 20), (6,)]
    return [torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes]


def at_once(rows: Tensor, up: Tensor, up_bias: Tensor, down: Tensor, down_bias: Tensor) -> Tensor:
    return F.linear(F.relu(F.linear(rows, up, up_bias)), down, down_bias)


@pytest.mark.parametrize("rows", [1, TILE, 2 * TILE + 3])
def test_values_and_gradients_are_those_of_the_layer_at_once(rows: int) -> None:
    first, second = arguments(rows), arguments(rows)
    out, expected = feed_forward(*first), at_once(*second)
    torch.testing.assert_close(out, expected)
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(9), dtype=out.dtype)
    (out * weights).sum().backward()
    (expected * weights).sum().backward()
    for ours, theirs in zip(first, second, strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_frozen_weights_and_expanded_gradients() -> None:
    (rows, *weights), (others, *_) = arguments(5), arguments(5)
    frozen = [weight.detach() for weight in weights]
    feed_forward(rows, *frozen).sum().backward()  # the gradient of a sum is one value, expanded
    at_once(others, *frozen).sum().backward()
    torch.testing.assert_close(rows.grad, others.grad)


def test_no_rows() -> None:
    rows, *weights = arguments(0)
    out = feed_forward(rows, *weights)
    out.sum().backward()
    assert out.shape == (0, 6)
    assert weights[0].grad is not None
    assert not weights[0].grad.any()


def test_half_precision_stays_half() -> None:
    rows, *weights = (value.detach() for value in arguments(5, torch.bfloat16))
    out = feed_forward(rows, *weights)
    assert out.dtype == torch.bfloat16
    expected = at_once(*(value.float() for value in (rows, *weights)))
    torch.testing.assert_close(out.float(), expected, atol=0.2, rtol=2e-2)
