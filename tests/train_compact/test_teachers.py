"""Teachers take turns, answer with calibrated probabilities, and are heard where labels are silent."""

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
        logits, presence = model.network.decoder(model.encode_pixels(batch.pixels), batch.vectors)
    torch.testing.assert_close(answer.masks, (0.5 * logits - 1).sigmoid())
    torch.testing.assert_close(answer.presence, (0.5 * presence - 1).sigmoid())
    assert not answer.masks.requires_grad


def test_teachers_take_turns_and_keep_them_after_a_resume(script: Any, folders: list[Path], batch: Any) -> None:
    teachers, again = (script("teachers").Teachers(folders, seed=3, spoken=words(folders)) for _ in range(2))
    turns = [float(teachers.answer(batch, step).presence.mean()) for step in range(12)]
    assert len(set(turns)) == 2
    assert turns[7:] == [float(again.answer(batch, step).presence.mean()) for step in range(7, 12)]


def test_nobody_to_learn_from(script: Any) -> None:
    assert not script("teachers").Teachers([], seed=0, spoken={})


def test_a_teacher_with_another_text_encoder_is_refused(script: Any, folders: list[Path]) -> None:
    other = {"hair": np.eye(TINY.condition, dtype=np.float32)[:1]}
    with pytest.raises(ValueError, match="another text encoder"):
        script("teachers").Teachers(folders, seed=0, spoken=other)


def test_the_loss_is_least_at_the_teachers_answer(script: Any) -> None:
    module = script("teachers")
    torch.manual_seed(0)
    said, there = torch.randn(2, 3, 4, 4), torch.randn(2, 3)
    answer = module.Answer(said.sigmoid(), there.sigmoid())
    logits, presence = said.clone().requires_grad_(), there.clone().requires_grad_()
    sum(module.teacher_loss(logits, presence, answer, torch.zeros(2, 3))).backward()
    assert logits.grad is not None
    assert presence.grad is not None
    assert float(presence.grad.abs().max()) < 1e-6
    best = float(module.teacher_loss(said, there, answer, torch.zeros(2, 3))[0])
    for step in (0.3, -0.3):
        assert float(module.teacher_loss(said + step, there, answer, torch.zeros(2, 3))[0]) > best


def test_a_teacher_is_not_heard_where_labels_are_sure(script: Any) -> None:
    module = script("teachers")
    answer = module.Answer(torch.full((1, 2, 4, 4), 0.5), torch.tensor([[0.9, 0.9]]))
    presence = torch.zeros(1, 2, requires_grad=True)
    module.teacher_loss(torch.zeros(1, 2, 4, 4), presence, answer, torch.tensor([[1.0, 0.25]]))[1].backward()
    assert presence.grad is not None
    assert presence.grad[0, 0] == 0
    assert presence.grad[0, 1] == pytest.approx(0.75 * (0.5 - 0.9) / 2)
