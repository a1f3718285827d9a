"""Answers averaged over an image and its mirror image, and how they are compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests.benchmarks.scripts import load_benchmark
from wordmask.evaluation.score.rows import Rows
from wordmask.methods.dense import DenseSegmenter

if TYPE_CHECKING:
    from numpy.typing import NDArray


@pytest.fixture
def module() -> Any:
    return load_benchmark("mirror_average")


def test_the_average_is_the_same_for_the_mirror_image(module: Any, photo: NDArray[np.uint8], network: Any) -> None:
    model = module.MirrorAverage("mirrored", network.network, network.tokenizer, network.settings)
    segmenter = DenseSegmenter(model)
    there, turned = (segmenter.segment(image, ["face"])["face"] for image in (photo, photo[:, ::-1].copy()))
    assert there.presence == pytest.approx(turned.presence, abs=1e-5)
    np.testing.assert_allclose(there.heatmap, turned.heatmap[:, ::-1], atol=1e-4)
    alone = DenseSegmenter(network).segment(photo, ["face"])["face"]
    assert np.abs(alone.heatmap - there.heatmap).max() > 1e-3


@pytest.fixture
def photo() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)


@pytest.fixture
def network() -> Any:
    import wordmask

    loaded: Any = wordmask.load(dtype="float32")
    return loaded.model


def test_scores_weigh_images_as_often_as_they_are_drawn(module: Any) -> None:
    def row(presence: float, tp: int, fp: int, fn: int, absent: bool) -> dict[str, Any]:
        counts = [tp + fn, 100, tp, fp, fn, 100 - tp - fp - fn, 0, 0, 0, 0]
        return {"label": "cat", "absent": absent, "detected": True, "presence": presence, "counts": counts}

    first = {"rows": [row(0.9, 4, 4, 0, False), row(0.1, 0, 0, 0, True)]}
    second = {"rows": [row(0.2, 0, 0, 8, False), row(0.6, 0, 5, 0, True)]}
    rows = Rows.of([first, second])
    both = module.row_scores(rows, np.array([0, 1]))
    assert both == pytest.approx({"auroc": 0.75, "absent_with_mask": 0.5, "found": 0.5, "precision": 0.5, "iou": 0.25})
    alone = module.row_scores(rows, np.array([0, 0, 0]))
    assert (alone["auroc"], alone["absent_with_mask"], alone["found"], alone["iou"]) == (1, 0, 1, 0.5)
    same = module.paired(module.row_scores, rows, rows)
    assert same["auroc"]["difference"] == [0, 0, 0]
