"""Visual prompt engineering: golden checks 11 and 12."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from wordmask.errors import PromptError
from wordmask.ops.highlight import MODES, composite, crop_box, crop_square, engineer_prompt

GOLDEN = json.loads((Path(__file__).parents[1] / "methods" / "golden_clipseg.json").read_text())


def golden_image() -> np.ndarray:
    y, x = np.mgrid[:120, :120].astype(np.float64)
    channels = [np.sin(0.11 * y + 0.05 * x), np.cos(0.07 * y - 0.09 * x), np.sin(0.2 * x)]
    return np.stack(channels).astype(np.float32)


def golden_mask() -> np.ndarray:
    mask = np.zeros((120, 120), dtype=bool)
    mask[30:70, 50:75] = True
    return mask


@pytest.mark.parametrize("mode", ["crop_blur_highlight352", "blur3_highlight01", "blur_highlight", "crop"])
def test_golden_modes(mode: str) -> None:
    expected = GOLDEN[f"vp_{mode}"]
    result = engineer_prompt(golden_image(), golden_mask(), mode)
    assert list(result.shape) == expected["shape"]
    assert result.dtype == np.float32
    assert result.mean() == pytest.approx(expected["mean"], abs=1e-5)
    assert result.std() == pytest.approx(expected["std"], abs=1e-5)
    assert result[:, result.shape[1] // 3, result.shape[2] // 2] == pytest.approx(expected["v"], abs=1e-5)
    assert result[0, 0, 0] == pytest.approx(expected["corner"], abs=1e-5)


def test_highlighting_without_a_crop_is_the_composite_minus_a_hundredth() -> None:
    image, mask = golden_image(), golden_mask()
    expected = composite(image, mask[None].astype(np.float32), blur=3, background=0.1) - np.float32(0.01)
    np.testing.assert_array_equal(engineer_prompt(image, mask, "blur3_highlight01"), expected)


def test_golden_crop_box() -> None:
    assert crop_box(golden_mask(), 0.1) == (47, 77, 26, 74)


@pytest.mark.parametrize(
    ("context", "box"), [(0, (20, 40, 10, 20)), (0.1, (18, 42, 9, 21)), (0.5, (10, 50, 5, 25))], ids=str
)
def test_crop_geometry(context: float, box: tuple[int, int, int, int]) -> None:
    mask = np.zeros((100, 100), dtype=bool)
    mask[10:20, 20:40] = True
    assert crop_box(mask, context) == box


def test_an_empty_mask_means_the_whole_image() -> None:
    assert crop_box(np.zeros((30, 50)), 0.1) == (0, 50, 0, 30)


def test_the_box_stays_inside_an_image_that_is_not_square() -> None:
    mask = np.zeros((30, 100))
    mask[2:28, 60:99] = 1
    assert crop_box(mask, 0.5) == (40, 100, 0, 30)


def test_a_crop_is_padded_on_both_sides_and_an_odd_pixel_goes_right() -> None:
    image = np.arange(1, 9, dtype=np.float32).reshape(1, 4, 2)
    square = crop_square(image, (0, 1, 0, 4), 4)
    np.testing.assert_array_equal(square[0], [[0, 1, 0, 0], [0, 3, 0, 0], [0, 5, 0, 0], [0, 7, 0, 0]])


@pytest.mark.parametrize("size", [2, 3, 7, 13])
def test_cropping_resizes_as_torch_does(size: int) -> None:
    import torch

    image = np.random.default_rng(0).normal(size=(3, 5, 5)).astype(np.float32)
    expected = torch.nn.functional.interpolate(torch.from_numpy(image)[None], size=(size, size), mode="nearest")[0]
    np.testing.assert_array_equal(crop_square(image, (0, 5, 0, 5), size), expected.numpy())


def test_plain_recipes() -> None:
    image, mask = golden_image(), golden_mask().astype(np.float32)[None]
    results = {mode: engineer_prompt(image, golden_mask(), mode) for mode in MODES if MODES[mode].context is None}
    np.testing.assert_allclose(results["overlay"], image * mask)
    np.testing.assert_allclose(results["highlight"], image * (0.85 * mask + 0.15), atol=1e-6)
    np.testing.assert_allclose(results["highlight2"], (image / 2 + 0.1) * mask + 0.15 * image, atol=1e-6)
    np.testing.assert_array_equal(results["shape"], np.repeat(mask, 3, axis=0))
    np.testing.assert_array_equal(results["concat"], np.concatenate([image, mask]))
    np.testing.assert_array_equal(results["image_only"], image)
    assert not results["image_black"].any()


def test_the_random_mode_repeats_with_its_generator() -> None:
    first, again, other = (
        engineer_prompt(golden_image(), golden_mask(), "blur_highlight_random", random=np.random.default_rng(seed))
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.01


def test_the_caller_chooses_the_size_that_a_mode_leaves_open() -> None:
    assert engineer_prompt(golden_image(), golden_mask(), "crop_blur_highlight", size=96).shape == (3, 96, 96)
    assert engineer_prompt(golden_image(), golden_mask(), "crop_blur_highlight352", size=96).shape == (3, 352, 352)


def test_an_unknown_mode_lists_the_known_ones() -> None:
    with pytest.raises(PromptError, match=r"'sharpen'.*blur3_highlight01.*crop_blur_highlight352"):
        engineer_prompt(golden_image(), golden_mask(), "sharpen")
