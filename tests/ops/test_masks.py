"""Packed masks against plain boolean arrays."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from wordmask.ops import masks
from wordmask.ops.geometry import letterbox, restore, squash


def _random(rng: np.random.Generator, kind: int) -> np.ndarray:
    size = tuple(int(side) for side in rng.integers(1, 70, 2))
    noise = ndimage.gaussian_filter(rng.normal(size=size), kind)
    return noise > np.quantile(noise, rng.uniform(0.3, 1))


CASES = [_random(np.random.default_rng(seed), seed % 4) for seed in range(60)]
CASES += [np.zeros((5, 9), bool), np.ones((5, 9), bool), np.ones((1, 1), bool), np.eye(17, dtype=bool)]


@pytest.mark.parametrize("mask", CASES)
def test_packing_keeps_the_mask(mask: np.ndarray) -> None:
    packed = masks.pack(mask)
    np.testing.assert_array_equal(packed.full(), mask)
    assert packed.area == mask.sum()
    assert packed.full().dtype == np.bool_
    rows, columns = np.nonzero(mask)
    if len(rows):
        assert packed.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        x0, y0, x1, y1 = packed.window
        np.testing.assert_array_equal(packed.crop(), mask[y0:y1, x0:x1])
    else:
        assert packed.box is None
        assert packed.crop().size == 0


def test_packing_a_window_of_a_larger_mask() -> None:
    window = np.zeros((4, 5), dtype=bool)
    window[1:3, 2:4] = True
    packed = masks.pack(window, size=(20, 30), offset=(10, 7))
    expected = np.zeros((20, 30), dtype=bool)
    expected[8:10, 12:14] = True
    np.testing.assert_array_equal(packed.full(), expected)


def test_a_mask_takes_one_bit_a_pixel_of_its_box() -> None:
    mask = np.zeros((3000, 4000), dtype=bool)
    mask[1000:1080, 2000:2400] = True
    assert masks.pack(mask).bits.nbytes == 80 * 50


@pytest.mark.parametrize("size", [(1, 1), (40, 3), (97, 130), (300, 211)])
@pytest.mark.parametrize("level", [-1.0, 0.0, 0.7, 50.0, -np.inf, np.inf])
def test_threshold_equals_restoring_it_all(size: tuple[int, int], level: float) -> None:
    values = np.random.default_rng(3).normal(size=(22, 22)).astype(np.float32)
    for placement in (squash(size, (352, 352)), letterbox(size, (352, 352))):
        packed = masks.threshold(values, placement, level)
        np.testing.assert_array_equal(packed.full(), restore(values, placement) > level)


@pytest.mark.parametrize("seed", range(20))
def test_components_equal_scipy(seed: int) -> None:
    mask = _random(np.random.default_rng(seed), 1)
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    parts = masks.components(masks.pack(mask))
    assert len(parts) == count
    areas = [part.area for part in parts]
    assert areas == sorted(areas, reverse=True)
    for part in parts:
        values = labels[part.full()]
        assert (values == values[0]).all()
        assert part.area == (labels == values[0]).sum()


def test_specks_are_left_out_of_components() -> None:
    mask = np.zeros((30, 30), dtype=bool)
    mask[:10, :10], mask[20, 20:22], mask[25, 3] = True, True, True  # 100, 2 and 1 pixels
    packed = masks.pack(mask)
    assert [part.area for part in masks.components(packed, min_area_ratio=0.02)] == [100, 2]
    assert [part.area for part in masks.components(packed, min_area_ratio=0.0201)] == [100]
    assert [part.area for part in masks.components(packed)] == [100, 2, 1]
    assert masks.components(masks.empty((30, 30))) == ()


@pytest.mark.parametrize("seed", range(20))
def test_union_and_iou_equal_plain_arrays(seed: int) -> None:
    rng = np.random.default_rng(seed)
    plain = [ndimage.gaussian_filter(rng.normal(size=(40, 50)), 3) > rng.uniform(0.02, 0.3) for _ in range(3)]
    packed = [masks.pack(mask) for mask in plain]
    np.testing.assert_array_equal(masks.union(packed).full(), np.any(plain, axis=0))
    for first in range(3):
        for second in range(3):
            joint = (plain[first] & plain[second]).sum()
            whole = (plain[first] | plain[second]).sum()
            assert masks.intersection(packed[first], packed[second]) == joint
            assert masks.iou(packed[first], packed[second]) == (joint / whole if whole else 1.0)


def test_empty_masks() -> None:
    nothing, something = masks.empty((4, 4)), masks.pack(np.eye(4, dtype=bool))
    assert masks.iou(nothing, nothing) == 1.0
    assert masks.iou(nothing, something) == 0.0
    assert masks.union([nothing, nothing]).area == 0
    np.testing.assert_array_equal(masks.union([nothing, something]).full(), np.eye(4))


@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_every_nth_pixel(step: int) -> None:
    mask = np.random.default_rng(step).random((23, 31)) < 0.3
    np.testing.assert_array_equal(masks.subsample(masks.pack(mask), step).full(), mask[::step, ::step])


def test_a_mask_between_the_pixels_keeps_one() -> None:
    mask = np.zeros((20, 20), np.bool_)
    mask[7, 9] = True
    small = masks.subsample(masks.pack(mask), 4)
    assert (small.size, small.window, small.area) == ((5, 5), (2, 1, 3, 2), 1)
    assert masks.subsample(masks.empty((20, 20)), 4).area == 0
