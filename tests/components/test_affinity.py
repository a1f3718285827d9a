"""Refinement of masks by affinity: formula, symmetries, and what it changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wordmask.components import affinity
from wordmask.components.affinity import FULL_AREA, KEY_CELLS, QUERY_CELLS, SIGMA, affinity_matrix, refine


def halves(height: int = 96, width: int = 96, channels: int = 4) -> torch.Tensor:
    """Pixel embeddings of an image whose halves differ."""
    pixel = torch.zeros(1, channels, height, width)
    pixel[:, 0, :, : width // 2] = 1
    pixel[:, 1, :, width // 2 :] = 1
    return pixel


def test_rows_sum_to_one() -> None:
    torch.manual_seed(0)
    affinities = affinity_matrix(torch.randn(2, 6, 96, 72), 7.0)
    assert affinities.shape == (2, QUERY_CELLS * 36, KEY_CELLS * 18)
    torch.testing.assert_close(affinities.sum(2), torch.ones(2, QUERY_CELLS * 36))


@pytest.mark.parametrize(
    ("size", "queries", "keys"),
    [
        ((600, 300), (47, 24), (24, 12)),  # squares of 13 and 25
        ((8, 2000), (1, 48), (1, 24)),
        ((8, 16), (8, 16), (8, 16)),  # nor is a small one enlarged
        ((1, 1), (1, 1), (1, 1)),
    ],
)
def test_a_larger_canvas_costs_no_more(size: tuple[int, int], queries: tuple[int, int], keys: tuple[int, int]) -> None:
    affinities = affinity_matrix(torch.randn(1, 2, *size), 1.0)
    assert affinities.shape == (1, queries[0] * queries[1], keys[0] * keys[1])
    assert refine(torch.randn(1, 3, *size), affinities).isfinite().all()


def test_affinities_are_those_of_the_formula() -> None:
    """Two cells of 2 x 1, by hand: cosines of 1 and -1 once the mean is taken off, half the longer side apart."""
    pixel = torch.tensor([[[[3.0], [1.0]]]])
    scores = np.array([2.0, -2.0 - (0.5 / SIGMA) ** 2 / 2])
    wanted = np.exp(scores) / np.exp(scores).sum()
    found = affinity_matrix(pixel, 2.0)[0].numpy()
    np.testing.assert_allclose(found, [wanted, wanted[::-1]], rtol=1e-5)


def test_a_mask_is_filled_among_similar_cells() -> None:
    """Every other band of the left half is found: the bands between are nearly as likely then, the right half not."""
    logits = torch.full((1, 1, 96, 96), -4.0)
    found = (torch.arange(96) // 16 % 2 == 0).nonzero().flatten()
    logits[..., found, :48] = 4.0
    after = refine(logits, affinity_matrix(halves(), 30.0)).sigmoid()
    assert after[0, 0, 24, 24] > 0.3, "the middle of a band that was not found, at 0.018 before"
    assert after[0, 0, 40, 24] < 0.7, "the middle of one that was, at 0.982 before"
    assert after[..., 56:].max() < 0.05


def test_scattered_false_positives_are_removed() -> None:
    """8 x 8 positive cells among thousands of similar negative ones, beside a positive half."""
    logits = torch.full((1, 1, 96, 96), -4.0)
    logits[..., :48] = 4.0
    logits[..., 40:48, 72:80] = 4.0
    after = refine(logits, affinity_matrix(halves(), 30.0))
    assert after[0, 0, 44, 76] < -1
    assert after[0, 0, 44, 20] > 3


@pytest.mark.parametrize(("rows", "share"), [(1, None), (2, None), (24, 1.0), (48, 1.0)])
def test_small_masks_are_refined_less(monkeypatch: pytest.MonkeyPatch, rows: int, share: float | None) -> None:
    """An eye is smaller than the cells of the grid. It takes `FULL_AREA` of the image to be refined in full."""
    affinities = affinity_matrix(halves(), 5.0)
    logits = torch.full((1, 1, 96, 96), -12.0)
    logits[..., :rows, :48] = 0.0
    change = refine(logits, affinities) - logits
    monkeypatch.setattr(affinity, "FULL_AREA", 1e-9)
    full = refine(logits, affinities) - logits
    area = float(logits.sigmoid().mean())
    assert full.abs().max() > 0.1
    torch.testing.assert_close(change, (share or area / FULL_AREA) * full)


@pytest.mark.parametrize("value", [-200.0, -12.0, 12.0, 200.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_uniform_masks_stay_as_they_are(value: float, dtype: torch.dtype) -> None:
    """Affinities that bfloat16 rounds are normalised again."""
    torch.manual_seed(0)
    logits = torch.full((1, 1, 96, 96), value)
    refined = refine(logits, affinity_matrix(torch.randn(1, 8, 96, 96), 7.0).to(dtype))
    torch.testing.assert_close(refined, logits, rtol=0, atol=0.02)


def test_prompts_and_images_do_not_mix() -> None:
    torch.manual_seed(0)
    pixel, logits = torch.randn(2, 4, 64, 48), torch.randn(2, 3, 64, 48)
    together = refine(logits, affinity_matrix(pixel, 3.0))
    for row in range(2):
        for prompt in range(3):
            alone = refine(logits[row, prompt][None, None], affinity_matrix(pixel[row][None], 3.0))
            torch.testing.assert_close(together[row, prompt], alone[0, 0], rtol=1e-4, atol=1e-4)


def test_its_gradient_is_bounded() -> None:
    """Near 0 and 1 the logit is steep; its argument is clamped there."""
    logits = (6 * torch.randn(1, 2, 64, 48, generator=torch.Generator().manual_seed(0))).requires_grad_()
    pixel = torch.randn(1, 4, 64, 48, requires_grad=True)
    refine(logits, affinity_matrix(pixel, 3.0)).sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert logits.grad.abs().max() < 50
    assert pixel.grad is None
