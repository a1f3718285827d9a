"""The protocol of RefCOCO, RefCOCO+ and RefCOCOg end to end: the authors' files, TAS, and the scores by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import wordmask
from tests.data.sets.test_refer import write_refer
from tests.methods.tas_checkpoints import write_captioner, write_clip, write_sam
from tests.methods.test_tas_bundle import write_bundle
from wordmask.cli.app import app
from wordmask.data.registry import open_data
from wordmask.methods.tas.scores import WEIGHTS
from wordmask.metrics.bootstrap import interval, ratio_of_sums
from wordmask.ops.masks import intersection


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("parts")
    parts = {
        "sam": write_sam(root / "sam"),
        "clip": write_clip(root / "clip"),
        "blip": write_captioner(root / "blip", "blip"),
    }
    weights = WEIGHTS["paper-refcocog"]
    settings = {"min_area": 4, "max_overlap": 1.0, "caption_weight": weights.caption}
    return write_bundle(root / "tas", parts, settings=settings | {"negative_weight": weights.negative})


@pytest.mark.filterwarnings("ignore:.*tokens, expected at most:wordmask.errors.WordmaskWarning")  # letters as tokens
@pytest.mark.parametrize(("name", "split"), [("refcoco", "val"), ("refcocog", "umd-val")])
def test_the_protocol_runs_on_the_authors_files(tmp_path: Path, model: Path, name: str, split: str) -> None:
    folder, out = write_refer(tmp_path / "data"), tmp_path / "out"
    command = ["evaluate", "--benchmark", name, "--split", split, "--data", str(folder), "--model", str(model)]
    done = CliRunner().invoke(app, [*command, "--out", str(out), "--dtype", "float32", "--device", "cpu", "--quiet"])
    assert done.exit_code == 0, done.output
    scores = json.loads((out / "result.json").read_text())["scores"]

    segmenter = wordmask.load(model, device="cpu", dtype="float32")
    joint, union = [], []
    data = open_data(folder, dataset=name, split=split)
    for index in range(len(data)):
        sample = data[index]
        founds = segmenter.segment(sample.image, [query.prompt for query in sample.queries])
        for query, found in zip(sample.queries, founds, strict=True):
            assert len(found.regions or ()) == 1  # one mask for every sentence, without a threshold on scores
            joint.append(intersection(found.packed, query.packed))
            union.append(found.packed.area + query.packed.area - joint[-1])
    ious = np.array(joint) / np.array(union)
    assert scores["oiou"]["value"] == pytest.approx(sum(joint) / sum(union), abs=1e-5)
    assert scores["miou"]["value"] == pytest.approx(ious.mean(), abs=1e-5)
    assert scores["pr@0.5"]["value"] == pytest.approx((ious > 0.5).mean(), abs=1e-5)


def test_overall_and_mean_iou_differ_as_in_the_specification() -> None:
    joint, union = np.array([1.0, 90.0]), np.array([2.0, 100.0])
    overall = interval(np.stack([joint, union], axis=1), ratio_of_sums((0,), (1,)))
    assert overall.value == pytest.approx(91 / 102)
    assert (joint / union).mean() == pytest.approx(0.70)
    assert ((joint / union) > 0.5).tolist() == [False, True]  # exactly a half does not count


def test_weights_of_the_negatives_by_source() -> None:
    assert {name: one.negative for name, one in WEIGHTS.items()} == {
        "code": 0.7, "paper": 0.7, "paper-refcocog": 0.2, "visual": 0.0,
    }  # fmt: skip
    assert {one.caption for name, one in WEIGHTS.items() if name != "visual"} == {0.1}
