"""The tasks "instances" and "proposals", with a method that proposes regions and scores worked out by hand."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from tests.evaluation.halves import Halves, evaluated
from tests.fakes import BrightnessSegmenter
from wordmask.data.sample import GroundTruthInstance, Query, Sample
from wordmask.errors import MissingExtraError
from wordmask.evaluation.benchmarks import TASKS
from wordmask.evaluation.runner import Evaluation, run
from wordmask.evaluation.score.ground_truth import ground_truth_instances
from wordmask.images import RgbImage
from wordmask.ops.masks import empty, pack
from wordmask.prompts import TextPrompt
from wordmask.results import Candidate, Found, Region

SIZE = (64, 64)


def block(x0: int, x1: int, y0: int = 0, y1: int = 64) -> np.ndarray[Any, Any]:
    mask = np.zeros(SIZE, np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def instance(mask: np.ndarray[Any, Any], *, crowd: bool = False) -> GroundTruthInstance:
    return GroundTruthInstance.of_mask(pack(mask), crowd=crowd)


class Blocks(Halves):
    """Two touching cats, one dog; no cow. The vocabulary is exhaustive."""

    names = ("cat", "cow", "dog")
    crowd = False

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        cats = (instance(block(0, 20)), instance(block(20, 40), crowd=self.crowd))
        queries = (
            Query(TextPrompt("cat"), pack(block(0, 40)), "cat", cats),
            Query(TextPrompt("dog"), pack(block(50, 60, 0, 10) | block(50, 60, 30, 40)), "dog"),
        )
        return Sample(f"b{index}", RgbImage(np.zeros((*SIZE, 3), np.uint8)), SIZE, queries, absent=("cow",))


class Proposing(BrightnessSegmenter):
    """Proposes for a cat its left half exactly and its right half badly, for a cow something, for a dog nothing."""

    name = "proposing"
    proposals: ClassVar[dict[str, list[tuple[np.ndarray[Any, Any], float, bool]]]] = {
        "cat": [(block(0, 20), 0.9, True), (block(20, 32), 0.8, True), (block(20, 38), 0.3, False)],
        "cow": [(block(40, 64), 0.95, True)],
        "dog": [(block(50, 60, 0, 10), 0.4, False)],
    }

    def _find(self, encoded: Any, prompt: Any, threshold: float, presence_threshold: float | None = None) -> Found:
        regions = [(Region(pack(mask), score), chosen) for mask, score, chosen in self.proposals[prompt.name]]
        return Found(
            prompt,
            0.9,
            threshold=threshold,
            presence_threshold=0.5,
            size=SIZE,
            regions=tuple(region for region, chosen in regions if chosen),
            candidates=tuple(Candidate(region, {"text": region.score}, chosen) for region, chosen in regions),
        )


def test_average_precision_by_hand(tmp_path: Path) -> None:
    result = run(Evaluation(TASKS["instances"], Blocks(3)), evaluated(Proposing()), tmp_path)

    scores = {name: score["value"] for name, score in result["scores"].items()}
    # Cat: IoU 1 (0.9) and 0.6 (0.8). Both count up to IoU 0.6, one above: 51 of 101 recalls. Dog: none of two parts.
    cat = (3 * 1 + 7 * 51 / 101) / 10
    assert scores["ap"] == pytest.approx(cat / 2, abs=1e-6)
    assert (scores["ap50"], scores["ap75"]) == pytest.approx((0.5, 51 / 101 / 2), abs=1e-6)
    assert scores["ar100"] == pytest.approx((3 * 1 + 7 * 0.5) / 10 / 2, abs=1e-6)
    assert scores["boundary_ap"] < scores["ap"]
    assert {name: one["ap"]["value"] for name, one in result["by_name"].items()} == {
        "cat": pytest.approx(cat, abs=1e-6), "cow": None, "dog": 0.0,
    }  # fmt: skip
    assert set(result["by_size"]) == {"medium", "large"}  # the dog's parts have 2.4 % of the pixels
    assert result["headline"] == ["ap", "ap50", "ap75", "boundary_ap"]


def test_masks_of_an_absent_name_are_false_positives(tmp_path: Path) -> None:
    """A cow is in the second of two images; its best-scored mask is in the first."""

    class OneCow(Blocks):
        def __getitem__(self, index: int) -> Sample:
            sample = super().__getitem__(index)
            cow = Query(TextPrompt("cow"), pack(block(40, 64)), "cow", (instance(block(40, 64)),))
            return sample if index == 0 else replace(sample, queries=(*sample.queries, cow), absent=())

    result = run(Evaluation(TASKS["instances"], OneCow(2)), evaluated(Proposing()), tmp_path)

    # Two masks of one score: COCO takes images in order, so the false one comes first and precision is a half.
    assert result["by_name"]["cow"]["ap"]["value"] == pytest.approx(0.5, abs=1e-6)


def test_a_crowd_counts_neither_way(tmp_path: Path) -> None:
    class Crowded(Blocks):
        crowd = True

    result = run(Evaluation(TASKS["instances"], Crowded(1)), evaluated(Proposing()), tmp_path)

    assert result["by_name"]["cat"]["ap"]["value"] == pytest.approx(1.0)  # the mask inside the crowd is no error


def test_without_a_vocabulary_every_query_is_by_itself(tmp_path: Path) -> None:
    class Phrases(Blocks):
        names = ()

    result = run(Evaluation(TASKS["instances"], Phrases(1)), evaluated(Proposing()), tmp_path)

    assert result["by_name"] == {}
    assert 0 < result["scores"]["ap"]["value"] < 1


def test_recall_of_candidates_and_the_oracle_gap_by_hand(tmp_path: Path) -> None:
    result = run(Evaluation(TASKS["proposals"], Blocks(3)), evaluated(Proposing()), tmp_path)

    scores = {name: score["value"] for name, score in result["scores"].items()}
    # Targets of an image: a cat with candidates of IoU 1; one of 0.6 and 0.9; the dog's whole mask of two parts, 0.5.
    assert scores["mean_best_iou"] == pytest.approx((1 + 0.9 + 0.5) / 3, abs=1e-6)
    assert scores["returned_iou"] == pytest.approx((1 + 0.6 + 0) / 3, abs=1e-6)
    assert scores["oracle_gap"] == pytest.approx((0.3 + 0.5) / 3, abs=1e-6)
    assert (scores["r50"], scores["r75"]) == pytest.approx((1, 2 / 3), abs=1e-6)
    assert scores["ar"] == pytest.approx((10 + 9 + 1) / 30, abs=1e-6)
    assert scores["mean_best_iou@1"] == pytest.approx((1 + 0 + 0.5) / 3, abs=1e-6)
    assert scores["candidates"] == pytest.approx((3 + 3 + 1) / 3, abs=1e-6)
    assert {size: part["targets"] for size, part in result["by_size"].items()} == {"large": 9}
    assert "| candidates | 2.33333 |" in (tmp_path / "result.md").read_text(encoding="utf-8")


def test_a_dense_method_is_measured_by_the_parts_of_its_masks(tmp_path: Path) -> None:
    result = run(Evaluation(TASKS["proposals"], Halves(3)), evaluated(), tmp_path)

    assert result["scores"]["ar"]["value"] == 1.0
    assert result["scores"]["oracle_gap"]["value"] == 0.0


def test_true_instances_are_those_of_the_data_or_connected_parts() -> None:
    parts = block(0, 5) | block(10, 15)
    boxed = GroundTruthInstance(None, (2.0, 0.0, 6.0, 64.0))
    query = Query(TextPrompt("x"), pack(parts), "x")
    ignored = block(10, 15)

    assert [int(mask.sum()) for mask, _ in ground_truth_instances(query, None)] == [5 * 64, 5 * 64]
    assert len(ground_truth_instances(query, ignored)) == 1
    assert ground_truth_instances(Query(TextPrompt("x"), empty(SIZE), "x"), None) == []
    ((mask, crowd),) = ground_truth_instances(replace(query, instances=(boxed,)), None)
    assert crowd
    np.testing.assert_array_equal(mask, block(2, 6))


def test_without_pycocotools_it_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(MissingExtraError, match=r"pip install -e '\.\[evaluate\]'"):
        run(Evaluation(TASKS["instances"], Blocks(1)), evaluated(Proposing()), tmp_path)
