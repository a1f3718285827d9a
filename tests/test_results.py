"""What a result says, against plain arrays."""

from __future__ import annotations

import dataclasses
import io
import sys
import time
import tracemalloc
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from tests.segmentations import SIZE, found, logits, segmentation
from wordmask.errors import MissingExtraError, OutputError, PromptError
from wordmask.ops.geometry import Placement, letterbox, restore, squash
from wordmask.ops.masks import pack
from wordmask.prompts import TextPrompt
from wordmask.results import MIN_AREA_RATIO, Candidate, Found, MaskLogits, Region


def _smooth(seed: int, cells: tuple[int, int] = (20, 30)) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=cells), 2)
    return (noise / noise.std() * 2).astype(np.float32)


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values.astype(np.float64)))


# --- one answer ---


def test_a_rectangle_of_cells_comes_back_as_a_rectangle_of_pixels() -> None:
    answer = found("box", logits((5, 4, 15, 12)))
    mask = np.zeros(SIZE, dtype=bool)
    mask[8:24, 10:30] = True
    np.testing.assert_array_equal(answer.mask, mask)
    assert answer.box == (10, 8, 30, 24)
    assert answer.area == 320


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_mask_is_the_heatmap_above_the_threshold(threshold: float) -> None:
    values = _smooth(0)
    answer = found("x", values, placement=letterbox((77, 101), (80, 120)), threshold=threshold)
    np.testing.assert_allclose(answer.heatmap, _sigmoid(restore(values, answer.heatmap_logits.placement)), atol=1e-6)
    assert answer.heatmap.dtype == np.float32
    if threshold in (0.0, 1.0):  # every pixel, none
        assert answer.mask.all() == (threshold == 0)
        assert answer.mask.any() == (threshold == 0)
    else:
        level = np.log(threshold / (1 - threshold))
        np.testing.assert_array_equal(answer.mask, restore(values, answer.heatmap_logits.placement) > level)


def test_heatmaps_of_extreme_logits_are_finite() -> None:
    answer = found("x", np.array([[-1e30, -100.0], [100.0, 1e30]], dtype=np.float32))
    assert answer.heatmap.min() == 0.0
    assert answer.heatmap.max() == 1.0


@pytest.mark.parametrize(("presence", "present"), [(0.49, False), (0.5, True), (0.51, True), (0.0, False), (1.0, True)])
def test_what_is_not_there_has_no_mask(presence: float, present: bool) -> None:
    answer = found("elephant", logits((5, 4, 15, 12)), presence=presence)
    assert answer.present is present
    assert bool(answer.mask.any()) is present
    assert bool(answer.instances) is present
    assert (answer.box is not None) is present
    assert answer.heatmap.max() > 0.9  # the heatmap is told as it is


def test_masks_are_new_arrays_and_bits_are_kept() -> None:
    answer = found("x", logits((5, 4, 15, 12)))
    answer.mask[:] = False
    assert answer.mask.sum() == 320
    assert answer.packed is answer.packed


def test_an_answer_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        found("x", logits()).presence = 1.0  # type: ignore[misc]


# --- instances ---


def test_connected_parts_are_instances() -> None:
    answer = found("window", logits((2, 2, 6, 6), (10, 2, 20, 10)))
    assert [instance.box for instance in answer.instances] == [(20, 4, 40, 20), (4, 4, 12, 12)]
    assert [instance.area for instance in answer.instances] == [320, 64]
    np.testing.assert_array_equal(sum(instance.mask.astype(int) for instance in answer.instances), answer.mask)


def test_scores_are_mean_probabilities() -> None:
    answer = found("x", _smooth(1), placement=letterbox((90, 131), (80, 120)))
    assert len(answer.instances) > 1
    for instance in answer.instances:
        assert instance.score == pytest.approx(answer.heatmap[instance.mask].mean(), abs=1e-5)


def test_specks_stay_in_the_mask_but_are_no_instances() -> None:
    answer = found("x", logits((1, 1, 15, 15), (25, 5, 26, 6)))
    large, small = answer.mask[:, :40].sum(), answer.mask[:, 40:].sum()
    assert 0 < small < MIN_AREA_RATIO * large
    assert [instance.area for instance in answer.instances] == [large]
    assert answer.area == large + small


