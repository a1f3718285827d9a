"""The recipe `pmp` trains on any data, leaves the trunk as it is, and a killed run ends as one that was not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import wordmask
from tests.training.inputs import write_small_compact, write_table
from wordmask.batch import Place
from wordmask.data.sample import GroundTruthInstance, Query, Sample
from wordmask.errors import TrainingError
from wordmask.ops.masks import pack
from wordmask.prompts import TextPrompt
from wordmask.training.data import DataChoice, Subset
from wordmask.training.loop import StepReport
from wordmask.training.pmp.instance_crops import InstanceAugmentation, InstanceSet, instances_of
from wordmask.training.pmp.targets import UNKNOWN_INSTANCES
from wordmask.training.pmp.trainable import targets_of, without_prompts
from wordmask.training.recipe import Recipe, with_changes
from wordmask.training.recipes import find_recipe
from wordmask.training.run import train
from wordmask.training.schedule import Schedule

TINY: dict[str, Any] = {
    "queries": 4, "channels": 16, "layers": 2, "side": 64, "points": 64, "unguided": 0.5,
    "steps": 4, "batch": 2, "warm_up": 1, "save_every": 2,
}  # fmt: skip


class Killed(Exception):
    pass


def recipe(**changes: Any) -> Recipe:
    return with_changes(find_recipe("pmp"), {**TINY, **changes})


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("data"), 6, 48)


@pytest.fixture(scope="module")
def trunk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_compact(tmp_path_factory.mktemp("trunk") / "compact")


def test_training_gives_a_model_that_loads_and_goes_on(table: Path, trunk: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    train(recipe(), DataChoice(table), tmp_path / "whole", model=trunk, probe=None)

    def stop(report: StepReport) -> None:
        if report.step == 3:
            raise Killed

    with pytest.raises(Killed):
        train(recipe(), DataChoice(table), tmp_path / "cut", model=trunk, probe=None, watch=stop)
    train(recipe(), DataChoice(table), tmp_path / "cut", model=trunk, probe=None)
    weights = [(tmp_path / run / "last/model.safetensors").read_bytes() for run in ("whole", "cut")]
    assert weights[0] == weights[1]
    model = wordmask.load(tmp_path / "whole/last", dtype="float32")
    found = model.segment(next(iter((table.parent / "photos").glob("*.png"))), ["red square"], presence_threshold=0)[0]
    assert len(found.candidates) == 7 + len(found.instances)
    further = recipe(steps=1, lr=0.0, ema=0.0)
    train(further, DataChoice(table), tmp_path / "further", model=tmp_path / "whole/last", probe=None)
    one, other = (load_file(tmp_path / run / "last/model.safetensors") for run in ("whole", "further"))
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    lines = [json.loads(line) for line in (tmp_path / "whole/progress.jsonl").read_text().splitlines()]
    assert {"bce", "dice", "quality"} <= set(lines[-1])
    assert any({"centre_heat", "centre_offset", "score"} <= set(line) for line in lines)


def test_features_of_the_trunk_are_cached_and_a_full_cache_changes_nothing(
    table: Path, trunk: Path, tmp_path: Path
) -> None:
    torch.set_num_threads(1)
    cached, cache = recipe(variants=1), tmp_path / "cache"

    def run(name: str, changed: Recipe, folder: Path | None = cache) -> dict[str, torch.Tensor]:
        train(changed, DataChoice(table), tmp_path / name, model=trunk, probe=None, feature_cache=folder)
        return load_file(tmp_path / name / "last/model.safetensors")

    first = run("first", cached)
    files = sorted(path.stat().st_mtime_ns for path in cache.rglob("*.safetensors"))
    assert len(files) == 6  # one window of each image, whatever is asked of it
    again = run("again", cached)
    assert sorted(path.stat().st_mtime_ns for path in cache.rglob("*.safetensors")) == files
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    plain = run("plain", cached, None)
    assert max((plain[name].float() - value.float()).abs().max().item() for name, value in first.items()) < 0.02
    with pytest.raises(TrainingError, match=r"^Got a feature cache for images that are augmented anew"):
        run("anew", recipe())


def test_the_window_of_a_variant_does_not_follow_the_phrases_of_an_epoch(table: Path, trunk: Path) -> None:
    chosen = recipe(variants=1, crop=0.1)
    model = chosen.method.open(trunk, chosen.schedule)
    made = chosen.data.open(DataChoice(table), model, chosen.schedule, skip_bad=False, scratch=table.parent).train
    for index in range(len(made)):
        drawn = [made[Place(epoch, index)] for epoch in range(8)]
        assert len({sample.phrases for sample in drawn}) > 1
        assert len({sample.pixels.tobytes() for sample in drawn}) == 1


def test_other_models_and_sides_are_refused(trunk: Path) -> None:
    with pytest.raises(TrainingError, match="multiple of 32"):
        recipe(side=100).method.open(trunk, Schedule(steps=1, batch=1, lr=0.1))


def _query(*masks: np.ndarray, instances: bool = True, crowd: bool = False) -> Query:
    packed = [pack(mask) for mask in masks]
    known = tuple(GroundTruthInstance.of_mask(p, crowd=crowd) for p in packed) if instances else ()
    return Query(TextPrompt("cat"), pack(np.logical_or.reduce(masks)), "cat", known)


def test_instances_are_those_of_the_data_or_a_mask_of_one_part() -> None:
    left, right = np.zeros((2, 20, 20), bool)
    left[2:8, 2:8], right[10:16, 10:16] = True, True
    assert [int(m.sum()) for m in instances_of(_query(left, right)) or ()] == [36, 36]
    assert instances_of(_query(left, right, crowd=True)) is None
    assert instances_of(_query(left, right, instances=False)) is None
    assert len(instances_of(_query(left, instances=False)) or ()) == 1
    assert instances_of(None) == []


def test_batches_carry_instances_and_unknown_ones_are_marked() -> None:
    class Pairs:
        name, split, names, fingerprint, exhaustive = "pairs", "train", (), "0", False

        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> Sample:
            left, right = np.zeros((2, 64, 64), bool)
            left[4:30, 4:20], right[4:30, 40:60] = True, True
            apart, together = _query(left, right), _query(left, right, instances=False)
            image = np.zeros((64, 64, 3), np.uint8)
            return Sample("one", image, (64, 64), (apart, together), absent=("dog",))

    class Model:
        size, square, mean, std = 64, False, (0.5,) * 3, (0.2,) * 3

    settings = InstanceAugmentation(prompts=2, negatives=0.0)
    made = InstanceSet(Subset(Pairs(), (0,)), settings, Model(), Schedule(steps=1, batch=1, lr=0.1))  # type: ignore[arg-type]
    batch = made.collate([made[Place(epoch, 0)] for epoch in range(3)])
    targets = targets_of(batch)
    assert sorted(targets.counts.tolist()) == [UNKNOWN_INSTANCES] * 3 + [2] * 3
    several = targets.counts == 2
    assert (targets.instances[several].any(1) == targets.whole[several]).all()
    merged = without_prompts(targets, 3)
    assert merged.counts.tolist() == [2, 2, 2]
    assert not merged.has_whole.any()
