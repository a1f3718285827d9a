"""The compact network trains from random weights on the training loop, and a killed run ends as one that was not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import wordmask
from tests.training.inputs import write_boxes, write_table
from wordmask.errors import DataError
from wordmask.training.compact.labelled_images import load_labelled_images
from wordmask.training.data import DataChoice
from wordmask.training.loop import StepReport
from wordmask.training.recipe import Recipe, with_changes
from wordmask.training.recipes import find_recipe
from wordmask.training.run import train
from wordmask.training.several import images_in_batch

SMALL: dict[str, Any] = {
    "widths": (16, 16, 32, 32), "depths": (1, 1, 1, 1), "attention": 1, "channels": 16, "pixel": 16,
    "steps": 6, "batch": 4, "warm_up": 2, "decay_from": 3, "sizes": ((0, 32), (3, 64)),
    "save_every": 2, "valid_every": 3,
    "prompts": 3, "positives": 2, "side": 48,
}  # fmt: skip


class Killed(Exception):
    pass


def recipe(**changes: Any) -> Recipe:
    return with_changes(find_recipe("compact"), {**SMALL, **changes})


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("data"), 12, 48)


def test_training_from_nothing_gives_a_model_that_loads(table: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    train(recipe(), DataChoice(table), tmp_path / "run", probe=None)
    model = wordmask.load(tmp_path / "run" / "last")
    result = model.segment(next(iter((table.parent / "photos").glob("*.png"))), ["red", "blue"])
    assert [found.name for found in result] == ["red", "blue"]
    lines = [json.loads(line) for line in (tmp_path / "run/progress.jsonl").read_text().splitlines()]
    assert {"mask", "class", "presence", "example", "box", "affinity"} <= set(lines[-1])
    config = json.loads((tmp_path / "run/last/config.json").read_text())
    assert config["network"]["scene_product"] is True


def test_a_killed_run_ends_with_the_weights_of_one_that_was_not(table: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    train(recipe(), DataChoice(table), tmp_path / "whole", probe=None)

    def stop(report: StepReport) -> None:
        if report.step == 3:
            raise Killed

    with pytest.raises(Killed):
        train(recipe(), DataChoice(table), tmp_path / "cut", probe=None, watch=stop)
    train(recipe(), DataChoice(table), tmp_path / "cut", probe=None)
    for name in ("last/model.safetensors", "progress.jsonl"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_training_goes_on_from_weights(table: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    train(recipe(), DataChoice(table), tmp_path / "first", probe=None)
    small = recipe(steps=1, lr=0.0, muon_lr=0.0, ema=0.0)
    train(small, DataChoice(table), tmp_path / "second", model=tmp_path / "first/last", probe=None)
    before, after = (json.loads((tmp_path / n / "last/config.json").read_text()) for n in ("first", "second"))
    assert before["network"] == after["network"]


def test_data_with_fewer_names_than_prompts(table: Path, tmp_path: Path) -> None:
    record = train(
        recipe(prompts=6, positives=4, steps=1, valid_every=0), DataChoice(table), tmp_path / "run", probe=None
    )
    assert record["steps"] == 1


def test_a_vocabulary_is_trained_without_the_phrases_beyond_it(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    record = train(
        recipe(steps=2, valid_every=0), DataChoice(None, dataset="shapes", split="val"), tmp_path, probe=None
    )
    assert record["state"] == "finished"
    facts = load_labelled_images([tmp_path / "labelled-images"])
    assert set(facts.spaces[0].labels) == {"circle", "square", "triangle", "star", "ring", "cross"}


def test_sets_are_mixed_in_the_proportions_asked_for(table: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    other = write_table(tmp_path / "other", 5, 48)
    record = train(
        recipe(steps=2, also=(str(other),), weights=(3.0, 1.0)), DataChoice(table), tmp_path / "run", probe=None
    )
    images = load_labelled_images([tmp_path / "run/labelled-images"])
    assert [int((images.space == place).sum()) for place in (0, 1)] == [11, 5]  # one image in ten is held out
    assert record["data"]["images"] == 16


def test_boxes_without_masks_are_trained_on(table: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    other = write_boxes(tmp_path / "boxes", 5, 48)
    record = train(recipe(steps=2, also=(str(other),), valid_every=0), DataChoice(table), tmp_path / "run", probe=None)
    images = load_labelled_images([tmp_path / "run/labelled-images"])
    assert record["data"]["images"] == 17
    assert [bool((images.boxes[images.space == place] != 0).any()) for place in (0, 1)] == [False, True]


@pytest.mark.parametrize(
    ("batch", "weights", "counts"),
    [(8, (3, 1), [6, 2]), (4, (100, 1), [3, 1]), (5, (1, 1, 1), [2, 2, 1]), (3, (1, 1, 1), [1, 1, 1])],
)
def test_images_of_each_set_in_a_batch(batch: int, weights: tuple[float, ...], counts: list[int]) -> None:
    assert images_in_batch(batch, weights, len(weights)) == counts


@pytest.mark.parametrize(("batch", "weights"), [(8, (1.0,)), (8, (1.0, 0.0)), (1, (1.0, 1.0))])
def test_weights_that_do_not_fit_the_sets(batch: int, weights: tuple[float, ...]) -> None:
    with pytest.raises(DataError, match="data sets"):
        images_in_batch(batch, weights, 2)
