"""Polygons become the very pixels that COCO's own tool makes of them."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from wordmask.ops.polygons import fill_as_coco


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools
def test_polygons_are_filled_as_pycocotools_fills_them() -> None:
    mask = pytest.importorskip("pycocotools.mask")
    random = np.random.default_rng(0)
    filled = 0
    for case in range(120):
        height, width = int(random.integers(1, 60)), int(random.integers(1, 80))
        points = random.uniform(-0.2, 1.1, (int(random.integers(3, 14)), 2)) * (width, height)
        points = np.round(points) if case % 3 == 0 else points
        points = np.repeat(points, 2, axis=0) if case % 5 == 0 else points
        expected = mask.decode(mask.frPyObjects([points.ravel().tolist()], height, width))[..., 0] > 0
        found = fill_as_coco(points, (height, width))
        np.testing.assert_array_equal(found, expected)
        filled += int(found.sum())
    assert filled > 10_000


def test_a_point_fills_nothing() -> None:
    assert not fill_as_coco(np.full((3, 2), 2.0), (5, 5)).any()


def test_a_square_is_its_pixels() -> None:
    square = fill_as_coco(np.array([(2, 1), (6, 1), (6, 5), (2, 5)], dtype=np.float64), (8, 9))
    assert np.argwhere(square).min(0).tolist() == [1, 2]
    assert np.argwhere(square).max(0).tolist() == [4, 5]
    assert square.sum() == 16


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_corners_outside_are_as_with_pycocotools() -> None:
    mask = pytest.importorskip("pycocotools.mask")
    random = np.random.default_rng(1)
    for _ in range(40):
        height, width = (int(side) for side in random.integers(1, 60, 2))
        points = random.normal(0, 10.0 ** random.integers(1, 5), (5, 2)) + np.array([width / 2, height / 2])
        expected = mask.decode(mask.frPyObjects([points.ravel().tolist()], height, width))[..., 0] > 0
        np.testing.assert_array_equal(fill_as_coco(points, (height, width)), expected)


@pytest.mark.parametrize("far", [1e6, 1e9, 1e12, 1e300])
def test_a_corner_far_outside_fills_up_to_the_border(far: float) -> None:
    filled = fill_as_coco(np.array([(far, 2), (1, 2), (1, 4), (far, 4)]), (6, 8))
    expected = np.zeros((6, 8), bool)
    expected[2:4, 1:] = True
    np.testing.assert_array_equal(filled, expected)


def test_memory_follows_the_image_not_the_corners() -> None:
    points = np.random.default_rng(0).uniform(-1e7, 1e7, (2_000, 2))
    tracemalloc.start()
    fill_as_coco(points, (64, 96))
    assert tracemalloc.get_traced_memory()[1] < 100e6
    tracemalloc.stop()
