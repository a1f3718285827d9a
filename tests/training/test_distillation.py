"""Fine-tuning that keeps what the model answered before to words that are not trained."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.inputs import (
    first_batch,
    open_model,
    open_samples,
    write_small_clipseg,
    write_small_compact,
    write_table,
)
from wordmask.batch import Batch
from wordmask.training.recipe import with_changes
from wordmask.training.recipes.finetune import finetune

WORDS = ("green", "left", "right")
TINY = {"batch": 4, "size": 64, "crop": 1.0, "colour": 0.0, "mirror": 0.0, "valid_every": 0}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("distillation")
    write_small_compact(folder / "compact")
    write_small_clipseg(folder / "clipseg", size=64)
    write_table(folder / "my", 8)
    return folder


def opened(folders: Path, kind: str, **changes: Any) -> tuple[Any, Batch]:
    recipe = with_changes(finetune(), TINY | changes)
    model = open_model(folders / kind, recipe)
    data = open_samples(folders / "my", recipe, model)
    return model, first_batch(data)


def answers(model: Any, batch: Batch) -> torch.Tensor:
    """Presence (or mean mask probability) for words that are not trained."""
    with torch.no_grad():
        answer = model(batch._replace(phrases=[*WORDS] * len(batch.pixels)))
    values = answer.logits.mean((1, 2)) if answer.presence is None else answer.presence
    return values.float().sigmoid()


def trained(folders: Path, kind: str, **changes: Any) -> tuple[float, dict[str, torch.Tensor]]:
    """How far the answers moved in 40 steps on one batch, and the last losses."""
    model, batch = opened(folders, kind, **changes)
    before = answers(model, batch)
    model.distil_on(WORDS, trained=set(batch.phrases))
    model.train()
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(40):
        losses = model.loss(batch, step)
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()
    return (answers(model.eval(), batch) - before).abs().mean().item(), losses


@pytest.mark.parametrize("kind", ["compact", "clipseg"])
def test_answers_to_other_words_move_less_with_a_teacher(kind: str, folders: Path) -> None:
    free, plain = trained(folders, kind, distillation=0.0)
    kept, losses = trained(folders, kind, distillation=3.0)
    assert not any(name.startswith("distilled") for name in plain)
    assert "distilled_masks" in losses
    assert ("distilled_presence" in losses) == (kind == "compact")
    assert kept < 0.6 * free


def test_a_teacher_is_the_model_before_and_stays_so(folders: Path) -> None:
    model, batch = opened(folders, "compact")
    model.distil_on(WORDS, trained=())
    (teacher,) = model._teacher
    before = {name: weight.clone() for name, weight in teacher.state_dict().items()}
    assert not any(weight.requires_grad for weight in teacher.parameters())
    assert set(model.state_dict()) == set(teacher.state_dict())  # a checkpoint holds no teacher
    sum(model.loss(batch, 0).values()).backward()
    torch.optim.SGD(model.parameters(), lr=1.0).step()
    assert all(torch.equal(weight, before[name]) for name, weight in teacher.state_dict().items())
    assert any(not torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert model._frozen["encoder"] is teacher._frozen["encoder"]  # shared, not copied


def test_words_that_mean_a_trained_phrase_are_left_out(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = opened(folders, "compact")
    vectors = {"car": (1.0, 0.0), "automobile": (0.9, 0.1), "dog": (0.6, 0.8), "tree": (0.0, 1.0)}
    monkeypatch.setattr(model, "embed_words", lambda words: torch.tensor([vectors[word] for word in words]))
    model.distil_on(("automobile", "dog", "tree"), trained=["car"])
    assert model._words == ("dog", "tree")
