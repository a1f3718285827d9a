"""Models that hold a share of the weights that their training started from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.train.pictures import trained_weights, write_small_clipseg, write_table
from wordmask.train.data import DataChoice
from wordmask.train.recipes import Recipe, finetune, with_changes
from wordmask.train.run import train
from wordmask.train.students import Student, open_student
from wordmask.train.students.clipseg import ClipSegStudent

TINY = {"steps": 3, "batch": 4, "warm_up": 0, "size": 32, "valid_every": 2, "save_every": 2}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_small_clipseg(tmp_path / "clipseg")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_table(tmp_path / "my", 12)


def tiny(**changes: Any) -> Recipe:
    return with_changes(finetune(), TINY | changes)


def run(table: Path, model: Path, recipe: Recipe, out: str = "run") -> None:
    train(recipe, DataChoice(table), table.parent.parent / out, model=model, device="cpu", guard=None)


def test_what_is_written_keeps_a_share_of_the_first_weights(model: Path, table: Path, tmp_path: Path) -> None:
    for share in (0.0, 0.25):
        run(table, model, tiny(start_share=share), f"keep-{share}")
    alone, beside = (trained_weights(tmp_path / name) for name in ("keep-0.0", "keep-0.25"))
    assert all(torch.equal(alone[name], beside[name]) for name in alone)  # training itself is the same
    first, trained, kept = (
        load_file(folder / "model.safetensors")
        for folder in (model, tmp_path / "keep-0.0" / "last", tmp_path / "keep-0.25" / "last")
    )
    changed = [name for name in first if not torch.equal(first[name], trained[name])]
    assert changed
    for name in first:
        torch.testing.assert_close(kept[name], 0.25 * first[name] + 0.75 * trained[name], atol=1e-6, rtol=0)


def test_only_what_is_written_is_measured(model: Path, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    inside: list[bool] = []

    @contextmanager
    def as_written(self: Student) -> Iterator[None]:
        inside.append(True)
        yield
        inside.pop()

    def spied(name: str) -> Any:
        real = getattr(ClipSegStudent, name)

        def call(self: ClipSegStudent, *given: Any) -> Any:
            assert inside
            asked.append(name)
            return real(self, *given)

        return call

    monkeypatch.setattr(Student, "as_written", as_written)
    for name in ("segmenter", "export"):
        monkeypatch.setattr(ClipSegStudent, name, spied(name))
    run(table, model, tiny())  # validated three times; best at least once, and last
    run(table, model, tiny(valid_every=0), "unmeasured")  # best and last
    assert asked.count("segmenter") == 3
    assert asked.count("export") >= 4


def test_a_student_is_to_the_bit_itself_after_it_was_written(model: Path) -> None:
    student = open_student(model, tiny(start_share=0.5))
    with torch.no_grad():
        for weight in student.trained.parameters():
            weight.add_(0.1)
    before = {name: tensor.clone() for name, tensor in student.state_dict().items()}
    name = "trained." + next(name for name, _ in student.trained.named_parameters())
    with student.as_written():
        torch.testing.assert_close(student.state_dict()[name], before[name] - 0.05)
    assert all(torch.equal(tensor, before[name]) for name, tensor in student.state_dict().items())
