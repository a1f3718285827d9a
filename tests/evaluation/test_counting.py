"""Pixel counts and intervals over images."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wordmask.evaluation.score.counting import count, count_packed
from wordmask.evaluation.score.intervals import mean_over_images, one_hot, over_images, sum_by_image
from wordmask.metrics.bootstrap import interval, ratio_of_sums
from wordmask.ops.masks import pack


def test_counting_packed_masks_equals_counting_whole_ones() -> None:
    random = np.random.default_rng(7)

    for place in range(60):
        masks = []
        for _ in range(2):
            mask = np.zeros((40, 50), np.bool_)
            (y0, y1), (x0, x1) = np.sort(random.integers(0, 41, 2)), np.sort(random.integers(0, 51, 2))
            mask[y0:y1, x0:x1] = random.random((y1 - y0, x1 - x0)) < 0.97
            masks.append(mask & (place % 10 != 0))
        ignored = random.random((40, 50)) < 0.2 if place % 2 else None

        assert count_packed(pack(masks[0]), pack(masks[1]), ignored) == count(masks[0], masks[1], ignored)


def test_images_are_drawn_and_not_their_prompts() -> None:
    random = np.random.default_rng(8)
    values, image = random.random((40, 2)), np.sort(random.integers(0, 15, 40))
    statistic = ratio_of_sums((0,), (1,))

    found = over_images(values, image, 15, statistic, draws=50, seed=3)

    sums = np.stack([values[image == number].sum(axis=0) for number in range(15)])
    apart = interval(sums, statistic, draws=50, seed=3)
    np.testing.assert_allclose(sum_by_image(values, image, 15), sums)
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((apart.value, apart.low, apart.high), abs=1e-12)


def test_one_image_has_no_interval_and_no_row_no_score() -> None:
    one = over_images(np.ones((3, 2)), np.zeros(3, np.int64), 5, ratio_of_sums((0,), (1,)), draws=10, seed=0)
    assert one is not None
    assert one.value == 1.0
    assert math.isnan(one.low)
    assert mean_over_images(np.zeros(0), np.zeros(0, np.int64), 5, draws=10, seed=0) is None


def test_rows_by_class() -> None:
    wide = one_hot(np.array(["b", "a", "x"]), ["a", "b"], np.array([[1, 2], [3, 4], [5, 6]]))
    assert wide.tolist() == [[0, 0, 1, 2], [3, 4, 0, 0], [0, 0, 0, 0]]
