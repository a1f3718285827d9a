"""The parts of TAS that need no weights, against vectors taken from the authors' code (golden_tas.json)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from wordmask.components.place import extract_entity, parse, target_phrase
from wordmask.methods.tas.choice import by_place, by_released_rule, distinct
from wordmask.methods.tas.crops import blurred_image, caption_crop, clip_crop, clip_pixels
from wordmask.methods.tas.filtering import MaskFilter, filter_masks
from wordmask.methods.tas.language import noun_phrases
from wordmask.methods.tas.regions import RegionSet
from wordmask.methods.tas.released_parser import rule_tree
from wordmask.methods.tas.scores import WEIGHTS, ScoreWeights, best_index, normalised, tas_score
from wordmask.methods.tas.synonyms import near_synonyms, singular
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


def test_without_wordnet_the_same_word_is_a_synonym() -> None:
    assert near_synonyms("frisbees", "frisbee")
    assert not near_synonyms("man", "woman")
    assert not near_synonyms("", "")


@pytest.mark.parametrize(
    ("noun", "expected"),
    [("dogs", "dog"), ("Men", "man"), ("boxes", "box"), ("bus", "bus"), ("berries", "berry"), ("glasses", "glasses")],
)
def test_singulars(noun: str, expected: str) -> None:
    assert singular(noun) == expected


@pytest.mark.parametrize(
    ("caption", "phrases"),
    [
        ("a man in a red shirt riding a horse", ("a man", "a red shirt", "a horse")),
        ("two cats sleeping on a couch next to the remote.", ("two cats", "a couch", "the remote")),
        ("", ()),
        ("on the", ()),
    ],
)
def test_noun_phrases_of_captions(caption: str, phrases: tuple[str, ...]) -> None:
    assert noun_phrases(caption) == phrases


@pytest.mark.parametrize("row", GOLDEN["entity_parse_as_released"], ids=lambda row: " ".join(row["tokens"]))
def test_parses_by_rules_give_the_entities_of_the_authors_code(row: dict[str, Any]) -> None:
    tree = rule_tree(" ".join(row["tokens"]))
    entity = extract_entity(tree)
    assert list(tree.heads) == row["heads"]
    assert target_phrase(tree) == row["np"]
    assert (entity and entity.text) == row["entity_head"]
    if entity:
        assert [list(words) for words in entity.superlatives] == row["sup"]
        assert [[list(words), other.text] for words, other in entity.relations] == row["rel"]


def quadrant_masks() -> list[PackedMask]:
    masks = []
    for row, column in GOLDEN["quadrant_rule_by_hand"]["centres_hw"]:
        mask = np.zeros((100, 100), bool)
        mask[row - 2 : row + 3, column - 2 : column + 3] = True
        masks.append(pack(mask))
    return masks


@pytest.mark.parametrize(
    ("sentence", "cue"),
    [
        ("left man", "left"), ("man on left", "left"), ("right man", "right"), ("top left man", "top left"),
        ("the man standing on the right", "right"), ("man", "no cue"), ("bottom left man", "no cue"),
    ],
)  # fmt: skip
def test_the_released_rule_chooses_quadrants(sentence: str, cue: str) -> None:
    golden = GOLDEN["quadrant_rule_by_hand"]
    choice = by_released_rule(np.array(golden["scores"]), quadrant_masks(), rule_tree(sentence))
    assert choice.chosen == (golden["selected"][cue],)


def region_set(masks: list[PackedMask], quality: list[float], found: int = 0) -> RegionSet:
    nothing = torch.zeros(len(masks), 2)
    return RegionSet(masks, quality, nothing, nothing, [""] * len(masks), found)


def test_words_of_place_choose_among_what_fits_the_name() -> None:
    scores = np.array([0.9, 0.88, 0.1, 0.86])  # the third is something else
    regions, size = region_set(quadrant_masks(), [1.0] * 4), (100, 100)
    for sentence, expected in (("man on the right", 3), ("the man at the top", 0), ("second man from the left", 1)):
        assert by_place(parse(sentence), scores, regions, size, margin=0.1).chosen == (expected,)
    assert set(by_place(parse("men"), scores, regions, size, margin=0.1).chosen) == {0, 1, 3}
    nothing = region_set([], [])
    assert by_place(parse("man on the right"), np.zeros(0), nothing, size, margin=0.1).chosen == ()


def test_instances_of_the_name_come_before_other_regions() -> None:
    regions = region_set(
        quadrant_masks(), [0.8, 0.7, 0.05, 0.9], found=3
    )  # the third is uncertain, the fourth a proposal
    choice = by_place(parse("man on the right"), np.array([0.1, 0.1, 0.1, 0.9]), regions, (100, 100), margin=0.1)
    assert choice.chosen == (1,)


def test_repeated_regions_are_one_candidate() -> None:
    mask = np.zeros((50, 50), bool)
    mask[5:40, 5:40] = True
    part = np.zeros((50, 50), bool)
    part[10:20, 10:20] = True
    assert distinct([pack(mask), pack(part), pack(~mask)]) == [0, 2]
