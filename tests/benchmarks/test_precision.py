"""The benchmark of precisions compares what it says it compares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.benchmarks.scripts import load_benchmark
from tests.evaluation.halves import Shrunk, write_halves
from tests.fakes import BrightnessSegmenter
from wordmask.data.registry import open_data


@pytest.fixture
def module() -> Any:
    return load_benchmark("precision")


def test_masks_are_compared_with_each_other_and_with_the_ground_truth(module: Any, tmp_path: Path) -> None:
    data = open_data(write_halves(tmp_path / "halves"))
    found = module.compare(BrightnessSegmenter(), Shrunk(), data, 2)  # one sees all of it, one the lower half
    assert (found["masks"], found["mask_iou"], found["median"]) == (4, 0.5, 0.5)
    assert found["fraction_below"] == {"0.9": 1, "0.95": 1, "0.99": 1}
    assert found["score"] == {"exact": 1, "rough": 0.5}
    assert found["logit_error"] > 0.5


def test_pixels_of_which_nothing_is_known_do_not_count(module: Any, tmp_path: Path) -> None:
    folder = write_halves(tmp_path / "halves")
    for path in (folder / "labels").iterdir():  # unknown where the second one is blind
        labels = np.array(Image.open(path))
        labels[:32] = 255
        Image.fromarray(labels).save(path)
    found = module.compare(BrightnessSegmenter(), Shrunk(), open_data(folder), 2)
    assert (found["mask_iou"], found["score"]) == (0.5, {"exact": 1, "rough": 1})


def test_the_same_precision_changes_nothing(module: Any, tmp_path: Path) -> None:
    data = open_data(write_halves(tmp_path / "halves"))
    found = module.compare(BrightnessSegmenter(), BrightnessSegmenter(), data, None)
    assert (found["masks"], found["mask_iou"], found["logit_error"]) == (12, 1, 0)
    assert found["score"]["exact"] == found["score"]["rough"] < 1
