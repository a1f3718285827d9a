"""Cells that look alike agree on their answer."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from tests.methods.test_compact import SETTINGS, TINY, picture, tiny_network, tiny_tokenizer
from wordmask.methods.compact import agreement, load_compact, save_compact
from wordmask.methods.compact.agreement import ANSWERING, ASKING, LARGE, REACH, agree, likeness

if TYPE_CHECKING:
    from pathlib import Path

    from wordmask.methods.compact.method import CompactSettings

AGREEING = dataclasses.replace(SETTINGS, agreement_sharpness=5, mask_scale=0.5, mask_shift=-1.25, long_side=224)
"""A map of 56 cells, more than are compared."""


def saved(folder: Path, settings: CompactSettings) -> Path:
    save_compact(folder, "tiny", tiny_network(), TINY, settings, tiny_tokenizer())
    return folder


@pytest.fixture(scope="module")
def agreeing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("agreeing"), AGREEING)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same weights, each cell answering for itself."""
    return saved(tmp_path_factory.mktemp("alone"), dataclasses.replace(AGREEING, agreement_sharpness=None))


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
    for row in range(2):
        for prompt in range(3):
            alone = agree(logits[row, prompt][None, None], likeness(pixel[row][None], 3.0))
            torch.testing.assert_close(together[row, prompt], alone[0, 0], rtol=1e-4, atol=1e-4)


def test_training_through_it_is_bounded() -> None:
    """A step as large for a mask that listens as for one that does not: logits of extremes have no steep gradient."""
    logits = (6 * torch.randn(1, 2, 64, 48, generator=torch.Generator().manual_seed(0))).requires_grad_()
    pixel = torch.randn(1, 4, 64, 48, requires_grad=True)
    agree(logits, likeness(pixel, 3.0)).sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert logits.grad.abs().max() < 50
    assert pixel.grad is None


def test_cells_agree_before_their_answers_are_calibrated(agreeing: Path, alone: Path) -> None:
    one, other = load_compact(agreeing), load_compact(alone)
    (agreed,), (plain,) = (model.segment(picture(), "hair") for model in (one, other))
    raw = (torch.from_numpy(plain.heatmap_logits.values) + 1.25) / 0.5
    wanted = 0.5 * agree(raw[None, None], one.encode(picture()).features.alike)[0, 0].numpy() - 1.25
    np.testing.assert_allclose(agreed.heatmap_logits.values, wanted, rtol=1e-3, atol=1e-3)
    assert np.abs(agreed.heatmap_logits.values - plain.heatmap_logits.values).max() > 1e-2
    assert agreed.presence == pytest.approx(plain.presence)


def test_pictures_beside_each_other_agree_as_they_do_alone(agreeing: Path) -> None:
    model = load_compact(agreeing)
    other = np.ascontiguousarray(picture()[:, ::-1])
    together = list(model.segment_many([other, picture()], "hair"))
    for image, (found,) in zip((other, picture()), together, strict=True):
        np.testing.assert_allclose(
            found.heatmap_logits.values, model.segment(image, "hair")[0].heatmap_logits.values, rtol=1e-3, atol=1e-3
        )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_was_encoded_for_each_cell_alone_is_read_with_agreement(
    agreeing: Path, alone: Path, dtype: torch.dtype
) -> None:
    """How a model is run is the reader's, and its precision: the same weights read what each other encoded."""
    for reader, writer in ((agreeing, alone), (alone, agreeing)):
        wanted = load_compact(reader).segment(picture(), "hair")[0].heatmap_logits.values
        found = (
            load_compact(reader, dtype=dtype)
            .segment(load_compact(writer).encode(picture()), "hair")[0]
            .heatmap_logits.values
        )
        assert np.linalg.norm(found - wanted) / np.linalg.norm(wanted) < (1e-4 if dtype == torch.float32 else 0.1)
