"""How a training ends before its time."""

from __future__ import annotations

from wordmask.errors import WordmaskError


class TrainingError(WordmaskError):
    """A training cannot go on: numbers that are none, or a run folder of another training."""
