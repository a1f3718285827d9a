"""Answers about an image and its mirror image, averaged: neither orientation is preferred."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import wordmask
from tests.training.inputs import write_small_compact
from wordmask.api import load
from wordmask.components.place.mirror import flipped_found, merged, swapped_prompt
from wordmask.components.place.settings import PlaceSettings
from wordmask.components.place.touching import split_touching
from wordmask.images import load_image
from wordmask.ops.geometry import letterbox, squash
from wordmask.ops.masks import pack
from wordmask.prompts import TextPrompt
from wordmask.results import Found, MaskLogits, Region

SIZE = (40, 61)


def dense(values: NDArray[np.float32], threshold: float, presence: float) -> Found:
    heat = MaskLogits(values, squash(SIZE, (32, 64)))
    options: dict[str, Any] = {"threshold": threshold, "presence_threshold": 0.5, "size": SIZE}
    return Found(TextPrompt("cat"), presence, heatmap_logits=heat, **options)


def regions(*given: tuple[int, int, float]) -> Found:
    """Regions of columns (first, last), with scores."""
    made = []
    for first, last, score in given:
        mask = np.zeros(SIZE, np.bool_)
        mask[5:30, first:last] = True
        made.append(Region(pack(mask), score))
    return Found(TextPrompt("cat"), 1.0, threshold=0.5, presence_threshold=0.5, size=SIZE, regions=tuple(made))


def test_the_mean_does_not_depend_on_the_orientation() -> None:
    random = np.random.default_rng(0)
    first, second = (random.normal(size=(8, 16)).astype(np.float32) for _ in range(2))
    here, there = dense(first, 0.4, 0.9), dense(second, 0.5, 0.6)
    one, other = merged(here, flipped_found(there)), merged(there, flipped_found(here))
    assert one.presence == other.presence == pytest.approx(0.75)
    assert one.threshold == other.threshold
    assert one.heatmap_logits is not None
    np.testing.assert_allclose(one.heatmap_logits.values, (first + second[:, ::-1]) / 2, rtol=1e-6)
    np.testing.assert_array_equal(one.mask, other.mask[:, ::-1])


def test_maps_with_padding_on_one_side_are_averaged_over_the_image() -> None:
    placement = letterbox((20, 20), (32, 64))
    values = np.full((8, 16), -4.0, np.float32)
    values[:, 4:8] = 4.0  # columns 10 to 20 of the image
    here = replace(dense(values, 0.5, 1.0), size=(20, 20), heatmap_logits=MaskLogits(values, placement))
    there = replace(here, heatmap_logits=MaskLogits(-values, placement))
    one, other = merged(here, flipped_found(there)), merged(there, flipped_found(here))
    np.testing.assert_array_equal(one.mask, other.mask[:, ::-1])
    assert one.mask[:, 12:].all()
    assert not one.mask[:, :8].any()


def test_regions_of_both_are_joined_and_one_that_is_alone_counts_less() -> None:
    here, there = regions((0, 10, 0.9), (30, 40, 0.8)), regions((51, 61, 0.7), (2, 8, 0.4))
    found = merged(here, flipped_found(there))
    assert found.regions is not None
    columns = [(region.packed().window[0], region.packed().window[2]) for region in found.regions]
    assert columns == [(0, 10), (30, 40), (53, 59)]
    assert [region.score for region in found.regions] == pytest.approx([0.8, 0.6, 0.3])


def test_names_with_a_side_are_asked_as_the_mirror_image_shows_them() -> None:
    plain = TextPrompt("dog", negatives=("cat",))
    assert swapped_prompt(plain) is plain
    assert swapped_prompt(TextPrompt("left eye", negatives=("right eye",))) == TextPrompt(
        "right eye", negatives=("left eye",)
    )


def test_touching_instances_come_apart_alike_in_both_orientations() -> None:
    mask = np.zeros((90, 140), np.bool_)
    rows, columns = np.mgrid[:90, :140]
    mask |= (columns - 40) ** 2 + (rows - 45) ** 2 < 35**2
    mask |= (columns - 98) ** 2 + (rows - 40) ** 2 < 28**2
    parts = split_touching(pack(mask))
    mirrored = split_touching(pack(np.ascontiguousarray(mask[:, ::-1])))
    assert len(parts) == len(mirrored) == 2
    for one, other in zip(parts, mirrored, strict=True):
        np.testing.assert_array_equal(one.full(), other.full()[:, ::-1])


@pytest.mark.parametrize("model", ["compact", "tas"])
def test_phrases_with_place_are_answered_alike_and_others_as_ever(model: str) -> None:
    pixels = load_image("sample:astronaut").pixels[100:400, 60:361]
    segmenter: Any = wordmask.load(model, device="cpu")
    phrases, swapped = ["the face on the left", "hair"], ["the face on the right", "hair"]
    here = segmenter.segment(pixels, phrases)
    there = segmenter.segment(np.ascontiguousarray(pixels[:, ::-1]), swapped)
    assert here[0].area > 0
    np.testing.assert_array_equal(here[0].mask, there[0].mask[:, ::-1])
    np.testing.assert_array_equal(here[1].mask, segmenter.segment(pixels, "hair")[0].mask)
    segmenter.place_settings = PlaceSettings(mirror=False)
    alone = segmenter.segment(pixels, phrases)
    np.testing.assert_array_equal(alone[1].mask, here[1].mask)
    assert (alone[0].mask != here[0].mask).any()


def test_features_of_the_mirror_image_are_kept_like_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = write_small_compact(tmp_path / "small")
    pixels = np.random.default_rng(1).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    first: Any = load(model, device="cpu", cache=tmp_path / "cache")
    answer = first.segment(pixels, "the square on the left", presence_threshold=0)[0]
    assert (first.hits, first.misses) == (0, 2)
    again: Any = load(model, device="cpu", cache=tmp_path / "cache")
    monkeypatch.setattr(again.segmenter, "encode", None)
    monkeypatch.setattr(again.segmenter, "_encode_all", None)
    same = again.segment(pixels, "the square on the left", presence_threshold=0)[0]
    np.testing.assert_array_equal(same.mask, answer.mask)
    assert (again.hits, again.misses) == (2, 0)
    again.segment(pixels, "square")
    assert (again.hits, again.misses) == (3, 0)
