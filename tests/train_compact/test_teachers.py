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
from wordmask.methods.compact.method import CompactSettings


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two teachers that differ in nothing but their calibration."""
    found = []
    for shift in (-1.0, 1.0):
        folder = tmp_path_factory.mktemp("teacher")
        settings = CompactSettings(mask_scale=0.5, mask_shift=shift, presence_scale=0.5, presence_shift=shift)
        save_compact(folder, "tiny", tiny_network(), TINY, settings, tiny_tokenizer())
        found.append(folder)
    return found


@pytest.fixture
def batch() -> Any:
    torch.manual_seed(0)
    return SimpleNamespace(pixels=torch.randn(2, 3, 64, 64), vectors=torch.randn(2, 3, TINY.condition))


def words(folders: list[Path]) -> dict[str, np.ndarray]:
    """What the teachers' own text encoder makes of a name."""
    model: Any = load_compact(folders[0]).model
    with torch.inference_mode():
        return {"hair": model.embed_texts(["hair"]).numpy()}


def test_answers_are_calibrated_probabilities(script: Any, folders: list[Path], batch: Any) -> None:
    answer = script("teachers").Teachers(folders[:1], seed=0, spoken=words(folders)).answer(batch, 0)
    model: Any = load_compact(folders[0]).model
    with torch.inference_mode():
        logits, _ = model.network.decoder(model.encode_pixels(batch.pixels), batch.vectors)
    torch.testing.assert_close(answer, (0.5 * logits - 1).sigmoid())
    assert not answer.requires_grad


def test_teachers_take_turns_and_keep_them_after_a_resume(script: Any, folders: list[Path], batch: Any) -> None:
    teachers, again = (script("teachers").Teachers(folders, seed=3, spoken=words(folders)) for _ in range(2))
    turns = [float(teachers.answer(batch, step).mean()) for step in range(12)]
    assert len(set(turns)) == 2
    assert turns[7:] == [float(again.answer(batch, step).mean()) for step in range(7, 12)]


def test_nobody_to_learn_from(script: Any) -> None:
    assert not script("teachers").Teachers([], seed=0, spoken={})


def test_a_teacher_with_another_text_encoder_is_refused(script: Any, folders: list[Path]) -> None:
    other = {"hair": np.eye(TINY.condition, dtype=np.float32)[:1]}
    with pytest.raises(ValueError, match="another text encoder"):
        script("teachers").Teachers(folders, seed=0, spoken=other)


@pytest.mark.parametrize("step", [0.3, -0.3])
def test_the_loss_is_least_at_the_teachers_answer(script: Any, step: float) -> None:
    teacher_loss = script("teachers").teacher_loss
    torch.manual_seed(0)
    said = torch.randn(2, 3, 4, 4)
    assert float(teacher_loss(said + step, said.sigmoid())) > float(teacher_loss(said, said.sigmoid()))
