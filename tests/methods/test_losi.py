"""From phrases and boxes to regions: text, thresholds, suppression, windows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from wordmask.contracts import DetectedBoxes, Detector
from wordmask.errors import DataError, WordmaskWarning
from wordmask.images import load_image
from wordmask.methods.imss.detectors import JitterDetector, OracleDetector
from wordmask.methods.imss.losi import Isolation, plan_regions, select_boxes, split_phrases
from wordmask.methods.imss.zoom import OUTSIDE, merge_windows, paste, zoom_window
from wordmask.ops import boxes as box_ops
from wordmask.ops.geometry import letterbox, restore
from wordmask.prompts import TextPrompt


def test_lists_of_phrases_are_split() -> None:
    assert split_phrases("Eyes, mouth") == ("eyes", "mouth")
    assert split_phrases("a cat . a dog.") == ("a cat", "a dog")
    assert split_phrases("left eye") == ("left eye",)
    assert split_phrases("a;b\nc, a") == ("a", "b", "c")
    assert split_phrases(",") == (",",)


def test_the_users_own_string_names_the_result() -> None:
    with pytest.warns(WordmaskWarning, match="'Eyes, mouth'.*expected one phrase.*'eyes', 'mouth'"):
        plan = plan_regions((TextPrompt("Eyes, mouth"), TextPrompt("mouth", negatives=("nose",))))
    assert plan.prompts[0].name == "Eyes, mouth"
    assert plan.phrases == ("eyes", "mouth", "nose")
    assert plan.own == ((0, 1), (1,))


def _found(rows: Sequence[tuple[Sequence[float], float, int]]) -> DetectedBoxes:
    boxes, scores, index = zip(*rows, strict=True)
    return DetectedBoxes(np.array(boxes, np.float32), np.array(scores, np.float32), np.array(index, np.int64))


def test_thresholds_overlaps_and_small_boxes() -> None:
    found = _found([
        ([0, 0, 10, 10], 0.9, 0),
        ([0, 0, 10, 9], 0.8, 0),  # IoU 0.9 with a better one
        ([0, 0, 10, 9], 0.7, 1),  # another phrase
        ([30, 30, 31, 50], 0.6, 0),  # too thin
        ([20, 20, 28, 28], 0.34, 0),  # below the threshold
        ([40, 40, 50, 50], 0.5, 0),
    ])  # fmt: skip
    chosen = select_boxes(found, (0,), Isolation(), threshold=0.35)
    assert [one.chosen for one in chosen] == [True, False, False, True, False]
    assert chosen[1].facts == pytest.approx({"detection": 0.8, "overlap with a better box": 0.9})
    assert chosen[2].facts["short side"] == 1
    assert chosen[4].facts == pytest.approx({"detection": 0.34})
    both = select_boxes(found, (0, 1), Isolation(), threshold=0.35)
    assert sum(one.chosen for one in both) == 3  # suppression is for each phrase
    top = select_boxes(found, (0,), Isolation(policy="top1"), threshold=0.35)
    assert [one.chosen for one in top] == [True, False, False, False, False]
    assert select_boxes(found, (5,), Isolation(), threshold=0.35) == []


def test_a_box_round_a_herd_is_dropped() -> None:
    herd = [([0, 0, 100, 100], 0.9, 0), ([0, 0, 20, 20], 0.8, 0), ([70, 70, 90, 90], 0.7, 0)]
    assert [one.chosen for one in select_boxes(_found(herd), (0,), Isolation(), threshold=0.3)] == [False, True, True]
    kept = select_boxes(_found(herd), (0,), Isolation(group_ratio=0), threshold=0.3)
    assert [one.chosen for one in kept] == [True, True, True]
    pair = [([0, 0, 100, 100], 0.9, 0), ([0, 0, 45, 100], 0.8, 0), ([55, 0, 100, 100], 0.7, 0)]
    assert all(one.chosen for one in select_boxes(_found(pair), (0,), Isolation(), threshold=0.3))


def test_rules_are_checked() -> None:
    with pytest.raises(DataError, match="soft, hard, crop"):
        Isolation(isolation="none")
    with pytest.raises(DataError, match="0 to 1"):
        Isolation(nms=2)


IMAGE = load_image(np.zeros((100, 200, 3), np.uint8))


def test_jitter_moves_misses_and_adds() -> None:
    boxes = [(20.0 * k, 10.0, 20.0 * k + 15, 30.0) for k in range(9)]
    oracle = OracleDetector({"Eye": boxes})
    assert isinstance(oracle, Detector)
    exact = oracle.detect(IMAGE, ["mouth", "EYE"])
    assert exact.phrase_index.tolist() == [1] * 9
    same = JitterDetector(oracle, sigma=0).detect(IMAGE, ["eye"])
    np.testing.assert_array_equal(same.boxes, exact.boxes)
    moved = JitterDetector(oracle, sigma=0.25, seed=3).detect(IMAGE, ["eye"])
    shift = (moved.boxes - exact.boxes) / np.tile(exact.boxes[:, 2:] - exact.boxes[:, :2], 2)
    assert 0.1 < shift.std() < 0.4
    assert (moved.boxes[:, 2:] >= moved.boxes[:, :2]).all()
    again = JitterDetector(oracle, sigma=0.25, seed=3).detect(IMAGE, ["eye"])
    np.testing.assert_array_equal(again.boxes, moved.boxes)
    missed = JitterDetector(oracle, sigma=0, miss_rate=1.0).detect(IMAGE, ["eye"])
    assert len(missed) == 0
    added = JitterDetector(oracle, sigma=0, false_rate=1.0).detect(IMAGE, ["eye"])
    assert len(added) == 18
    np.testing.assert_allclose(box_ops.area(added.boxes), 300, rtol=1e-4)


def test_windows_are_square_inside_and_merged() -> None:
    size = (300, 400)
    assert zoom_window((100, 100, 200, 140), size) == (70, 40, 230, 200)
    assert zoom_window((0, 0, 20, 10), size) == (0, 0, 128, 128)
    assert zoom_window((390, 290, 400, 300), size) == (272, 172, 400, 300)
    assert zoom_window((0, 0, 400, 300), size) == (0, 0, 400, 300)
    windows = [(0, 0, 100, 100), (30, 20, 130, 120), (250, 100, 350, 200)]
    merged = merge_windows(windows, size)
    assert merged == [(0, 0, 130, 130), (0, 0, 130, 130), (250, 100, 350, 200)]
    assert merge_windows([], size) == []


@pytest.mark.parametrize("window", [(0, 0, 64, 64), (36, 0, 100, 64), (20, 6, 84, 70), (0, 0, 100, 70)])
def test_a_mask_of_a_window_returns_to_its_place(window: tuple[int, int, int, int]) -> None:
    """Crop and paste of a decoder that returns its input reproduces the mask to one pixel, at borders too."""
    size, (x0, y0, x1, y1) = (70, 100), window
    mask = np.zeros(size, np.bool_)
    mask[y0 + 10 : y1 - 12, x0 + 9 : x1 - 14] = True
    if x0 == 0 and y0 == 0:
        mask[:20, :30] = True  # touches the image's own border
    placement = letterbox((y1 - y0, x1 - x0), (256, 256))
    rows = np.minimum((np.arange(256) + 0.5) * (y1 - y0) / placement.content[2], y1 - y0 - 1).astype(int)
    columns = np.minimum((np.arange(256) + 0.5) * (x1 - x0) / placement.content[3], x1 - x0 - 1).astype(int)
    logits = np.where(mask[y0:y1, x0:x1][rows][:, columns], 8, -8).astype(np.float32)
    values, whole = paste(logits, placement, window, size)
    returned = restore(values, whole)
    assert ((returned > 0) != mask).sum() == 0
    outside = np.ones(size, np.bool_)
    outside[max(0, y0 - 1) : y1 + 1, max(0, x0 - 1) : x1 + 1] = False
    assert (returned[outside] == OUTSIDE).all()
