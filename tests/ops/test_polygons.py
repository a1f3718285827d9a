"""Polygons become the very pixels that COCO's own tool makes of them."""

from __future__ import annotations

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
