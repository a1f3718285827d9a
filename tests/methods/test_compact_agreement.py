"""Cells that look alike agree on their answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wordmask.methods.compact import agreement
from wordmask.methods.compact.agreement import ANSWERING, ASKING, LARGE, REACH, agree, likeness


def halves(height: int = 96, width: int = 96, channels: int = 4) -> torch.Tensor:
    """Pixel vectors of a picture whose left and right half look different."""
    pixel = torch.zeros(1, channels, height, width)
    pixel[:, 0, :, : width // 2] = 1
    pixel[:, 1, :, width // 2 :] = 1
    return pixel


def test_each_cell_listens_to_all_in_shares() -> None:
    torch.manual_seed(0)
    alike = likeness(torch.randn(2, 6, 96, 72), 7.0)
    assert alike.shape == (2, ASKING * 36, ANSWERING * 18)
    torch.testing.assert_close(alike.sum(2), torch.ones(2, ASKING * 36))


@pytest.mark.parametrize(
    ("size", "asking", "answering"),
    [
        ((600, 300), (47, 24), (24, 12)),  # squares of 13 and 25
        ((8, 2000), (1, 48), (1, 24)),
        ((8, 16), (8, 16), (8, 16)),  # nor is a small one enlarged
        ((1, 1), (1, 1), (1, 1)),
    ],
)
def test_a_larger_canvas_costs_no_more(
    size: tuple[int, int], asking: tuple[int, int], answering: tuple[int, int]
) -> None:
    alike = likeness(torch.randn(1, 2, *size), 1.0)
    assert alike.shape == (1, asking[0] * asking[1], answering[0] * answering[1])
    assert agree(torch.randn(1, 3, *size), alike).isfinite().all()


def test_the_shares_are_those_of_the_formula() -> None:
    """Two cells of 2 x 1, by hand: cosines of 1 and -1 once the mean is taken off, half the longer side apart."""
    pixel = torch.tensor([[[[3.0], [1.0]]]])
    scores = np.array([2.0, -2.0 - (0.5 / REACH) ** 2 / 2])
    wanted = np.exp(scores) / np.exp(scores).sum()
    found = likeness(pixel, 2.0)[0].numpy()
    np.testing.assert_allclose(found, [wanted, wanted[::-1]], rtol=1e-5)


def test_a_mask_is_filled_within_what_looks_alike() -> None:
    """Every other band of the left half is found: the bands between are nearly as likely then, the right half not."""
    logits = torch.full((1, 1, 96, 96), -4.0)
    found = (torch.arange(96) // 16 % 2 == 0).nonzero().flatten()
    logits[..., found, :48] = 4.0
    after = agree(logits, likeness(halves(), 30.0)).sigmoid()
    assert after[0, 0, 24, 24] > 0.3, "the middle of a band that was not found, at 0.018 before"
    assert after[0, 0, 40, 24] < 0.7, "the middle of one that was, at 0.982 before"
    assert after[..., 56:].max() < 0.05


def test_scraps_give_way_to_what_their_surroundings_say() -> None:
    """A scrap of 8 x 8 cells among thousands that look like it and say no, beside a half that says yes."""
    logits = torch.full((1, 1, 96, 96), -4.0)
    logits[..., :48] = 4.0
    logits[..., 40:48, 72:80] = 4.0
    after = agree(logits, likeness(halves(), 30.0))
    assert after[0, 0, 44, 76] < -1
    assert after[0, 0, 44, 20] > 3


@pytest.mark.parametrize(("rows", "share"), [(1, None), (2, None), (24, 1.0), (48, 1.0)])
def test_small_masks_listen_less(monkeypatch: pytest.MonkeyPatch, rows: int, share: float | None) -> None:
    """An eye is smaller than the cells that are exchanged. It takes `LARGE` of the picture to listen in full."""
    alike = likeness(halves(), 5.0)
    logits = torch.full((1, 1, 96, 96), -12.0)
    logits[..., :rows, :48] = 0.0
    change = agree(logits, alike) - logits
    monkeypatch.setattr(agreement, "LARGE", 1e-9)
    full = agree(logits, alike) - logits
    area = float(logits.sigmoid().mean())
    assert full.abs().max() > 0.1
    torch.testing.assert_close(change, (share or area / LARGE) * full)


@pytest.mark.parametrize("value", [-200.0, -12.0, 12.0, 200.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_certain_everywhere_stays(value: float, dtype: torch.dtype) -> None:
    """Shares that bfloat16 rounds still add up to 1."""
    torch.manual_seed(0)
    logits = torch.full((1, 1, 96, 96), value)
    agreed = agree(logits, likeness(torch.randn(1, 8, 96, 96), 7.0).to(dtype))
    torch.testing.assert_close(agreed, logits, rtol=0, atol=0.02)


def test_prompts_and_pictures_do_not_mix() -> None:
    torch.manual_seed(0)
    pixel, logits = torch.randn(2, 4, 64, 48), torch.randn(2, 3, 64, 48)
    together = agree(logits, likeness(pixel, 3.0))
    for picture in range(2):
        for prompt in range(3):
            alone = agree(logits[picture, prompt][None, None], likeness(pixel[picture][None], 3.0))
            torch.testing.assert_close(together[picture, prompt], alone[0, 0], rtol=1e-4, atol=1e-4)


def test_training_through_it_is_bounded() -> None:
    """A step as large for a mask that listens as for one that does not: logits of extremes have no steep gradient."""
    logits = (6 * torch.randn(1, 2, 64, 48, generator=torch.Generator().manual_seed(0))).requires_grad_()
    pixel = torch.randn(1, 4, 64, 48, requires_grad=True)
    agree(logits, likeness(pixel, 3.0)).sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert logits.grad.abs().max() < 50
    assert pixel.grad is None
