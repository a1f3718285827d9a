"""Ask the forgetting probe before the first step and after the last one, of models as users load them."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from wordmask.api import load
from wordmask.formats.files import write
from wordmask.training.folder import MEASURED, text
from wordmask.training.forgetting.comparison import compare
from wordmask.training.forgetting.probe import Answers, ask

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from wordmask.contracts import Segmenter, Trainable
    from wordmask.training.forgetting.comparison import Forgetting
    from wordmask.training.forgetting.probe import Probe

__all__ = ["ask_after", "ask_before"]


def ask_before(probe: Probe, model: Trainable, start: Any, folder: Path, device: torch.device) -> Answers:
    """Return what the model answers before it is trained; once written down, it is read.

    The model must still be the one that the training starts from. It is exported, as the best model will be: both are
    then loaded alike, and a model that did not change answers the same bit for bit.

    Args:
        probe: The questions.
        model: The model.
        start: What tells its weights from others'.
        folder: The run's.
        device: Where it answers.
    """
    file = folder / MEASURED / "before.json"
    facts = json.loads(text({"start": start, **probe.facts()}))
    kept = json.loads(file.read_bytes()) if file.is_file() else {}
    if kept.get("facts") == facts:
        return Answers.from_json(kept["answers"])
    part = folder / ".before.part"
    shutil.rmtree(part, ignore_errors=True)
    model.export(part)
    answers = ask(probe, _loaded(part, device))
    shutil.rmtree(part, ignore_errors=True)
    write(file, json.dumps({"facts": facts, "answers": answers.to_json()}, ensure_ascii=False).encode())
    return answers


def ask_after(probe: Probe, before: Answers, best: Path, device: torch.device) -> Forgetting:
    """Return what the best model's answers say beside those from before."""
    return compare(probe.choice, before, ask(probe, _loaded(best, device)))


def _loaded(folder: Path, device: torch.device) -> Segmenter:
    """Load a model in float32: in a coarser type, some masks would differ for no reason."""
    known = device.type in ("cpu", "cuda", "mps")
    return load(folder, device=str(device) if known else "cpu", dtype="float32")
