"""Scores of a run, and the options that they depend on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wordmask.evaluation.protocols import EvaluationProtocol

__all__ = ["DRAWS", "ScoreOptions", "Scores"]

DRAWS = 1000
"""Resampled values of an interval."""


@dataclass(frozen=True)
class ScoreOptions:
    """Everything that scores depend on beside the records.

    Attributes:
        protocol: The protocol of the run.
        names: The data set's vocabulary; () where labels are no classes.
        folds: Label -> fold, where a score is the mean over folds.
        unseen: Names held out of training.
        threshold: Replaces the protocol's threshold.
        seed: Of the intervals.
        draws: Of the intervals.
    """

    protocol: EvaluationProtocol
    names: tuple[str, ...] = ()
    folds: Mapping[str, str] | None = None
    unseen: frozenset[str] = frozenset()
    threshold: float | None = None
    seed: int = 0
    draws: int = DRAWS


@dataclass(frozen=True)
class Scores:
    """The scores of one run, as values that JSON can hold.

    Attributes:
        scores: By name `{"value", "low", "high"}`, fractions with 95 % intervals over images.
        presence: The same about presence; empty where no absent name was asked for.
        by_size: Scores of present things by size of the target.
        by_name: Scores of present things by label.
    """

    scores: dict[str, Any]
    presence: dict[str, Any] = field(default_factory=dict)
    by_size: dict[str, Any] = field(default_factory=dict)
    by_name: dict[str, Any] = field(default_factory=dict)
