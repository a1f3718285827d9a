"""The guard's examination before the first step and after the last one, of models as users load them."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from wordmask.api import load
from wordmask.formats.files import write
from wordmask.train.exam import Answers, sit
from wordmask.train.folder import MEASURED, text
from wordmask.train.forgetting import compare

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from wordmask.contracts import Segmenter
    from wordmask.train.exam import Exam
    from wordmask.train.forgetting import Forgetting
    from wordmask.train.students import Student

__all__ = ["forgotten", "remember"]


def remember(exam: Exam, student: Student, start: Any, folder: Path, device: torch.device) -> Answers:
    """Return what the model answers before it is trained; once written down, it is read.

    The student must still be the model that the training starts from. It goes through a folder of its own, as the
    best model will: both are then loaded alike, and a model that did not change answers the same bit for bit.

    Args:
        exam: The questions.
        student: The model.
        start: What tells its weights from others'.
        folder: The run's.
        device: Where it answers.
    """
    file = folder / MEASURED / "before.json"
    facts = json.loads(text({"start": start, **exam.facts()}))
    kept = json.loads(file.read_bytes()) if file.is_file() else {}
    if kept.get("facts") == facts:
        return Answers.from_json(kept["answers"])
    part = folder / ".before.part"
    shutil.rmtree(part, ignore_errors=True)
    student.export(part)
    answers = sit(exam, _loaded(part, device))
    shutil.rmtree(part, ignore_errors=True)
    write(file, json.dumps({"facts": facts, "answers": answers.to_json()}, ensure_ascii=False).encode())
    return answers


def forgotten(exam: Exam, before: Answers, best: Path, device: torch.device) -> Forgetting:
    """Return what the best model's answers say beside those from before."""
    return compare(exam, before, sit(exam, _loaded(best, device)))


def _loaded(folder: Path, device: torch.device) -> Segmenter:
    """A model in float32: in a coarser type, some masks would differ for no reason."""
    known = device.type in ("cpu", "cuda", "mps")
    return load(folder, device=str(device) if known else "cpu", dtype="float32")
