"""The sizes at which protocols show images and compare masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.segmentations import dense_found
from wordmask.evaluation.resizing import SIDE, resize_image, resize_prompt, stretch
from wordmask.ops.geometry import squash
from wordmask.prompts import TextPrompt, VisualPrompt
from wordmask.results import Found


def found(logits: np.ndarray[Any, Any], size: tuple[int, int]) -> Found:
    return dense_found(TextPrompt("x"), logits, squash(size, size))


def test_stretching_equals_torch_with_aligned_corners() -> None:
    values = np.random.default_rng(0).random((7, 5), dtype=np.float32)

    for size in ((3, 11), (14, 5), (1, 1), (20, 20)):
        theirs = F.interpolate(torch.from_numpy(values)[None, None], size, mode="bilinear", align_corners=True)
        np.testing.assert_allclose(stretch(values, size), theirs[0, 0].numpy(), atol=1e-6)


def test_a_squashed_ground_truth_equals_torchs_nearest() -> None:
    labels = np.random.default_rng(1).integers(0, 9, (123, 457))

    resized = resize_image(np.zeros((123, 457, 3), np.uint8), (123, 457), "squash352")

    theirs = F.interpolate(torch.from_numpy(labels)[None, None].float(), (SIDE, SIDE), mode="nearest")
    np.testing.assert_array_equal(resized.ground_truth(labels), theirs[0, 0].numpy())
    assert resized.image.size == (SIDE, SIDE)


@pytest.mark.parametrize(
    ("size", "content"),
    [((500, 375), (352, 264)), ((333, 500), (232, 352)), ((200, 300), (200, 300)), ((704, 704), (352, 352))],
)
def test_a_letterboxed_image_is_scaled_cut_and_black_beside(size: tuple[int, int], content: tuple[int, int]) -> None:
    resized = resize_image(np.full((*size, 3), 200, np.uint8), size, "letterbox352")

    lit = resized.image.pixels[..., 0] > 0
    assert resized.image.size == (SIDE, SIDE)
    assert (int(lit.any(axis=1).sum()), int(lit.any(axis=0).sum())) == content
    assert lit[: content[0], : content[1]].all()


def test_a_letterboxed_mask_comes_back_to_the_originals_place() -> None:
    resized = resize_image(np.zeros((704, 352, 3), np.uint8), (704, 352), "letterbox352")
    logits = np.full((SIDE, SIDE), -9.0)
    logits[:176, :88] = 9  # the upper left quarter of a content of 352 x 176

    mask = resized.mask(found(logits, (SIDE, SIDE)))

    assert mask.shape == (704, 352)
    assert mask[:350, :174].all()
    assert not mask[354:].any()
    assert not mask[:, 178:].any()
    assert resized.ground_truth(mask) is mask


def test_an_example_is_brought_to_size_by_the_same_rule() -> None:
    mask = np.zeros((100, 200), np.bool_)
    mask[:50, :100] = True
    example = VisualPrompt(np.zeros((100, 200, 3), np.uint8), mask, name="thing")

    small = resize_prompt(example, "squash352")

    assert isinstance(small, VisualPrompt)
    assert np.asarray(small.mask).shape == (SIDE, SIDE)
    assert np.asarray(small.mask)[:176, :176].all()
    assert int(np.asarray(small.mask).sum()) == 176 * 176
    assert (small.name, small.mode) == (example.name, example.mode)
    assert resize_prompt(example, "original") is example