def test_regions_are_instances_and_their_union_is_the_mask() -> None:
    shapes = [(logits((2, 2, 12, 8)), 0.7), (logits((8, 4, 20, 10)), 0.9), (logits(), 0.8)]
    regions = [Region(MaskLogits(values, squash(SIZE, (80, 120))), score) for values, score in shapes]
    answer = found("cat", logits((0, 0, 30, 20)), regions=regions)
    assert [instance.score for instance in answer.instances] == [0.7, 0.9]  # the empty one is left out
    assert [instance.box for instance in answer.instances] == [(4, 4, 24, 16), (16, 8, 40, 20)]
    np.testing.assert_array_equal(answer.mask, answer.instances[0].mask | answer.instances[1].mask)
    assert found("cat", logits((0, 0, 30, 20)), regions=regions, presence=0.1).area == 0
    assert found("cat", logits((0, 0, 30, 20)), regions=[]).area == 0


def test_regions_have_a_placement_of_their_own() -> None:
    """A crop's canvas beside the whole image's: both masks lie where they belong."""
    whole = MaskLogits(logits((0, 0, 5, 5)), squash(SIZE, (80, 120)))
    corner = Placement(SIZE, (20, 30), (0, 0, 20, 30))
    other = MaskLogits(logits((20, 10, 30, 20)), corner)
    answer = found("cat", logits(), regions=[Region(whole, 0.9), Region(other, 0.8)])
    assert [instance.box for instance in answer.instances] == [(0, 0, 10, 10), (40, 20, 60, 40)]


def test_regions_of_bits() -> None:
    mask = np.zeros(SIZE, dtype=bool)
    mask[3:7, 5:50] = True
    region = Region(pack(mask), 0.7, mask_score=0.6, box=(4.5, 2.5, 50.5, 7.5))
    answer = Found(TextPrompt("pole"), 0.9, threshold=0.5, presence_threshold=0.5, size=SIZE, regions=(region,))
    np.testing.assert_array_equal(answer.mask, mask)
    np.testing.assert_allclose(answer.heatmap, np.where(mask, 0.7, 0.0), rtol=1e-6)
    (instance,) = answer.instances
    assert (instance.score, instance.mask_score, instance.box) == (0.7, 0.6, (5, 3, 50, 7))
    absent = dataclasses.replace(answer, presence=0.2)
    assert absent.area == 0
    assert absent.heatmap.max() == pytest.approx(0.7)  # whatever the presence


def test_neither_regions_nor_a_dense_map_is_nothing() -> None:
    answer = Found(TextPrompt("x"), 0.9, threshold=0.5, presence_threshold=0.5, size=SIZE)
    assert answer.area == 0
    assert answer.instances == ()
    assert answer.heatmap.shape == SIZE
    assert answer.heatmap.max() == 0


def _with_candidates(count: int) -> Found:
    dense = MaskLogits(logits((2, 2, 12, 8)), squash(SIZE, (80, 120)))
    regions = [Region(dense, (index + 1) / (count + 1), mask_score=0.5) for index in range(count)]
    candidates = tuple(
        Candidate(region, {"text": region.score, "negative": 0.25}, chosen=region is regions[-1]) for region in regions
    )
    return dataclasses.replace(found("cat", logits(), regions=regions[-1:]), candidates=candidates)


def test_explain_lists_the_best_candidates_first() -> None:
    lines = _with_candidates(3).explain().splitlines()
    assert lines[0] == "cat: presence 0.90 >= 0.50: present"
    assert lines[1] == "  mask: 10.0% of the image above probability 0.50, 1 regions"
    assert lines[2] == "  candidates: 1 of 3 chosen"
    assert lines[3] == (
        "    chosen   score 0.75, mask quality 0.50, text 0.75, negative 0.25; box 4 4 24 16, 240 pixels"
    )
    assert lines[4].startswith("    rejected score 0.50")
    assert len(lines) == 6


def test_explain_of_many_candidates_and_of_none() -> None:
    assert _with_candidates(25).explain().endswith("and 15 more")
    text = found("elephant", logits((5, 4, 15, 12)), presence=0.1).explain()
    assert text.splitlines()[0] == "elephant: presence 0.10 < 0.50: absent, so the mask is empty"
    assert "connected parts" in text
    assert "candidates" not in text


