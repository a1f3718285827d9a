"""Teachers take turns and answer with calibrated probabilities."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.methods.test_compact import TINY, tiny_network, tiny_tokenizer
from wordmask.methods.compact import load_compact, save_compact
from wordmask.methods.compact.settings import CompactSettings


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two teachers that differ in nothing but their calibration; in both, cells that look alike agree."""
    found = []
    for shift in (-1.0, 1.0):
        folder = tmp_path_factory.mktemp("teacher")
        settings = CompactSettings(mask_scale=0.5, mask_shift=shift, affinity_sharpness=5.0)
        save_compact(folder, "tiny", tiny_network(), TINY, settings, tiny_tokenizer())
        found.append(folder)
    return found


@pytest.fixture
def batch() -> Any:
    """Two pictures, three prompts each: "nose", "left eye" and "nose"."""
    torch.manual_seed(0)
    names = torch.tensor([[0, 1, 0], [0, 1, 0]])
    return SimpleNamespace(pixels=torch.randn(2, 3, 64, 64), vectors=torch.randn(2, 3, TINY.condition), names=names)


SIDED = torch.tensor([False, True])


def words(folders: list[Path]) -> dict[str, np.ndarray]:
    """What the teachers' own text encoder makes of a name."""
    model: Any = load_compact(folders[0]).model
    with torch.inference_mode():
        return {"hair": model.embed_texts(["hair"]).numpy()}


def answers(script: Any, folders: list[Path], batch: Any, *, seed: int) -> list[Any]:
    """What teachers say at twelve steps, and which of the prompts count."""
    teachers = script("teachers").Teachers(folders, seed=seed, sided=SIDED, spoken=words(folders))
    return [teachers.answer(batch, step) for step in range(12)]


def test_answers_are_calibrated_probabilities_of_either_side(script: Any, folders: list[Path], batch: Any) -> None:
    model: Any = load_compact(folders[0]).model
    with torch.inference_mode():
        plain, turned = (
            model.calibrate_masks(model.answer(model.encode_pixels(pixels), batch.vectors)[0]).sigmoid()
            for pixels in (batch.pixels, batch.pixels.flip(3))
        )
        alone, _ = model.network.decoder(model.network.encode(batch.pixels), batch.vectors)
    assert not torch.allclose(plain, (0.5 * alone - 1).sigmoid(), atol=1e-3)
    sides = []
    for answer, known in answers(script, folders[:1], batch, seed=0):
        mirrored = not bool(known.all())
        torch.testing.assert_close(answer, turned.flip(3) if mirrored else plain)
        torch.testing.assert_close(known, torch.tensor([[1.0, 0.0 if mirrored else 1.0, 1.0]] * 2))
        assert not answer.requires_grad
        sides.append(mirrored)
    assert set(sides) == {True, False}


def test_teachers_take_turns_and_keep_them_after_a_resume(script: Any, folders: list[Path], batch: Any) -> None:
    turns, again = ([float(a.mean()) for a, _ in answers(script, folders, batch, seed=3)] for _ in range(2))
    assert len(set(turns)) == 4  # two teachers, two sides
    assert turns == again


def test_nobody_to_learn_from(script: Any) -> None:
    assert not script("teachers").Teachers([], seed=0, sided=SIDED, spoken={})


def test_a_teacher_with_another_text_encoder_is_refused(script: Any, folders: list[Path]) -> None:
    other = {"hair": np.eye(TINY.condition, dtype=np.float32)[:1]}
    with pytest.raises(ValueError, match="another text encoder"):
        script("teachers").Teachers(folders, seed=0, sided=SIDED, spoken=other)


@pytest.mark.parametrize("step", [0.3, -0.3])
def test_the_loss_is_least_at_the_teachers_answer(script: Any, step: float) -> None:
    teacher_loss = script("teachers").teacher_loss
    torch.manual_seed(0)
    said = torch.randn(2, 3, 4, 4)
    every = torch.ones(2, 3)
    assert float(teacher_loss(said + step, said.sigmoid(), every)) > float(teacher_loss(said, said.sigmoid(), every))


def test_an_answer_that_does_not_count_teaches_nothing(script: Any) -> None:
    torch.manual_seed(0)
    said = torch.randn(1, 2, 4, 4, requires_grad=True)
    script("teachers").teacher_loss(said, torch.rand(1, 2, 4, 4), torch.tensor([[1.0, 0.0]])).backward()
    assert said.grad is not None
    assert said.grad[0, 0].abs().min() > 0
    assert said.grad[0, 1].abs().max() == 0
