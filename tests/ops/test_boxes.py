"""Boxes by hand and against a slow, obvious implementation."""

from __future__ import annotations

import numpy as np
import pytest

from wordmask.ops import boxes


def test_from_mask() -> None:
    mask = np.zeros((10, 12), dtype=bool)
    assert boxes.from_mask(mask) is None
    mask[3, 4] = mask[7, 9] = True
    assert boxes.from_mask(mask) == (4, 3, 10, 8)


def test_to_xywh() -> None:
    assert boxes.to_xywh((4, 3, 10, 8)) == (4, 3, 6, 5)


def test_area_of_boxes_turned_inside_out() -> None:
    np.testing.assert_array_equal(boxes.area(np.array([[0, 0, 3, 4], [5, 5, 1, 9], [2, 2, 2, 8]])), [12, 0, 0])


def test_iou_by_hand() -> None:
    first = np.array([[0, 0, 2, 2], [0, 0, 0, 0]], dtype=np.float32)
    second = np.array([[0, 0, 2, 2], [1, 1, 3, 3], [2, 0, 4, 2], [0, 0, 0, 0]], dtype=np.float32)
    np.testing.assert_allclose(boxes.iou(first, second), [[1, 1 / 7, 0, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize("seed", range(5))
def test_iou_counts_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 20, (6, 2))
    sample = np.concatenate([corners, corners + rng.integers(1, 12, (6, 2))], axis=1)
    plain = np.zeros((6, 40, 40), dtype=bool)
    for mask, (x0, y0, x1, y1) in zip(plain, sample, strict=True):
        mask[y0:y1, x0:x1] = True
    expected = [[(a & b).sum() / (a | b).sum() for b in plain] for a in plain]
    np.testing.assert_allclose(boxes.iou(sample.astype(float), sample.astype(float)), expected)


def test_nms_keeps_the_best_of_each_pile() -> None:
    sample = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 20, 30, 30], [0, 0, 10, 10], [21, 20, 31, 30.0]])
    scores = np.array([0.5, 0.9, 0.4, 0.5, 0.6])
    assert boxes.nms(sample, scores, threshold=0.5).tolist() == [1, 4]
    assert boxes.nms(sample, scores, threshold=0.9).tolist() == [1, 4, 0, 2]  # of the equal 0 and 3, the earlier
    assert boxes.nms(sample, scores, threshold=1.0).tolist() == [1, 4, 0, 3, 2]
    assert boxes.nms(np.zeros((0, 4)), np.zeros(0), threshold=0.5).tolist() == []
