"""Runs of CLIPSeg's recipes, and runs that an older version began."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import wordmask
from tests.data.sets.test_phrasecut import task, write_phrasecut
from tests.training.running import TINY, lines, run, tiny
from wordmask.errors import TrainingError
from wordmask.training.data import DataChoice
from wordmask.training.recipe import with_changes
from wordmask.training.recipes import find_recipe
from wordmask.training.run import train


def test_a_run_older_than_a_value_of_its_recipe_continues(models: Path, table: Path, tmp_path: Path) -> None:
    done = run(table, models / "clipseg", tiny())
    file = tmp_path / "run" / "run.json"
    older = json.loads(file.read_text())
    del older["recipe"]["schedule"]["start_weight"], older["recipe"]["method"]["dropout"]
    file.write_text(json.dumps(older))
    assert run(table, models / "clipseg", tiny())["steps"] == done["steps"]
    with pytest.raises(TrainingError, match=r"its recipe.schedule.start_weight is '0.0', not '0.5'"):
        run(table, models / "clipseg", tiny(start_weight=0.5))


def test_a_fresh_decoder_on_towers(models: Path, table: Path, tmp_path: Path) -> None:
    changes = {"channels": 8, "feedforward": 24, "extract_layers": (3, 7, 9), "precision": "no", "valid_every": 0}
    record = run(table, models / "clipseg", with_changes(find_recipe("phrasecut"), TINY | changes))
    config = json.loads((tmp_path / "run" / "last" / "config.json").read_text())
    read = (config["reduce_dim"], config["decoder_intermediate_size"], config["extract_layers"])
    assert read == (8, 24, [3, 7, 9])
    assert wordmask.load(tmp_path / "run" / "last").name.startswith("clipseg-rd8-")
    assert record["model"]["parameters"] > 0


@pytest.mark.parametrize("name", ["phrasecut-plus", "phrasecut"])
def test_clipsegs_experiment_on_a_small_phrasecut(name: str, models: Path, tmp_path: Path) -> None:
    square, other = [[[1, 1], [20, 1], [20, 20], [1, 20]]], [[[8, 4], [30, 4], [30, 30], [8, 30]]]
    tasks = [
        task("1__1", 1, "dog", square), task("2__1", 2, "dog", other), task("2__2", 2, "tree", square),
        task("1__2", 1, "grey wall", other),
    ]  # fmt: skip
    images = [{"image_id": number, "width": 40, "height": 36, "split": "train", "url": ""} for number in (1, 2)]
    folder = write_phrasecut(tmp_path, {"train": tasks, "val": tasks[:2]}, images)
    small = {"steps": 3, "batch": 4, "size": 32, "channels": 8, "precision": "no", "workers": 0, "valid_every": 3}
    recipe = with_changes(find_recipe(name), small)

    record = train(recipe, DataChoice(folder), tmp_path / "run", model=models / "clipseg", device="cpu")

    assert (record["data"]["images"], record["validation"]["images"]) == (4, 2)
    assert wordmask.load(tmp_path / "run" / "best").name.startswith("clipseg-rd8-")
    losses = [set(line) - {"step", "lr"} for line in lines(tmp_path / "run")]
    assert losses == [{"valid_iou"}, {"bce"}, {"bce"}, {"bce", "valid_iou"}]
