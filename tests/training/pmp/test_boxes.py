"""Training of PMP on boxes without masks: what they are targets of, what they are not, and whole runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.training.inputs import Samples, open_samples, write_boxes, write_small_compact, write_table
from wordmask.batch import Place
from wordmask.cli.train import summary
from wordmask.data.sample import GroundTruthInstance, Query, Sample
from wordmask.errors import DataError, WordmaskWarning
from wordmask.methods.pmp.embedded.centres import CentreMaps
from wordmask.ops.masks import pack
from wordmask.prompts import TextPrompt
from wordmask.training.data import DataChoice, Subset
from wordmask.training.loop import StepReport
from wordmask.training.opening import open_training_data
from wordmask.training.order import mixed_epochs
from wordmask.training.pmp.centre_losses import INSIDE, centre_losses, centre_targets
from wordmask.training.pmp.instance_crops import InstanceAugmentation, InstanceSet
from wordmask.training.pmp.targets import ProposalTargets
from wordmask.training.pmp.trainable import ProposalTrainable, targets_of, without_prompts
from wordmask.training.recipe import Recipe, with_changes
from wordmask.training.recipes import find_recipe
from wordmask.training.run import train
from wordmask.training.schedule import Schedule

TINY: dict[str, Any] = {
    "queries": 4, "channels": 16, "layers": 2, "side": 64, "points": 64, "unguided": 0.3, "centres": 16,
    "steps": 4, "batch": 4, "warm_up": 1, "save_every": 2, "colour": 0.0, "mirror": 0.0,
}  # fmt: skip
TOLD = "instances with boxes alone"


class Killed(Exception):
    pass


def recipe(**changes: Any) -> Recipe:
    return with_changes(find_recipe("pmp"), {**TINY, **changes})


@pytest.fixture(scope="module")
def trunk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_compact(tmp_path_factory.mktemp("trunk") / "compact")


@pytest.fixture(scope="module")
def masks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("masks"), 6)


@pytest.fixture(scope="module")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_boxes(tmp_path_factory.mktemp("data") / "boxes", 6, seed=1)


def overlapping(boxed: bool = True) -> ProposalTargets:
    """A row with two rectangles that share the columns 12 to 15 of 32."""
    instances = torch.zeros(1, 2, 32, 32, dtype=torch.bool)
    instances[0, 0, 4:12, 4:16], instances[0, 1, 4:12, 12:24] = True, True
    sure = torch.ones(1, dtype=torch.bool)
    flag, known = torch.tensor([boxed]), torch.ones(1, 32, 32, dtype=torch.bool)
    return ProposalTargets(instances.any(1), ~flag, instances, torch.tensor([2]), sure, known, flag)


def test_where_boxes_overlap_the_instance_is_not_known() -> None:
    targets = centre_targets(overlapping(), torch.ones(1, 16, 16))
    assert targets.boxes.tolist() == [[[2, 2, 8, 6], [6, 2, 12, 6]]]
    assert targets.counts.tolist() == [2]
    assert targets.owners[0, 3].tolist() == [-1, -1, 0, 0, 0, 0, -1, -1, 1, 1, 1, 1, -1, -1, -1, -1]
    assert targets.mask[0, 3].tolist() == [0, 0] + 10 * [1] + 4 * [0]
    torch.testing.assert_close(targets.weight[0, 3], torch.tensor([1.0, 1.0] + 10 * [INSIDE] + 4 * [1.0]))


def test_cells_in_a_box_that_the_dense_mask_denies_belong_to_nobody() -> None:
    dense = torch.ones(1, 16, 16)
    dense[:, :, :3], dense[:, :, 3] = -0.6, -0.4
    targets = centre_targets(overlapping(), dense)
    assert targets.owners[0, 3, :5].tolist() == [-1, -1, -1, 0, 0]
    assert targets.mask[0, 3, :5].tolist() == [0, 0, 0, 1, 1]
    masked = centre_targets(overlapping(boxed=False), dense)
    assert masked.owners[0, 3, :5].tolist() == [-1, -1, 0, 0, 0]
    assert masked.weight.min() == 1


def test_true_maps_of_boxes_have_small_losses() -> None:
    targets = centre_targets(overlapping(), torch.ones(1, 16, 16))
    y, x = torch.meshgrid(torch.arange(16) + 0.5, torch.arange(16) + 0.5, indexing="ij")
    box = targets.boxes[0][targets.owners[0].clamp(min=0)]  # (16, 16, 4)
    offsets = torch.stack([box[..., 0::2].mean(-1) - x, box[..., 1::2].mean(-1) - y])
    sizes = torch.stack([box[..., 2] - box[..., 0], box[..., 3] - box[..., 1]]).log()
    heat = torch.full((16, 16), -9.0)
    heat[4, 5], heat[4, 9] = 9, 9
    maps = CentreMaps(offsets[None, None], sizes[None, None], heat[None, None], (18 * targets.mask - 9)[None])
    assert all(float(value) < 0.01 for value in centre_losses(maps, targets).values())
    wrong = centre_losses(maps._replace(offsets=maps.offsets + 3, heat=-maps.heat), targets)
    assert wrong["offset"] > 1
    assert wrong["heat"] > 1


def batch_of(*queries: Query) -> Any:
    class Model:
        size, square, mean, std = 64, False, (0.5,) * 3, (0.2,) * 3

    data = Samples(Sample("one", np.zeros((64, 64, 3), np.uint8), (64, 64), queries))
    settings = InstanceAugmentation(prompts=len(queries), negatives=0.0)
    made = InstanceSet(Subset(data, (0,)), settings, Model(), Schedule(steps=1, batch=1, lr=0.1))  # type: ignore[arg-type]
    return made.collate([made[Place(0, 0)]])


def boxed_query(*corners: tuple[float, float, float, float]) -> Query:
    inside = np.ones((64, 64), bool)
    instances = tuple(GroundTruthInstance(None, box) for box in corners)
    return Query(TextPrompt("dog"), pack(inside), "dog", instances, boxes_only=True)


def masked_query() -> Query:
    mask = np.zeros((64, 64), bool)
    mask[40:60, 40:60] = True
    packed = pack(mask)
    return Query(TextPrompt("cat"), packed, "cat", (GroundTruthInstance.of_mask(packed),))


def test_boxes_become_rectangles_of_rows_that_are_marked() -> None:
    targets = targets_of(batch_of(masked_query(), boxed_query((2, 4, 20.5, 30), (30, 0, 64, 10))))
    boxed = targets.boxed.tolist().index(True)
    assert targets.boxed.sum() == 1
    assert targets.counts[[boxed, 1 - boxed]].tolist() == [2, 1]
    assert (targets.has_whole == ~targets.boxed).all()
    rows, columns = targets.instances[boxed, 0].nonzero().T
    assert [int(v) for v in (columns.min(), rows.min(), columns.max(), rows.max())] == [1, 2, 10, 14]
    without = without_prompts(targets, 1)
    assert without.counts.tolist() == [1]
    assert not without.complete.any()
    assert without_prompts(targets._replace(boxed=targets.boxed & False), 1).complete.all()


def test_a_boxed_row_has_no_loss_of_masks_quality_and_scores(trunk: Path) -> None:
    torch.manual_seed(0)
    model = recipe(unguided=0.0).method.open(trunk, Schedule(steps=1, batch=1, lr=0.1))
    assert isinstance(model, ProposalTrainable)
    losses = model.loss(batch_of(boxed_query((2, 4, 20, 30))), 0)
    both = {name: float(loss.detach()) for name, loss in losses.items()}
    for name in ("bce", "dice", "quality", "score"):
        assert both[name] == 0, name
    for name in ("centre_offset", "centre_size", "centre_heat", "centre_mask"):
        assert both[name] > 0, name
    sum(losses.values(), torch.zeros(())).backward()
    named = dict(model.named_parameters())
    moved = {name for name, value in named.items() if value.grad is not None and bool(value.grad.any())}
    assert any(".centres." in name for name in moved)
    assert not any("layers" in name or "quality" in name for name in moved)
    assert float(model.loss(batch_of(masked_query()), 0)["bce"].detach()) > 0


def test_boxes_alone_are_refused_and_so_are_boxes_without_a_centre_head(boxes: Path, trunk: Path) -> None:
    model = recipe().method.open(trunk, Schedule(steps=1, batch=1, lr=0.1))
    with pytest.raises(DataError, match=r"Got 12 instances with boxes alone and 0 with masks.*also=DIR"):
        open_samples(boxes, recipe(), model)
    with pytest.raises(DataError, match=r"boxes of .* without masks|no mask in annotation"):
        open_samples(boxes, recipe(), recipe(centres=0).method.open(trunk, Schedule(steps=1, batch=1, lr=0.1)))


def test_one_file_may_have_masks_and_boxes(trunk: Path, tmp_path: Path) -> None:
    file = write_boxes(tmp_path / "boxes", 14, masks=12)
    model = recipe().method.open(trunk, Schedule(steps=1, batch=1, lr=0.1))
    with pytest.warns(WordmaskWarning, match="Got 4 instances with boxes alone and 12 with masks"):
        data = open_samples(file, recipe(holdout=0.5, valid_every=2), model)
    assert data.validation is not None
    assert set(data.validation.indices) <= set(range(12))  # nothing that masks cannot be measured on
    assert {12, 13} <= set(data.sample.indices)
    assert len(data.sample.indices) == 8


def test_a_part_for_validation_is_cut_to_images_with_masks(trunk: Path, tmp_path: Path) -> None:
    file = write_boxes(tmp_path / "boxes", 6, masks=3)
    splits = {"train": ["0", "5"], "val": ["1", "2", "3", "4"]}
    (file.parent / "splits.json").write_text(json.dumps(splits))
    model = recipe().method.open(trunk, Schedule(steps=1, batch=1, lr=0.1))
    with pytest.warns(WordmaskWarning, match=TOLD):
        data = open_samples(file.parent, recipe(valid_every=2), model)
    assert data.validation is not None
    assert [data.validation.dataset[index].key for index in data.validation.indices] == ["1", "2"]
    (file.parent / "splits.json").write_text(json.dumps({**splits, "val": ["3", "4"]}))
    with pytest.warns(WordmaskWarning, match=TOLD):
        assert open_samples(file.parent, recipe(valid_every=2), model).validation is None


def test_boxes_alone_are_no_validation_data(masks: Path, boxes: Path) -> None:
    choice = DataChoice(masks, valid=boxes)
    with pytest.raises(DataError, match="expected masks to validate on"):
        open_training_data(choice, validate=True, holdout=0.5, limit=9, seed=0, skip_bad=False, boxes=True)


def test_every_batch_has_its_share_of_each_set() -> None:
    place = mixed_epochs((5, 3), (2, 1), seed=0)
    drawn = [place(number) for number in range(15)]
    for start in range(0, 15, 3):
        assert sorted(index >= 5 for _, index in drawn[start : start + 3]) == [False, False, True]
    first = [(epoch, index) for epoch, index in drawn if index < 5]
    assert sorted(first) == [(epoch, index) for epoch in range(2) for index in range(5)]
    assert sorted(index for epoch, index in drawn if index >= 5 and epoch == 0) == [5, 6, 7]
    assert drawn == [mixed_epochs((5, 3), (2, 1), seed=0)(number) for number in range(15)]


@pytest.mark.filterwarnings(f"ignore:.*{TOLD}")
def test_a_run_with_masks_and_boxes_resumes_bit_for_bit(masks: Path, boxes: Path, trunk: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    mixed = recipe(also=(str(boxes),), weights=(1.0, 1.0))
    record = train(mixed, DataChoice(masks), tmp_path / "whole", model=trunk, probe=None)

    def stop(report: StepReport) -> None:
        if report.step == 3:
            raise Killed

    with pytest.raises(Killed):
        train(mixed, DataChoice(masks), tmp_path / "cut", model=trunk, probe=None, watch=stop)
    train(mixed, DataChoice(masks), tmp_path / "cut", model=trunk, probe=None)
    for name in ("last/model.safetensors", "progress.jsonl"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes(), name
    assert record["data"]["images"] == 12
    assert record["data"]["instances"] == {"masks": 12, "boxes": 12}
    assert "Instances: 12 with masks, 12 with boxes alone" in summary(record, tmp_path)
    assert "12 with masks, 12 with boxes alone" in (tmp_path / "whole/report.md").read_text()


@pytest.mark.filterwarnings(f"ignore:.*{TOLD}")
def test_the_losses_of_centres_fall(masks: Path, boxes: Path, trunk: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    mixed = recipe(steps=20, unguided=0.0, crop=1.0, lr=3e-3, weights=(1.0, 3.0), also=(str(boxes),))
    train(mixed, DataChoice(masks), tmp_path / "run", model=trunk, probe=None)
    lines = [json.loads(line) for line in (tmp_path / "run/progress.jsonl").read_text().splitlines()]
    sums = [sum(line[f"centre_{name}"] for name in ("offset", "size", "heat", "mask")) for line in lines[1:]]
    assert np.mean(sums[-4:]) < 0.8 * np.mean(sums[:4])
