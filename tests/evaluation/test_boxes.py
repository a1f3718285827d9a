"""The task "boxes": what part of a mask lies inside boxes, checked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.evaluation.halves import SIZE, evaluated, halves
from wordmask.data.sample import GroundTruthInstance, Query, Sample
from wordmask.evaluation.benchmarks import TASKS
from wordmask.evaluation.runner import Evaluation, run
from wordmask.images import RgbImage
from wordmask.ops.masks import pack
from wordmask.prompts import TextPrompt


def boxed(phrase: str, columns: tuple[int, int]) -> Query:
    mask = np.zeros(SIZE, np.bool_)
    mask[:, slice(*columns)] = True
    box = (float(columns[0]), 0.0, float(columns[1]), float(SIZE[0]))
    return Query(TextPrompt(phrase), pack(mask), phrase, (GroundTruthInstance(None, box),), boxes_only=True)


class Boxed:
    """Two images, bright from column 32 on: one box covers half of the bright part, the other all of it and more."""

    name, split, names, fingerprint, exhaustive = "boxed", "all", ("bright", "dark", "purple"), "abc", True

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Sample:
        queries = (boxed("bright", ((32, 48), (20, 64))[index]), *([boxed("purple", (0, 8))] if index else []))
        absent = ("purple",) if not index else ()
        return Sample(f"s{index}", RgbImage(halves(32)), SIZE, queries, absent)


def test_masks_are_scored_by_boxes(tmp_path: Path) -> None:
    result = run(Evaluation(TASKS["boxes"], Boxed()), evaluated(), tmp_path)

    scores = {name: score["value"] for name, score in result["scores"].items()}
    assert scores == {"inside_boxes": pytest.approx(0.75), "found": pytest.approx(2 / 3, abs=1e-6)}
    assert (result["presence"]["present"], result["presence"]["absent"]) == (3, 1)
    assert result["presence"]["absent_with_mask"]["value"] == 0  # nothing purple is found where it is absent
    assert result["by_name"]["purple"]["found"]["value"] == 0


def test_other_tasks_leave_boxes_out(tmp_path: Path) -> None:
    result = run(Evaluation(TASKS["masks"], Boxed()), evaluated(), tmp_path)
    assert (result["presence"]["absent"], "miou" in result["scores"]) == (1, False)
