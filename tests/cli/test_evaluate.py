"""`wordmask evaluate` from the outside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.evaluate.halves import candidate, write_halves
from wordmask.cli.app import app
from wordmask.evaluate.benchmarks import BENCHMARKS
from wordmask.evaluate.run import Candidate


@pytest.fixture(autouse=True)
def _fake_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Candidate, "find", lambda model, **options: candidate())


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, words)])


def test_a_set_by_its_name(tmp_path: Path) -> None:
    write_halves(tmp_path / "sets" / "halves")

    done = run("--data", tmp_path / "sets", "--set", "halves", "--out", tmp_path / "run", "--limit", "3")

    assert done.exit_code == 0
    assert "halves val, 3 samples, preset original" in done.stdout
    result = json.loads((tmp_path / "run" / "result.json").read_bytes())
    assert result["command"] == (
        f"wordmask evaluate --benchmark plain --data {tmp_path / 'sets'} --set halves --limit 3 --seed 0 "
        f"--out {tmp_path / 'run'}"
    )
    assert "# A set in the plain layout" in (tmp_path / "run" / "result.md").read_text(encoding="utf-8")


def test_json_is_the_result_file(tmp_path: Path) -> None:
    data = write_halves(tmp_path / "halves")

    done = run("--data", data, "--out", tmp_path / "run", "--json", "--split", "train", "--threshold", "0.4")

    assert done.stdout.encode() == (tmp_path / "run" / "result.json").read_bytes()
    result = json.loads(done.stdout)
    assert (result["data"]["split"], result["samples"], result["threshold"]) == ("train", 1, 0.4)


def test_shapes_need_no_folder(tmp_path: Path) -> None:
    done = run("--benchmark", "shapes", "--limit", "2", "--out", tmp_path / "run", "--quiet")

    assert (done.exit_code, done.stdout) == (0, "")
    assert json.loads((tmp_path / "run" / "result.json").read_bytes())["data"]["name"] == "shapes"


def test_mirrored_pictures_are_asked_too(tmp_path: Path) -> None:
    data = write_halves(tmp_path / "halves")

    run("--data", data, "--out", tmp_path / "run", "--mirror")

    scores = json.loads((tmp_path / "run" / "result.json").read_bytes())["scores"]
    assert scores["mirror_iou"]["value"] == pytest.approx(1.0)  # brightness knows no sides
    assert scores["mirror_ratio"]["value"] == pytest.approx(1.0)


def test_the_list_names_every_benchmark_and_preset() -> None:
    done = run("--list")

    assert done.exit_code == 0
    for name, benchmark in BENCHMARKS.items():
        assert f"{name}: " in done.stdout
        assert all(preset in done.stdout for preset in benchmark.presets)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--benchmark", "cocoa"], "Got the benchmark 'cocoa'"),
        (["--benchmark", "phrasecut"], "Got no folder for phrasecut"),
        (["--set", "halves"], "Got --set without --data"),
        (["--data", "nowhere"], "Got no folder or file 'nowhere"),
        (["--benchmark", "shapes", "--preset", "paper"], "Got the preset 'paper' of shapes"),
        (["--benchmark", "shapes", "--split", "val"], "Got the split 'val' of shapes"),
        (["--benchmark", "shapes", "--limit", "0"], "Got the limit 0"),
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

    done = run("--benchmark", "shapes", "--limit", "1", "--out", tmp_path / "run")

    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "which cannot be written" in done.stderr
