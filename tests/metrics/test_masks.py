"""Scores of single masks against scikit-learn, SciPy and sums worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage
from sklearn import metrics as sk

from tests.metrics.examples import DEGENERATE, EVERY, IGNORED, RANDOM, Example, flat, kept, literal_counts
from wordmask.metrics import thresholds
from wordmask.metrics.binary import binary_scores
from wordmask.metrics.boundary import band, boundary_overlap, width
from wordmask.metrics.confusion import class_counts, class_ious, confusion_matrix
from wordmask.metrics.means import deviation, mean, quotient
from wordmask.metrics.overlap import confusion_counts, intersection_and_union, ious
from wordmask.metrics.sizes import size_of


@pytest.mark.parametrize("example", EVERY)
def test_counts_are_those_of_the_pixels(example: Example) -> None:
    counted = literal_counts(example)
    assert confusion_counts(*example.arrays) == counted
    assert intersection_and_union(*example.arrays) == (counted[0], sum(counted[:3]))


def test_nothing_is_counted_where_all_is_ignored() -> None:
    assert confusion_counts(*IGNORED.arrays) == (0, 0, 0, 0)


def test_iou_of_empty_masks_and_with_an_epsilon() -> None:
    rows = np.array([[1, 2], [0, 0], [0, 5]])
    assert ious(rows, empty=0.0).tolist() == [0.5, 0.0, 0.0]
    assert ious(rows, empty=1.0).tolist() == [0.5, 1.0, 0.0]
    assert ious(rows, empty=0.0, epsilon=1e-6).tolist() == [1 / 2.000001, 0.0, 0.0]


@pytest.mark.parametrize("example", RANDOM)
def test_ious_are_sklearns(example: Example) -> None:
    expected = sk.jaccard_score(kept(example, example.ground_truth), kept(example, example.mask))
    assert ious(np.array([intersection_and_union(*example.arrays)]), empty=0.0)[0] == pytest.approx(expected)


@pytest.mark.parametrize("example", RANDOM)
def test_binary_scores_are_sklearns(example: Example) -> None:
    scores = {name: float(v[0]) for name, v in binary_scores(np.array([literal_counts(example)])).items()}
    true, predicted = kept(example, example.ground_truth), kept(example, example.mask)
    expected = {
        "recall": sk.recall_score(true, predicted),
        "precision": sk.precision_score(true, predicted),
        "specificity": sk.recall_score(~true, ~predicted),
        "dice": sk.f1_score(true, predicted),
        "iou": sk.jaccard_score(true, predicted),
        "mcc": sk.matthews_corrcoef(true, predicted),
    }
    assert scores == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("true", "predicted", "expected"),
    [
        (False, False, {"recall": 1, "precision": 1, "specificity": 1, "dice": 1, "iou": 1, "mcc": 1}),
        (True, True, {"recall": 1, "precision": 1, "specificity": 1, "dice": 1, "iou": 1, "mcc": 1}),
        (True, False, {"recall": 0, "precision": 0, "specificity": 1, "dice": 0, "iou": 0, "mcc": 0}),
        (False, True, {"recall": 0, "precision": 0, "specificity": 0, "dice": 0, "iou": 0, "mcc": 0}),
    ],
)
def test_undefined_binary_scores_follow_the_convention(true: bool, predicted: bool, expected: dict[str, float]) -> None:
    scores = binary_scores(np.array([confusion_counts(*flat(true, predicted).arrays)]))
    assert {name: float(values[0]) for name, values in scores.items()} == expected


def _literal_band(mask: np.ndarray, pixels: int) -> np.ndarray:
    """Erode by the definition: a pixel is inside if the whole square around it is set, beyond the border nothing is."""
    return mask & ~ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=pixels, border_value=0)


@pytest.mark.parametrize("pixels", [1, 2, 3, 7])
@pytest.mark.parametrize("seed", range(6))
def test_bands_are_scipys_erosions(seed: int, pixels: int) -> None:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(40, 53)), seed)
    for mask in (noise > np.median(noise), noise > noise.max(), noise >= noise.min(), noise == noise.max()):
        np.testing.assert_array_equal(band(mask, pixels), _literal_band(mask, pixels))


def test_the_band_is_two_percent_of_the_diagonal() -> None:
    assert [width(size) for size in ((1, 1), (300, 400), (1024, 1024), (480, 640))] == [1, 10, 29, 16]


def test_boundary_iou_by_hand() -> None:
    """A 10x10 square and one with a hole of 2x2 in its middle: rings 1 wide are 36 and 36 + the 12 around the hole."""
    whole = np.zeros((14, 14), bool)
    whole[2:12, 2:12] = True
    holed = whole.copy()
    holed[6:8, 6:8] = False
    assert boundary_overlap(whole, holed, 1) == (36, 48)
    assert boundary_overlap(whole, holed, 9) == (96, 100)


@pytest.mark.parametrize("example", [*RANDOM, *DEGENERATE])
def test_boundary_overlaps_equal_the_literal_ones(example: Example) -> None:
    for pixels in (width(example.mask.shape, ratio=0.1), 2):
        one, two = (kept(example, _literal_band(mask, pixels)) for mask in (example.mask, example.ground_truth))
        expected = (int((one & two).sum()), int((one | two).sum()))
        assert boundary_overlap(example.mask, example.ground_truth, pixels, example.ignored) == expected


@pytest.mark.parametrize(
    ("area", "size"),
    [
        (0, "absent"), (1, "tiny"), (24, "tiny"), (25, "small"), (99, "small"), (100, "medium"), (400, "medium"),
        (401, "large"), (10000, "large"),
    ],
)  # fmt: skip
def test_sizes_of_targets(area: int, size: str) -> None:
    assert size_of(area, 10000) == size


def test_sixteen_megapixels_do_not_overflow() -> None:
    """Half the pixels true, three quarters predicted: MCC's divisor would pass int64 a million times over."""
    side = 4096
    true, mask = np.zeros((side, side), bool), np.zeros((side, side), bool)
    true[: side // 2] = True
    mask[side // 4 :] = True
    quarter = side * side // 4
    counts = confusion_counts(mask, true)
    assert counts == (quarter, 2 * quarter, quarter, 0)
    scores = binary_scores(np.array([counts]))
    assert scores["mcc"][0] == pytest.approx(-2 / math.sqrt(3 * 2 * 2 * 1), rel=1e-14)
    assert (scores["iou"][0], scores["dice"][0]) == (0.25, 0.4)
    total = 10**6 * thresholds.histogram(mask.astype(np.float32), true)
    assert thresholds.iou_fg(thresholds.counts(total))[24] == 10**6 * quarter / (1 + 4 * 10**6 * quarter)
    matrix = 10**6 * confusion_matrix(mask.view(np.uint8), true.view(np.uint8), 2)
    assert class_ious(class_counts(matrix)).tolist() == [0.0, 0.25]


def test_means_do_not_depend_on_the_order() -> None:
    values = np.random.default_rng(0).random(1000) * 10.0 ** np.arange(1000).clip(0, 15)
    shuffled = np.random.default_rng(1).permutation(values)
    assert mean(values) == mean(shuffled)
    assert deviation(values) == deviation(shuffled)
    assert deviation([1.0, 2.0, 3.0, 4.0]) == pytest.approx(np.std([1, 2, 3, 4]), rel=1e-15)
    assert math.isnan(mean([]))
    assert math.isnan(deviation([]))


def test_a_quotient_by_nothing_is_what_was_asked_for() -> None:
    assert quotient(np.array([1, 0]), np.array([4, 0]), otherwise=7.0).tolist() == [0.25, 7.0]