def test_no_candidate_of_an_absent_prompt_is_chosen() -> None:
    absent = dataclasses.replace(_with_candidates(3), presence=0.1)
    assert "  candidates: 0 of 3 chosen" in absent.explain().splitlines()
    assert not any(one.chosen for one in absent.shown())
    assert not any(one.chosen for one in absent.final_candidates)
    assert [one.chosen for one in _with_candidates(3).final_candidates] == [False, False, True]


def test_reprs_are_short() -> None:
    answer = found("eye", logits((2, 2, 6, 6), (10, 2, 20, 10)))
    result = segmentation(answer, found("hair", logits(), presence=0.1))
    assert repr(answer) == "Found('eye', presence=0.90, 2 instances, area=384)"
    assert repr(answer.instances[0]) == "Instance(box=(20, 4, 40, 20), area=320, score=0.96)"
    assert repr(result) == f"Segmentation(fake, 40 x 60, {answer!r}, Found('hair', presence=0.10, absent))"
    assert repr(segmentation(*[answer] * 9)).endswith("area=384), and 6 more)")
    assert repr(answer.heatmap_logits) == "MaskLogits(20 x 30 cells, image 40 x 60)"
    assert repr(Region(answer.packed, 0.5, 0.25)) == "Region(384 px, score=0.50, mask_score=0.25)"


# --- all answers ---


def test_answers_by_place_and_name() -> None:
    first, second, third = (found(name, logits((1, 1, 3, 3))) for name in ("eye", "hair", "eye"))
    result = segmentation(first, second, third)
    assert result["eye"] is first
    assert result[" hair "] is second
    assert result[2] is third
    assert result[-1] is third
    assert result[1:] == (second, third)
    assert result.names == ("eye", "hair", "eye")
    assert len(result) == 3
    assert list(result) == [first, second, third]
    assert "hair" in result
    assert "nose" not in result


def test_a_name_that_was_not_asked() -> None:
    with pytest.raises(PromptError, match=r"'nose'.*one of 'eye', 'hair'"):
        segmentation(found("eye", logits()), found("hair", logits()))["nose"]
    with pytest.raises(IndexError):
        segmentation(found("eye", logits()))[1]


@pytest.mark.parametrize("seed", range(4))
def test_label_map_equals_an_argmax(seed: int) -> None:
    answers = [found(str(i), _smooth(10 * seed + i), presence=0.9 if i != 2 else 0.1) for i in range(5)]
    heat = np.stack(
        [np.where(a.mask, restore(a.heatmap_logits.values, a.heatmap_logits.placement), -np.inf) for a in answers]
    )
    expected = np.where(np.isfinite(heat.max(axis=0)), heat.argmax(axis=0) + 1, 0)
    labels = segmentation(*answers).to_label_map()
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, expected)
    assert len(np.unique(labels)) > 3


def test_absent_prompts_have_no_pixels_in_a_label_map() -> None:
    """Presence decides first: the most probable pixels of an absent prompt go to the next one, or to none."""
    high, low = logits((5, 4, 15, 12), inside=6.0), logits((5, 4, 15, 12), (20, 4, 25, 12), inside=2.0)
    absent, present = found("a", high, presence=0.49), found("b", low, presence=0.5)
    labels = segmentation(absent, present).to_label_map()
    np.testing.assert_array_equal(labels, 2 * present.mask)
    both = segmentation(dataclasses.replace(absent, presence=0.5), present).to_label_map()
    assert (both[8:24, 10:30] == 1).all()
    assert segmentation(absent).to_label_map().max() == 0


def test_unsure_names_lose_pixels_of_a_label_map_to_the_background() -> None:
    """With a calibrated presence a pixel needs presence times probability above `label_threshold`; masks stay."""
    values = logits((5, 4, 15, 12), inside=0.5)  # probability 0.62 inside
    values[4:12, 5:10] = 3.0  # 0.95 in the left half
    sure = dataclasses.replace(found("a", values, presence=0.9), label_threshold=0.5)  # 0.56 is enough
    unsure = dataclasses.replace(sure, presence=0.6)  # 0.83 is needed
    absent = dataclasses.replace(sure, presence=0.5)  # 1 is needed
    np.testing.assert_array_equal(segmentation(sure).to_label_map(), sure.mask)
    columns = np.flatnonzero(segmentation(unsure).to_label_map().any(axis=0))
    assert (columns[0], columns[-1]) == (11, 19)  # interpolated between two cells, twice
    np.testing.assert_array_equal(unsure.mask, sure.mask)
    assert absent.mask.any()
    assert not segmentation(absent).to_label_map().any()
    assert unsure.claim_threshold == pytest.approx(5 / 6)


