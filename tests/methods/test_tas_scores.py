"""The parts of TAS that need no weights, against vectors taken from the authors' code (golden_tas.json)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest

from wordmask.methods.tas.crops import blurred_image, caption_crop, clip_crop, clip_pixels
from wordmask.methods.tas.filtering import MaskFilter, filter_masks
from wordmask.methods.tas.scores import WEIGHTS, ScoreWeights, best_index, normalised, tas_score
from wordmask.methods.tas.synonyms import lemma, related, share_three_senses
from wordmask.ops.masks import PackedMask, pack

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parent / "golden_tas.json").read_text(encoding="utf-8"))
RELEASED = MaskFilter()


def boxes(key: str, canvas: tuple[int, int] = (200, 200)) -> list[PackedMask]:
    masks = []
    for y0, y1, x0, x1 in GOLDEN[key]["boxes_y0y1x0x1"]:
        mask = np.zeros(canvas, bool)
        mask[y0:y1, x0:x1] = True
        masks.append(pack(mask))
    return masks


@pytest.mark.parametrize("key", ["filter_masks", "filter_masks_chain", "filter_masks_none"])
def test_masks_are_filtered_as_in_the_authors_code(key: str) -> None:
    masks = boxes(key)
    kept = filter_masks(masks, RELEASED)
    assert kept == GOLDEN[key]["kept"]
    if "areas" in GOLDEN[key]:
        assert [masks[index].area for index in kept] == GOLDEN[key]["areas"]


def test_small_things_survive_sizes_as_fractions() -> None:
    masks = boxes("filter_masks_none")  # 100 of 40,000 pixels
    assert filter_masks(masks, MaskFilter(min_fraction=0.0025)) == [0]
    assert filter_masks(masks, MaskFilter(min_fraction=0.0026)) == []


def test_a_part_and_its_whole_both_stay_where_overlap_is_relative_to_the_union() -> None:
    masks = boxes("filter_masks")[:2]  # the second lies inside the first, a quarter of it
    assert filter_masks(masks, MaskFilter(max_overlap=0.4, relative_to="union")) == [0, 1]
    assert filter_masks(masks, MaskFilter(max_overlap=0.2, relative_to="union")) == [0]


def scene() -> tuple[np.ndarray, PackedMask]:
    random = np.random.default_rng(0)
    image = random.integers(1, 256, (60, 80, 3), dtype=np.uint8)
    mask = np.zeros((60, 80), bool)
    mask[10:30, 20:31] = True  # 20 rows, 11 columns: 9 short of a square
    mask[10, 20] = False
    return image, pack(mask)


def test_clip_crops_are_black_outside_and_one_column_short_of_a_square() -> None:
    image, mask = scene()
    crop = clip_crop(image, mask)
    assert crop.shape == (20, 19, 3)  # 11 + 2 * (9 // 2)
    assert not crop[:, :4].any()
    assert not crop[:, 15:].any()
    assert not crop[0, 4].any()
    np.testing.assert_array_equal(crop[1:, 4:15], image[11:30, 20:31])


def test_caption_crops_keep_the_object_before_its_blurred_surroundings() -> None:
    image, mask = scene()
    crop = caption_crop(image, mask)
    blurred = cv2.GaussianBlur(image, (75, 75), 11.6)
    assert crop.shape == (20, 19, 3)
    np.testing.assert_array_equal(crop[1:, 4:15], image[11:30, 20:31])
    np.testing.assert_array_equal(crop[0, 4], blurred[10, 20])
    np.testing.assert_array_equal(caption_crop(image, mask, blurred_image(image)), crop)


def test_crops_are_scaled_by_their_shorter_side_and_cut_in_the_centre() -> None:
    crops = clip_pixels([np.full((20, 19, 3), 7, np.uint8), np.full((4, 4, 3), 9, np.uint8)], 32)
    assert crops.shape == (2, 32, 32, 3)
    assert (crops[0] == 7).all()
    assert (crops[1] == 9).all()


def test_the_order_of_normalised_scores_is_that_of_the_sum() -> None:
    random = np.random.default_rng(1)
    image, caption, negatives = random.normal(size=7), random.normal(size=7), random.normal(size=(7, 3))
    scores = tas_score(image, caption, negatives, weights=WEIGHTS["code"])
    expected = image + 0.1 * caption - 0.7 * negatives.mean(axis=1)
    np.testing.assert_allclose(scores.total, expected)
    np.testing.assert_array_equal(np.argsort(normalised(scores.total)), np.argsort(expected))
    assert normalised(scores.total).sum() == pytest.approx(1)
    twice = tas_score(image, caption, negatives[:, [0, 1, 2, 2]], weights=WEIGHTS["code"])
    np.testing.assert_allclose(twice.negative, negatives[:, [0, 1, 2, 2]].mean(axis=1))


def test_without_negatives_and_captions_image_fit_remains() -> None:
    image, caption = np.array([0.1, 0.3, 0.2]), np.array([0.5, 0.1, 0.2])
    empty = np.zeros((3, 0))
    np.testing.assert_allclose(tas_score(image, caption, empty, weights=WEIGHTS["code"]).total, image + 0.1 * caption)
    np.testing.assert_array_equal(tas_score(image, weights=WEIGHTS["code"]).total, image)
    np.testing.assert_array_equal(tas_score(image, caption, weights=WEIGHTS["visual"]).total, image)


def test_values_that_are_no_number_never_win() -> None:
    image = np.array([np.nan, 0.1, 0.2])
    scores = tas_score(image, np.array([1.0, np.nan, 0.0]), np.full((3, 1), np.nan), weights=ScoreWeights())
    assert np.isfinite(scores.total).all()
    assert best_index(scores.total) == 2
    assert best_index(np.array([np.nan, np.nan])) == 0
    assert np.isfinite(tas_score(np.array([np.nan]), weights=ScoreWeights()).total).all()


@pytest.mark.parametrize("values", [[], [0.4], [0.3, 0.3, 0.3]])
def test_degenerate_scores_are_normalised_without_nan(values: list[float]) -> None:
    expected = np.full(len(values), 1 / max(1, len(values)))
    np.testing.assert_allclose(normalised(np.array(values)), expected)


class Senses:
    """WordNet's senses of a few words."""

    table: ClassVar = {
        "man": ("a", "b", "c"),
        "woman": ("d", "e"),
        "adult": ("h",),
        "person": ("p",),
        "frisbee": ("f",),
    }
    above: ClassVar = {"a": "h", "d": "h", "h": "p"}

    def senses(self, word: str) -> str:
        return self.table.get(word, "")

    def hypernyms(self, sense: str) -> str:
        return self.above.get(sense, "")


def test_the_authors_rule_needs_three_common_senses() -> None:
    lexicon = Senses()
    assert share_three_senses("man", "man", lexicon)
    assert not share_three_senses("frisbee", "frisbee", lexicon)  # not even of itself
    assert not share_three_senses("man", "woman", lexicon)
    assert not share_three_senses(None, "man", lexicon)


def test_related_nouns_are_no_negatives_of_each_other() -> None:
    lexicon = Senses()
    assert related("frisbees", "frisbee")
    assert related("man", "adult", lexicon)
    assert not related("man", "woman", lexicon)
    assert not related("man", "person", lexicon)  # two steps
    assert not related(None, None)


@pytest.mark.parametrize(
    ("noun", "expected"),
    [("dogs", "dog"), ("Men", "man"), ("boxes", "box"), ("bus", "bus"), ("berries", "berry"), ("glasses", "glasses")],
)
def test_singulars(noun: str, expected: str) -> None:
    assert lemma(noun) == expected
