"""Scores of single masks against scikit-learn, SciPy and sums worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage
from sklearn import metrics as sk

from tests.metrics.judgements import DEGENERATE, RANDOM, flat, kept, literal_counts, random_judged
from wordmask.metrics import referring, thresholds
from wordmask.metrics.binary import Binary, binary_scores
from wordmask.metrics.boundary import Boundary, band, boundary_overlap, width
from wordmask.metrics.confusion import class_ious, confusion
from wordmask.metrics.judged import Judged
from wordmask.metrics.referring import Referring
from wordmask.metrics.sizes import BySize, size_of


def _strip(intersection: int, union: int) -> Judged:
    """Return a judgement with exactly this overlap: the answer covers the first pixels of the truth."""
    places = np.arange(120)[None]
    return Judged(places < intersection, places < union, "a", f"{intersection}/{union}")


def test_overall_and_mean_iou_by_hand() -> None:
    scored = Referring()
    for judged in (_strip(1, 2), _strip(90, 100)):
        scored.update(judged)
    scores = scored.compute()
    assert scores["oiou"] == scores["cum_mask_iou"] == 91 / 102
    assert scores["mean_mask_iou"] == pytest.approx(0.7, rel=1e-15)
    assert scores["miou"] == pytest.approx((1 / 2.000001 + 90 / 100.000001) / 2, rel=1e-15)
    assert [scores[f"pr@{t}"] for t in (0.5, 0.6, 0.7, 0.8, 0.9)] == [0.5, 0.5, 0.5, 0.5, 0.0]


@pytest.mark.parametrize("tenths", [5, 6, 7, 8, 9])
def test_precision_at_is_strict(tenths: int) -> None:
    rows = np.array([[tenths * side, 10 * side] for side in (1, 3, 7, 1_600_000)])
    assert referring.precision_at(rows, tenths / 10) == 0.0
    assert referring.precision_at(rows + np.array([1, 0]), tenths / 10) == 1.0


def test_referring_scores_equal_the_literal_ones() -> None:
    scored, judgements = Referring(), [*RANDOM, *DEGENERATE]
    for judged in judgements:
        scored.update(judged)
    counted = [literal_counts(judged) for judged in judgements]
    tops, unions = [c[0] for c in counted], [sum(c[:3]) for c in counted]
    scores = scored.compute()
    assert scores["oiou"] == pytest.approx(sum(tops) / sum(unions), rel=1e-14)
    pairs = list(zip(tops, unions, strict=True))
    assert scores["miou"] == pytest.approx(np.mean([top / (union + 1e-6) for top, union in pairs]), rel=1e-14)
    assert scores["mean_mask_iou"] == pytest.approx(np.mean([t / u if u else 0 for t, u in pairs]), rel=1e-14)
    for threshold in (0.5, 0.9):
        expected = np.mean([u > 0 and t / u > threshold for t, u in pairs])
        assert scores[f"pr@{threshold}"] == pytest.approx(expected)


def test_an_empty_answer_counts_its_truth() -> None:
    scored = Referring()
    scored.update(flat(True, False, size=(4, 4)))
    scored.update(flat(True, True, size=(4, 4)))
    scores = scored.compute()
    assert (scores["oiou"], scores["mean_mask_iou"], scores["pr@0.5"]) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("judged", RANDOM)
def test_binary_scores_are_sklearns(judged: Judged) -> None:
    scores = {name: float(v[0]) for name, v in binary_scores(np.array([literal_counts(judged)])).items()}
    true, said = kept(judged, judged.truth), kept(judged, judged.mask)
    expected = {
        "recall": sk.recall_score(true, said),
        "precision": sk.precision_score(true, said),
        "specificity": sk.recall_score(~true, ~said),
        "dice": sk.f1_score(true, said),
        "iou": sk.jaccard_score(true, said),
        "mcc": sk.matthews_corrcoef(true, said),
    }
    assert scores == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("truth", "answer", "expected"),
    [
        (False, False, {"recall": 1, "precision": 1, "specificity": 1, "dice": 1, "iou": 1, "mcc": 1}),
        (True, True, {"recall": 1, "precision": 1, "specificity": 1, "dice": 1, "iou": 1, "mcc": 1}),
        (True, False, {"recall": 0, "precision": 0, "specificity": 1, "dice": 0, "iou": 0, "mcc": 0}),
        (False, True, {"recall": 0, "precision": 0, "specificity": 0, "dice": 0, "iou": 0, "mcc": 0}),
    ],
)
def test_undefined_binary_scores_follow_the_convention(truth: bool, answer: bool, expected: dict[str, float]) -> None:
    scored = Binary()
    scored.update(flat(truth, answer))
    scores = scored.compute()
    assert {name: scores[name] for name in expected} == expected
    assert {scores[f"{name}_std"] for name in expected} == {0.0}


def test_means_and_deviations_are_over_pictures() -> None:
    scored = Binary()
    for judged in RANDOM:
        scored.update(judged)
    each = binary_scores(np.array([literal_counts(judged) for judged in RANDOM]))
    scores = scored.compute()
    for name, values in each.items():
        assert scores[name] == pytest.approx(values.mean(), rel=1e-14)
        assert scores[f"{name}_std"] == pytest.approx(values.std(ddof=0), rel=1e-12)


def _literal_band(mask: np.ndarray, pixels: int) -> np.ndarray:
    """Erode by the definition: a pixel is inside if the whole square around it is set, beyond the edge nothing is."""
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


def test_boundary_scores_equal_the_literal_ones() -> None:
    scored, judgements, expected = Boundary(share=0.1), [*RANDOM, *DEGENERATE], []
    for judged in judgements:
        scored.update(judged)
        pixels = max(1, round(0.1 * math.hypot(*judged.truth.shape)))
        for d in (pixels, 2):
            one, two = (kept(judged, _literal_band(mask, d)) for mask in (judged.mask, judged.truth))
            union = (one | two).sum()
            expected.append((one & two).sum() / union if union else 1.0)
    scores = scored.compute()
    assert scores["boundary_iou"] == pytest.approx(np.mean(expected[0::2]), rel=1e-14)
    assert scores["boundary_iou_2px"] == pytest.approx(np.mean(expected[1::2]), rel=1e-14)


@pytest.mark.parametrize(
    ("area", "size"),
    [
        (0, "absent"), (1, "tiny"), (24, "tiny"), (25, "small"), (99, "small"), (100, "medium"), (400, "medium"),
        (401, "large"), (10000, "large"),
    ],
)  # fmt: skip
def test_sizes_of_targets(area: int, size: str) -> None:
    assert size_of(area, 10000) == size


def test_scores_are_split_by_size() -> None:
    places = np.arange(10000).reshape(100, 100)
    scored = BySize(Referring(at=(0.5,)))
    for area, found in ((20, 10), (20, 20), (500, 100), (0, 0)):
        scored.update(Judged(places < found, places < area, "a", f"{area} {found}"))
    scores = scored.compute()
    assert [name for name in scores if name.endswith("/oiou")] == ["tiny/oiou", "large/oiou", "absent/oiou"]
    assert (scores["tiny/oiou"], scores["tiny/mean_mask_iou"], scores["large/oiou"]) == (0.75, 0.75, 0.2)
    assert math.isnan(scores["absent/oiou"])
    assert scored.prototype.compute().keys() == {name.partition("/")[2] for name in scores}
    assert len(scored.prototype.rows()) == 0


def test_sixteen_megapixels_do_not_overflow() -> None:
    """Half the pixels true, three quarters answered: MCC's divisor would pass int64 a million times over."""
    side = 4096
    truth, mask = np.zeros((side, side), bool), np.zeros((side, side), bool)
    truth[: side // 2] = True
    mask[side // 4 :] = True
    judged = Judged(mask, truth, "a", "big", probability=mask.astype(np.float32))
    quarter = side * side // 4
    scored = Binary()
    scored.update(judged)
    assert scored.rows().tolist() == [[quarter, 2 * quarter, quarter, 0]]
    scores = scored.compute()
    assert scores["mcc"] == pytest.approx(-2 / math.sqrt(3 * 2 * 2 * 1), rel=1e-14)
    assert (scores["iou"], scores["dice"]) == (0.25, 0.4)
    assert referring.oiou(np.repeat(scored.rows()[:, :2], 10**6, axis=0)) == 0.5
    total = 10**6 * thresholds.histogram(judged.probability, truth)
    assert thresholds.iou_fg(thresholds.counts(total))[24] == 10**6 * quarter / (1 + 4 * 10**6 * quarter)
    matrix = 10**6 * confusion(mask.view(np.uint8), truth.view(np.uint8), 2)
    assert class_ious(matrix).tolist() == [0.0, 0.25]


def test_one_judgement_is_its_own_mean() -> None:
    judged = random_judged(5)
    one = Referring()
    one.update(judged)
    scores = one.compute()
    assert scores["oiou"] == scores["mean_mask_iou"] == literal_counts(judged)[0] / sum(literal_counts(judged)[:3])
