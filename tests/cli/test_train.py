"""`wordmask train` from the outside."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

import wordmask
from tests.training.inputs import write_small_compact, write_table
from wordmask.cli.train import clock, recipe_of, train
from wordmask.training.recipes import RECIPES


def run(*words: str | Path) -> Result:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(train)
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def words(tmp_path: Path) -> list[str | Path]:
    model = write_small_compact(tmp_path / "model")
    table = write_table(tmp_path / "my", 12)
    small = ["--steps", "2", "--batch", "4", "--change", "size=32", "--device", "cpu", "--no-probe"]
    return ["finetune", "--data", table, "--model", model, "--out", tmp_path / "run", *small]


def test_a_model_is_trained_and_the_summary_tells_how_to_use_it(words: list[str | Path], tmp_path: Path) -> None:
    done = run(*words)
    assert done.exit_code == 0, done.output
    assert "Trained 2 steps on 11 images" in done.stdout
    assert f"--model {tmp_path / 'run' / 'best'} -p PHRASE" in done.stdout
    assert wordmask.load(tmp_path / "run" / "best").name.startswith("small-")


def test_the_summary_tells_of_forgetting(words: list[str | Path], tmp_path: Path) -> None:
    probe = write_table(tmp_path / "probe", 5, 32)
    done = run(*[word for word in words if word != "--no-probe"], "--probe", probe)
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["forgetting"]["labelled"]["path"] == str(probe)
    assert record["forgetting"]["said"][0] in done.stdout.splitlines()
    assert f"Report: {tmp_path / 'run' / 'report.md'}" in done.stdout.splitlines()
    assert (tmp_path / "run" / "report.md").is_file()


def test_quiet_is_quiet(words: list[str | Path]) -> None:
    done = run(*words, "--quiet")
    assert (done.exit_code, done.stdout) == (0, "")


def test_options_change_the_recipe(words: list[str | Path], tmp_path: Path) -> None:
    done = run(*words, "--no-mirror", "--lr", "0.01", "--seed", "5", "--change", "crop=0.8", "--precision", "bf16")
    assert done.exit_code == 0, done.output
    recipe = json.loads((tmp_path / "run" / "run.json").read_text())["recipe"]
    assert [recipe["data"][name] for name in ("mirror", "crop")] == [0, 0.8]
    assert [recipe["schedule"][name] for name in ("lr", "seed", "precision")] == [0.01, 5, "bf16"]


def test_a_learning_rate_keeps_its_proportion_to_the_end() -> None:
    assert recipe_of("finetune", {"lr": 1e-3}, [], False).schedule.final_lr == pytest.approx(1e-4)
    assert recipe_of("finetune", {"lr": 1e-3}, ["final_lr=0"], False).schedule.final_lr == 0


def test_bad_data_stop_it_before_it_starts_and_can_be_skipped(words: list[str | Path], tmp_path: Path) -> None:
    with (tmp_path / "my" / "pairs.csv").open("a") as file:
        file.write("photos/none.png,,thing\n")
    done = run(*words)
    assert done.exit_code == 2
    assert "line 38 of" in done.stderr
    assert "none.png" in done.stderr
    assert not (tmp_path / "run" / "run.json").exists()

    done = run(*words, "--skip-bad")
    assert done.exit_code == 0, done.output
    assert "Left out because of problems (1):" in done.stdout
    assert "line 38 of" in done.stdout


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (["nothing"], "the recipe 'nothing'"),
        (["finetune"], "no --data"),
        (["finetune", "--data", "my"], "no --out"),
        (["finetune", "--data", "your", "--out", "run"], "no folder or file 'your'"),
        (["finetune", "--change", "steps"], "--change 'steps'"),
        (["finetune", "--change", "step=3"], "the value 'step' of finetune"),
        (["finetune", "--data", "my", "--out", "run", "--tracker", "none"], "the tracker 'none'"),
        (["finetune", "--data", "my", "--out", "run", "--no-probe", "--probe", "other"], "--probe and --no-probe"),
        (["finetune", "--data", "my", "--out", "run", "--feature-cache-gb", "0"], "--feature-cache-gb 0"),
    ],
)
def test_bad_words_are_one_sentence(
    changed: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my").mkdir()
    done = run(*changed)
    assert done.exit_code == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_recipes_values_are_listed() -> None:
    done = run("phrasecut-plus", "--list")
    assert done.exit_code == 0
    assert "extract_layers    3,7,9" in done.stdout
    assert "steps             20000" in done.stdout
    lines = done.stdout.splitlines()
    assert lines[lines.index("  ema               0.0") + 1].startswith("      Decay of the exponential moving average")
    values = [place for place, line in enumerate(lines) if line[:2] == "  " and line[2] != " "]
    assert len(values) > 30
    assert [lines[place] for place in values if not lines[place + 1].startswith(" " * 6)] == []


def test_the_clock() -> None:
    assert [clock(seconds) for seconds in (0, 61.4, 3600 * 30 + 59)] == ["0:00:00", "0:01:01", "30:00:59"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_value_is_listed_with_its_meaning(recipe: str) -> None:
    found = re.findall(r"^  (\w+)\b.*\n      (.*)$", run(recipe, "--list").stdout + "\n", re.MULTILINE)
    meanings = dict(found)

    assert set(meanings) == set(RECIPES[recipe]().flat())
    assert [name for name, meaning in meanings.items() if len(meaning) < 10] == []
    assert meanings["steps"] == "Updates of the weights."


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--device", "gpu"], "device 'gpu'"),
        (["--device", "meta"], "device 'meta'"),
        (["--split", "x"], "the part 'x' of "),
        (["--valid-split", "x"], "the part 'x' of "),
        (["--probe", "DATA", "--probe-split", "x"], "the part 'x' of "),
    ],
)
def test_an_option_that_cannot_be_followed_is_refused(
    words: list[str | Path], option: list[str], said: str, tmp_path: Path
) -> None:
    kept = [word for word in words if word not in ("--no-probe", "--device", "cpu")]
    done = run(*kept, *(word.replace("DATA", str(tmp_path / "my" / "pairs.csv")) for word in option))
    assert done.exit_code == 2
    assert done.stderr.startswith(f"Error: Got {said}"), done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.filterwarnings("default::wordmask.errors.WordmaskWarning")
def test_validation_on_what_is_trained_is_said(words: list[str | Path], tmp_path: Path) -> None:
    copied = write_table(tmp_path / "copy", 14)  # the first twelve images are those of the other table
    done = run(*words, "--valid", copied)
    assert done.exit_code == 0, done.output
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("Warning: Got 12 of 14 validation images that are trained on, too, ")


@pytest.mark.filterwarnings("default::wordmask.errors.WordmaskWarning")
def test_a_phrase_for_the_background_is_said(words: list[str | Path], tmp_path: Path) -> None:
    table = tmp_path / "my" / "pairs.csv"
    table.write_text(table.read_text().replace("red square", "Background"))
    done = run(*words)
    assert done.exit_code == 0, done.output
    assert done.stderr.startswith("Warning: Got the phrase 'Background', which is trained like any other, ")


@pytest.mark.skipif(sys.platform == "win32", reason="no limit for the size of files there")
@pytest.mark.parametrize("limit", [5_000, 200_000])
def test_a_disk_that_takes_no_more_is_one_sentence(words: list[str | Path], tmp_path: Path, limit: int) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        done = run(*words)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (done.exit_code, done.stdout) == (2, ""), done.output
    assert done.stderr.count("\n") == 1
    assert "File too large" in done.stderr or "torch could not write" in done.stderr
    assert str(tmp_path / "run") in done.stderr
    assert not (tmp_path / "run" / ".lock").exists()

    assert run(*words).exit_code == 0


def test_a_damaged_checkpoint_is_one_sentence(words: list[str | Path], tmp_path: Path) -> None:
    assert run(*words).exit_code == 0
    record = tmp_path / "run" / "run.json"
    record.write_text(record.read_text().replace('"state": "finished"', '"state": "training"'))
    (checkpoint,) = (tmp_path / "run" / "checkpoints").iterdir()
    for name in ("model.safetensors", "optimizer.bin"):
        whole = (checkpoint / name).read_bytes()
        (checkpoint / name).write_bytes(whole[: len(whole) // 2])
        done = run(*words)
        assert done.exit_code == 2, done.output
        assert done.stderr.startswith("Error: Got a damaged checkpoint ")
        assert done.stderr.count("\n") == 1
        (checkpoint / name).write_bytes(whole)
