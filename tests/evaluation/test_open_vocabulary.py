"""The five benchmarks of open-vocabulary segmentation, end to end, with a two-stage model asked jointly."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat
from typer.testing import CliRunner

from tests.data.contract import write_image, write_labels
from tests.data.sets import test_ade20k, test_pascal_context
from tests.data.sets.voc_folder import write_voc
from tests.methods.pmp.folders import write_bundle
from wordmask.cli.app import app
from wordmask.data.registry import open_data
from wordmask.methods.pmp.two_stage import TwoStageSegmenter
from wordmask.metrics.confusion import class_counts, confusion_matrix, label_map_scores

SIZE = (40, 56)


def halves(left: int, right: int) -> list[list[int]]:
    """A label map of two values."""
    values = np.full(SIZE, left)
    values[:, 30:] = right
    return values.tolist()


def ade20k_150(root: Path) -> Path:
    test_ade20k.write_benchmark(root)
    write_image(root / "images" / "validation" / f"{test_ade20k.NAME}.jpg", SIZE)
    write_labels(root / "annotations" / "validation" / f"{test_ade20k.NAME}.png", halves(1, 150))
    return root


def ade20k_847(root: Path) -> Path:
    test_ade20k.write_full(root)
    write_image(root / "images_detectron2" / "validation" / f"{test_ade20k.NAME}.jpg", SIZE)
    path = root / "annotations_detectron2" / "validation" / f"{test_ade20k.NAME}.tif"
    write_labels(path, halves(3, 846), bits=16)
    return root


def pascal_context(root: Path) -> Path:
    test_pascal_context.write_set(root)
    for key in ("2008_000002", "2008_000003"):
        write_image(root / "JPEGImages" / f"{key}.jpg", SIZE)
        savemat(root / "trainval" / f"{key}.mat", {"LabelMap": np.array(halves(2, 458), dtype=np.uint16)})
    return root


def pas_20(root: Path) -> Path:
    write_voc(root, {"2007_000033": np.array(halves(0, 9)), "2007_000042": np.array(halves(15, 255))})
    return root


BENCHMARKS: dict[str, tuple[Callable[[Path], Path], int]] = {
    "ade20k-847": (ade20k_847, 847),
    "pascal-context-459": (pascal_context, 459),
    "ade20k-150": (ade20k_150, 150),
    "pascal-context-59": (pascal_context, 59),
    "pas-20": (pas_20, 20),
}


SLOW, LARGE = pytest.mark.slow, ("ade20k-847", "pascal-context-459", "pascal-context-59")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "bundle"
    return write_bundle(folder, scorer="dense", dense_size=64, templates=["a {}"], distract_below=20)


@pytest.mark.parametrize("name", [pytest.param(name, marks=SLOW if name in LARGE else ()) for name in BENCHMARKS])
def test_a_benchmark_runs_with_all_its_names_in_one_call(
    name: str, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, number = BENCHMARKS[name]
    calls: list[list[Any]] = []
    maps: list[np.ndarray] = []
    segment = TwoStageSegmenter.segment

    def watched(self: TwoStageSegmenter, image: Any, prompts: Any, **options: Any) -> Any:
        result = segment(self, image, prompts, **options)
        calls.append([prompt.text for prompt in prompts])
        maps.append(np.stack([found.heatmap for found in result]).argmax(axis=0))
        return result

    monkeypatch.setattr(TwoStageSegmenter, "segment", watched)
    folder = write(tmp_path / "data")
    done = CliRunner().invoke(
        app,
        ["evaluate", "--benchmark", name, "--data", str(folder), "--model", str(bundle), "--out",
         str(tmp_path / "run"), "--device", "cpu", "--quiet"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    result = json.loads((tmp_path / "run" / "result.json").read_bytes())
    data = open_data(folder, dataset=name, split=result["data"]["split"])
    assert len(calls) == len(data) == result["samples"]
    assert all(len(set(names)) == number for names in calls)
    expected = sum(confusion_matrix(labels.astype(np.int32), _truth(data[i]), number) for i, labels in enumerate(maps))
    scores = label_map_scores(class_counts(np.asarray(expected)).astype(np.float64))
    for score in ("miou", "miou_gt", "pixel_accuracy"):
        assert result["scores"][score]["value"] == pytest.approx(float(scores[score]), abs=1e-6)


def _truth(sample: Any) -> np.ndarray:
    return sample.labels if sample.ignored is None else np.where(sample.ignored.full(), -1, sample.labels)


def test_a_class_that_is_only_predicted_counts_for_one_mean_and_not_the_other() -> None:
    truth, predicted = np.array([[0, 0, 1, 1]], np.int32), np.array([[0, 2, 1, 1]], np.int32)
    scores = label_map_scores(class_counts(confusion_matrix(predicted, truth, 3)).astype(np.float64))
    assert float(scores["miou"]) == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert float(scores["miou_gt"]) == pytest.approx((1 / 2 + 1) / 2)
