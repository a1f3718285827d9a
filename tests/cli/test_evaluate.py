"""`wordmask evaluate` from the outside."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from tests import fake_proposals
from tests.evaluation.halves import evaluated, halves, write_halves
from wordmask.cli.app import app
from wordmask.data.registry import NAMED_SETS
from wordmask.evaluation.benchmarks import BENCHMARKS, TASKS
from wordmask.evaluation.models import EvaluatedModel


@pytest.fixture(autouse=True)
def _fake_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EvaluatedModel, "load", lambda model, **options: evaluated())


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, words)])


def test_a_folder(tmp_path: Path) -> None:
    data = write_halves(tmp_path / "sets" / "halves")

    done = run("--data", data, "--out", tmp_path / "run", "--limit", "3")

    assert done.exit_code == 0
    assert "halves val, 3 samples: Masks, original" in done.stdout
    result = json.loads((tmp_path / "run" / "result.json").read_bytes())
    assert result["command"] == f"wordmask evaluate --data {data} --limit 3 --seed 0 --out {tmp_path / 'run'}"
    assert "# Masks" in (tmp_path / "run" / "result.md").read_text(encoding="utf-8")


def test_json_is_the_result_file(tmp_path: Path) -> None:
    data = write_halves(tmp_path / "halves")

    done = run("--data", data, "--out", tmp_path / "run", "--json", "--split", "train", "--threshold", "0.4")

    assert done.stdout.encode() == (tmp_path / "run" / "result.json").read_bytes()
    result = json.loads(done.stdout)
    assert (result["data"]["split"], result["samples"], result["threshold"]) == ("train", 1, 0.4)


def test_shapes_need_no_folder(tmp_path: Path) -> None:
    done = run("--dataset", "shapes", "--limit", "2", "--out", tmp_path / "run", "--quiet")

    assert (done.exit_code, done.stdout) == (0, "")
    assert json.loads((tmp_path / "run" / "result.json").read_bytes())["data"]["name"] == "shapes"


def test_mirrored_images_are_segmented_too(tmp_path: Path) -> None:
    data = write_halves(tmp_path / "halves")

    run("--data", data, "--out", tmp_path / "run", "--mirror")

    scores = json.loads((tmp_path / "run" / "result.json").read_bytes())["scores"]
    assert scores["mirror_iou"]["value"] == pytest.approx(1.0)  # brightness knows no sides
    assert scores["mirror_ratio"]["value"] == pytest.approx(1.0)


def test_absent_names_of_exhaustive_data_get_their_false_positives(tmp_path: Path) -> None:
    data = write_halves(tmp_path / "halves")

    done = run("--data", data, "--exhaustive", "--out", tmp_path / "run")

    assert "absent_with_mask  0.0 [0.0, 0.0]" in done.stdout
    result = json.loads((tmp_path / "run" / "result.json").read_bytes())
    assert (result["presence"]["absent"], result["data"]["exhaustive"]) == (6, True)  # "purple" is in no image
    assert "--exhaustive" in result["command"]


@pytest.mark.parametrize("task", ["labels", "instances", "proposals", "boxes"])
def test_every_task_reaches_the_user(task: str, tmp_path: Path) -> None:
    data = write_halves(tmp_path / "halves")

    done = run("--data", data, "--task", task, "--limit", "2", "--out", tmp_path / "run")

    assert done.exit_code == 0, done.stderr
    result = json.loads((tmp_path / "run" / "result.json").read_bytes())
    first = result["headline"][0]
    assert result["scores"][first]["value"] == pytest.approx(1.0, abs=1e-6)  # brightness is right about the first two
    assert f"  {first:<18}100.0" in done.stdout
    assert f"--task {task}" in result["command"]


@pytest.mark.parametrize("task", ["instances", "proposals"])
def test_a_method_that_proposes_regions(task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # a real model is loaded
    fake_proposals.register(monkeypatch)
    model = fake_proposals.write(tmp_path / "model")

    done = run("--dataset", "shapes", "--limit", "3", "--task", task, "--model", model, "--out", tmp_path / "run")

    assert done.exit_code == 0, done.stderr
    result = json.loads((tmp_path / "run" / "result.json").read_bytes())
    assert result["model"]["name"] == "fake-proposals"
    assert all(0 <= result["scores"][name]["value"] <= 1 for name in result["headline"])
    if task == "proposals":
        assert result["scores"]["candidates"]["value"] == fake_proposals.QUERIES
        assert result["scores"]["oracle_gap"]["value"] > 0  # random weights choose badly among what they propose


def test_a_coco_file_beside_its_images(tmp_path: Path) -> None:
    images = tmp_path / "photos"
    images.mkdir()
    Image.fromarray(halves(16)).save(images / "a.png")
    square = {"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 1024, "bbox": [48, 0, 16, 64],
              "segmentation": [[48, 0, 64, 0, 64, 64, 48, 64]]}  # fmt: skip
    content = {"images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 64}], "annotations": [square],
               "categories": [{"id": 1, "name": "bright"}]}  # fmt: skip
    (tmp_path / "labels.json").write_text(json.dumps(content), encoding="utf-8")

    done = run("--data", tmp_path / "labels.json", "--images", images, "--task", "instances", "--out", tmp_path / "run")

    assert done.exit_code == 0, done.stderr
    assert json.loads((tmp_path / "run" / "result.json").read_bytes())["scores"]["ap"]["value"] == pytest.approx(1.0)


def test_a_table_of_images_masks_and_phrases(tmp_path: Path) -> None:
    Image.fromarray(halves(16)).save(tmp_path / "a.png")
    Image.fromarray(halves(24)).save(tmp_path / "mask.png")
    (tmp_path / "pairs.csv").write_text("image,mask,phrase\na.png,mask.png,bright\n", encoding="utf-8")

    done = run("--data", tmp_path / "pairs.csv", "--out", tmp_path / "run")

    assert done.exit_code == 0, done.stderr
    scores = json.loads((tmp_path / "run" / "result.json").read_bytes())["scores"]
    assert scores["iou"]["value"] == pytest.approx(16 / 24, abs=1e-6)


def test_rows_that_cannot_be_used_are_listed(tmp_path: Path) -> None:
    Image.fromarray(halves(16)).save(tmp_path / "a.png")
    Image.fromarray(halves(24)).save(tmp_path / "mask.png")
    missing = "".join(f"gone{number}.png,mask.png,bright\n" for number in range(12))
    (tmp_path / "pairs.csv").write_text(f"image,mask,phrase\na.png,mask.png,bright\n{missing}", encoding="utf-8")

    done = run("--data", tmp_path / "pairs.csv", "--out", tmp_path / "run", "--json")

    assert json.loads(done.stdout)["samples"] == 1
    assert done.stderr.count("Left out: ") == 11
    assert "Left out: 2 more" in done.stderr


def test_parts_may_have_any_names(tmp_path: Path) -> None:
    data = write_halves(tmp_path / "halves")
    (data / "splits.json").write_text(json.dumps({"day": ["p000"], "night": ["p001", "p002"]}), encoding="utf-8")

    run("--data", data, "--split", "night", "--out", tmp_path / "run")

    result = json.loads((tmp_path / "run" / "result.json").read_bytes())
    assert (result["data"]["split"], result["samples"]) == ("night", 2)


def test_the_list_names_every_task_benchmark_preset_and_data_set() -> None:
    done = run("--list")

    assert done.exit_code == 0
    for name, benchmark in {**BENCHMARKS, **TASKS}.items():
        assert f"  {name}: " in done.stdout
        assert all(preset in done.stdout for preset in benchmark.presets)
    assert all(f"  {name}: " in done.stdout for name in NAMED_SETS)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--benchmark", "cocoa"], "Got the benchmark 'cocoa'"),
        (["--benchmark", "phrasecut"], "Got no folder for phrasecut"),
        (["--task", "dots"], "Got the task 'dots'"),
        ([], "Got no data, expected a folder, a file, or the name of a data set"),
        (["--data", "nowhere"], "Got no "),
        (["--dataset", "shapes", "--preset", "paper"], "Got the preset 'paper' of masks"),
        (["--benchmark", "pas-20", "--data", ".", "--split", "x"], "Got the split of pas-20 'x'"),
        (["--dataset", "shapes", "--limit", "0"], "Got the limit 0"),
        (["--dataset", "shapes", "--benchmark", "phrasecut", "--data", "."], "Got the data set 'shapes' for the"),
        (["--dataset", "shapes", "--task", "labels", "--mirror"], "Got mirrored images with the task labels"),
    ],
)
def test_bad_input_is_one_sentence(words: list[str], sentence: str, tmp_path: Path) -> None:
    done = run(*words, "--out", tmp_path / "run")

    assert done.exit_code == 2
    assert done.stderr.startswith(f"Error: {sentence}")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_an_output_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("x", encoding="utf-8")

    done = run("--dataset", "shapes", "--limit", "1", "--out", tmp_path / "run")

    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "which cannot be written" in done.stderr


def test_refinement_is_part_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, asked = write_halves(tmp_path / "halves"), []

    def load(model: object, *, refine: bool | None = None, **options: object) -> EvaluatedModel:
        asked.append(refine)
        return replace(evaluated(), refine=refine)

    monkeypatch.setattr(EvaluatedModel, "load", load)
    assert run("--data", data, "--out", tmp_path / "run", "--refine").exit_code == 0
    result = json.loads((tmp_path / "run" / "result.json").read_bytes())
    assert asked == [True]
    assert (result["model"]["refine"], result["model"]["name"]) == (True, "brightness+refine")
    assert "--refine" in result["command"]
    assert run("--data", data, "--out", tmp_path / "run", "--no-refine").exit_code == 2  # another run's folder
    assert run("--data", data, "--out", tmp_path / "other", "--no-refine").exit_code == 0
    assert json.loads((tmp_path / "other" / "result.json").read_bytes())["command"].endswith("--no-refine")
