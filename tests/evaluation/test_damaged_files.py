"""Files that are damaged: the samples are recorded as failed, the others count, and a later run tries them again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.evaluation.halves import Shrunk, Stumbling, evaluated, lines, write_halves
from wordmask.cli.app import app
from wordmask.data.registry import open_data
from wordmask.errors import DataError
from wordmask.evaluation.benchmarks import TASKS
from wordmask.evaluation.compare import compare
from wordmask.evaluation.runner import Evaluation, run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_halves(tmp_path / "halves")


def evaluation(data: Path) -> Evaluation:
    return Evaluation(TASKS["masks"], open_data(data))


def damage(path: Path) -> bytes:
    content = path.read_bytes()
    path.write_bytes(content[:60])
    return content


def test_a_damaged_image_is_left_out_until_it_is_corrected(data: Path, tmp_path: Path) -> None:
    whole = run(evaluation(data), evaluated(), tmp_path / "whole")
    opened = evaluation(data)
    content = damage(data / "images" / "p002.png")
    result = run(opened, evaluated(), tmp_path / "run")
    assert (result["samples"], [one["key"] for one in result["failed"]]) == (5, ["p002"])
    assert "p002.png" in result["failed"][0]["error"]
    assert result["by_name"]["bright"]["iou"]["value"] == pytest.approx((4 + 40 / 48) / 5, abs=1e-6)
    assert "## Left out" in (tmp_path / "run" / "result.md").read_text()

    (data / "images" / "p002.png").write_bytes(content)
    assert run(evaluation(data), evaluated(), tmp_path / "run") == whole
    assert (tmp_path / "run" / "samples.jsonl").read_bytes() == (tmp_path / "whole" / "samples.jsonl").read_bytes()


def test_an_interruption_behind_a_damaged_image_goes_on_there(data: Path, tmp_path: Path) -> None:
    opened = evaluation(data)
    damage(data / "images" / "p001.png")
    with pytest.raises(KeyboardInterrupt):
        run(opened, evaluated(Stumbling(2)), tmp_path / "run")
    assert len(list(lines(tmp_path / "run" / "samples.jsonl"))) == 3
    result = run(opened, evaluated(Stumbling(3)), tmp_path / "run")
    assert (result["samples"], len(result["failed"])) == (5, 1)


def test_nothing_that_can_be_read_is_one_error(data: Path, tmp_path: Path) -> None:
    opened = evaluation(data)
    for path in (data / "images").iterdir():
        damage(path)
    with pytest.raises(DataError, match=r"no sample that can be read.*p000\.png"):
        run(opened, evaluated(), tmp_path / "run")


def test_a_comparison_leaves_it_out_of_all_models(data: Path, tmp_path: Path) -> None:
    opened = evaluation(data)
    damage(data / "images" / "p000.png")
    content = compare(opened, [evaluated(), evaluated(Shrunk())], tmp_path / "out")
    assert (content["samples"], [one["key"] for one in content["failed"]]) == (5, ["p000"])
    assert all(one["key"] != "p000" for one in content["disagreements"])


def test_the_command_says_so_and_ends_with_1(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wordmask.evaluation.models.EvaluatedModel.load", lambda *_, **__: evaluated())
    opened = open_data(data)
    monkeypatch.setattr("wordmask.evaluation.api.open_data", lambda *_, **__: opened)
    damage(data / "images" / "p004.png")
    done = CliRunner().invoke(app, ["evaluate", "--data", str(data), "--out", str(tmp_path / "run")])
    assert done.exit_code == 1
    assert "Left out 1 sample, which is in no score" in done.output
    assert "p004" in done.output
    assert json.loads((tmp_path / "run" / "result.json").read_text())["samples"] == 5
