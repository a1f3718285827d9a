"""Cells that look alike agree on their answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

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


def test_a_larger_canvas_costs_no_more() -> None:
    assert likeness(torch.randn(1, 2, 600, 300), 1.0).shape == (1, ASKING * 24, ANSWERING * 12)
    assert likeness(torch.randn(1, 2, 8, 2000), 1.0).shape == (1, ASKING, ANSWERING)
    assert likeness(torch.randn(1, 2, 8, 16), 1.0).shape == (1, 8 * 16, 8 * 16), "nor is a small one enlarged"


def test_the_shares_are_those_of_the_formula() -> None:
    """Two cells of 2 x 1, by hand: cosines of 1 and -1 once the mean is taken off, half the longer side apart."""
    pixel = torch.tensor([[[[3.0], [1.0]]]])
    scores = np.array([2.0, -2.0 - (0.5 / REACH) ** 2 / 2])
    wanted = np.exp(scores) / np.exp(scores).sum()
    found = likeness(pixel, 2.0)[0].numpy()
    np.testing.assert_allclose(found, [wanted, wanted[::-1]], rtol=1e-5)


def test_a_mask_is_filled_within_what_looks_alike() -> None:
    """Every other band of the left half is found: the bands between are nearly as likely then, the right half not."""
    logits = torch.full((1, 96, 96), -4.0)
    found = (torch.arange(96) // 16 % 2 == 0).nonzero().flatten()
    logits[:, found, :48] = 4.0
    after = agree(logits, likeness(halves(), 30.0)[0]).sigmoid()
    assert after[0, 24, 24] > 0.3, "the middle of a band that was not found, at 0.018 before"
    assert after[0, 40, 24] < 0.7, "the middle of one that was, at 0.982 before"
    assert after[:, :, 56:].max() < 0.05


def test_scraps_give_way_to_what_their_surroundings_say() -> None:
    """A scrap of 8 x 8 cells among thousands that look like it and say no, beside a half that says yes."""
    logits = torch.full((1, 96, 96), -4.0)
    logits[:, :, :48] = 4.0
    logits[:, 40:48, 72:80] = 4.0
    after = agree(logits, likeness(halves(), 30.0)[0])
    assert after[0, 44, 76] < -1
    assert after[0, 44, 20] > 3


def test_small_masks_stay() -> None:
    """An eye is smaller than the cells that are exchanged: the fewer cells are likely, the less they listen."""
    changes = []
    for side in (2, 4, 8):
        logits = torch.full((1, 96, 96), -12.0)
        logits[:, 40 : 40 + side, 40 : 40 + side] = 2.0
        changes.append(float((agree(logits, likeness(halves(), 5.0)[0]) - logits)[0, 41, 41]))
    assert 0 > changes[0] > changes[1] > changes[2]
    assert changes[0] > -0.2
    large = side * side * torch.tensor(2.0).sigmoid() / 96**2
    assert large < LARGE


def test_nothing_is_exchanged_at_no_likeness() -> None:
    logits = torch.randn(3, 24, 32)
    alike = likeness(torch.randn(2, 4, 24, 32), 0.0)
    assert alike.shape == (2, 0, 0)
    assert agree(logits, alike[0]) is logits


@pytest.mark.parametrize("value", [-200.0, 200.0])
def test_what_is_certain_stays_finite(value: float) -> None:
    agreed = agree(torch.full((1, 16, 16), value), likeness(torch.ones(1, 3, 16, 16), 7.0)[0])
    torch.testing.assert_close(agreed, torch.full((1, 16, 16), value))
