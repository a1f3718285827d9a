"""Runs that are killed continue as if nothing had happened; two processes do what one does."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.training.inputs import trained_weights, write_small_clipseg, write_small_compact, write_table
from tests.training.interrupted import STEPS, train_small
from wordmask.training import checkpoints

RESULTS = ("last/model.safetensors", "best/model.safetensors", "progress.jsonl")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    write_table(folder / "my", 12, 32)
    write_small_clipseg(folder / "model")
    return folder


@pytest.fixture(scope="module")
def whole(folder: Path) -> Path:
    """A run without interruption."""
    train_small(folder, folder / "whole")
    return folder / "whole"


def start(folder: Path, out: Path, *words: object) -> int:
    command = [sys.executable, "-m", "tests.training.interrupted", str(folder), str(out), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


def assert_same_results(one: Path, other: Path) -> None:
    for name in RESULTS:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_a_run_killed_twice_ends_as_one_that_was_not(folder: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    for step in (1, 8):  # before the first checkpoint, and after the second
        assert start(folder, out, step, 0.001) == -signal.SIGKILL
        assert not (out / "last").exists()
    train_small(folder, out)
    assert_same_results(out, whole)


@pytest.mark.slow
def test_a_run_killed_at_ten_random_times_ends_as_one_that_was_not(folder: Path, whole: Path, tmp_path: Path) -> None:
    """Ten runs; each is killed at a random time, some again while they resume, and then continues to the end."""
    times = random.Random(7)
    for number in range(10):
        out = tmp_path / f"run-{number}"
        step, delay = times.randrange(STEPS - 1), times.uniform(0, 0.06)  # in a step, a validation or a checkpoint
        assert start(folder, out, step, delay) == -signal.SIGKILL, (step, delay)
        train_small(folder, out)
        assert_same_results(out, whole)


def test_what_a_kill_leaves_half_written_is_no_checkpoint(tmp_path: Path) -> None:
    for name in ("step-00000003", ".part", "step-4", "step-00000009.txt"):
        (tmp_path / name).mkdir()
    assert checkpoints.latest(tmp_path) == tmp_path / "step-00000003"
    assert checkpoints.latest(tmp_path / "none") is None


def test_a_models_folder_is_replaced_with_the_weights_last(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        for name in ("model.safetensors", "config.json"):
            (folder / name).write_text(version)

    for version in ("old", "new"):
        checkpoints.replace_folder(tmp_path / "best", fill)
        assert {path.name: path.read_text() for path in (tmp_path / "best").iterdir()} == {
            "model.safetensors": version,
            "config.json": version,
        }
    assert [path.name for path in tmp_path.iterdir()] == ["best"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["clipseg", "compact"])
def test_two_processes_do_what_one_does(kind: str, tmp_path: Path) -> None:
    write_table(tmp_path / "my", 12, 32)
    write_small_clipseg(tmp_path / "model") if kind == "clipseg" else write_small_compact(tmp_path / "model")
    train_small(tmp_path, tmp_path / "one", steps=20, dropout=0.0, accumulate=1)

    assert start(tmp_path, tmp_path / "two", "two") == 0

    one, two = trained_weights(tmp_path / "one"), trained_weights(tmp_path / "two")
    assert len(one) > 20
    assert one.keys() == two.keys()
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, rtol=0, atol=1e-5)
    files = [path.name for path in (tmp_path / "two" / "checkpoints" / "step-00000020").iterdir()]
    assert {"random_states_0.pkl", "random_states_1.pkl"} <= set(files)  # there were two