def test_label_map_of_regions() -> None:
    """The higher product of detection score and mask probability takes a pixel that two prompts claim."""
    left, right = (np.zeros(SIZE, dtype=bool) for _ in range(2))
    left[:, :40], right[:, 20:] = True, True
    answers = [
        dataclasses.replace(found(name, logits(), regions=[Region(pack(mask), score)]), heatmap_logits=None)
        for name, mask, score in (("left", left, 0.6), ("right", right, 0.8))
    ]
    labels = segmentation(*answers).to_label_map()
    assert (labels[:, :20] == 1).all()
    assert (labels[:, 20:] == 2).all()


def test_label_map_of_equals_and_of_many() -> None:
    same = [found(str(i), logits((5, 4, 15, 12))) for i in range(256)]
    labels = segmentation(*same).to_label_map()
    assert labels.dtype == np.uint16
    assert sorted(np.unique(labels)) == [0, 1]  # the first of equals wins


def test_supervision_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(MissingExtraError, match=r"pip install -e .\.\[supervision\]"):
        segmentation(found("x", logits())).to_supervision()


def test_supervision_gets_every_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    class Detections(SimpleNamespace):
        @classmethod
        def empty(cls) -> str:
            return "empty"

    monkeypatch.setitem(sys.modules, "supervision", SimpleNamespace(Detections=Detections))
    result = segmentation(found("a", logits((2, 2, 6, 6), (10, 2, 20, 10))), found("b", logits((0, 0, 3, 3))))
    detections = result.to_supervision()
    assert detections.class_id.tolist() == [0, 0, 1]
    assert detections.data["class_name"].tolist() == ["a", "a", "b"]
    np.testing.assert_array_equal(detections.xyxy, [[20, 4, 40, 20], [4, 4, 12, 12], [0, 0, 6, 6]])
    np.testing.assert_array_equal(detections.mask[2], result["b"].mask)
    np.testing.assert_allclose(detections.confidence, [i.score for f in result for i in f.instances], rtol=1e-6)
    assert segmentation(found("a", logits())).to_supervision() == "empty"


def test_supervision_itself_reads_it() -> None:
    supervision = pytest.importorskip("supervision")
    detections = segmentation(found("a", logits((2, 2, 6, 6)))).to_supervision()
    assert isinstance(detections, supervision.Detections)
    assert len(detections) == 1


@pytest.mark.parametrize("path", [None, io.BytesIO(), 5, b"overlay.png"])
def test_an_overlay_goes_to_a_path(path: Any) -> None:
    with pytest.raises(OutputError, match=f"an output path of type {type(path).__name__}, expected a string"):
        segmentation(found("x", logits())).save(path)


# --- size ---


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
def test_extreme_sizes(size: tuple[int, int]) -> None:
    answer = found("x", logits((0, 0, 30, 20)), size=size)
    result = segmentation(answer, size=size)
    assert answer.mask.shape == answer.heatmap.shape == result.to_label_map().shape == size
    assert answer.mask.all()
    assert answer.instances[0].box == (0, 0, size[1], size[0])


def test_twenty_masks_of_twelve_megapixels_stay_small() -> None:
    """All masks, instances, COCO and the label map; by themselves the boolean masks would be 240 MB."""
    size = (3000, 4000)
    answers = [
        found(str(i), logits((2 * i, 3 * i, 30 + 2 * i, 28 + 3 * i), cells=(88, 88)), size=size) for i in range(20)
    ]
    result = segmentation(*answers, size=size)
    tracemalloc.start()
    start = time.process_time()
    coco, labels = result.to_coco(), result.to_label_map()
    assert sum(answer.mask.sum() for answer in result) == sum(answer.area for answer in result)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(f"{time.process_time() - start:.2f} s, kept {kept / 2**20:.0f} MiB, peak {peak / 2**20:.0f} MiB")
    assert len(coco["annotations"]) == 20
    assert labels.max() == 20
    assert kept < 50 * 2**20
    assert peak < 200 * 2**20
