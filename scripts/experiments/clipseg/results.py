"""What the runs wrote down, read again: scores by variant, and the paper's orderings decided."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scripts.experiments.clipseg.intervals import DRAWS, Difference, Score, best_miou, compare, step_ap
from scripts.experiments.clipseg.orderings import ORDERINGS, Ordering
from scripts.experiments.clipseg.variants import VARIANTS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

SCORES: dict[str, Score] = {"mIoU": best_miou, "AP": step_ap}


@dataclass(frozen=True, eq=False)
class Scored:
    """One run's answers.

    Attributes:
        variant, seed: Which run.
        pictures: Key of the picture of each question.
        scores: By kind of question, as `score` wrote them.
        histograms: By kind of question, int64 `(N, 2, 50)`.
        recipe: That it was trained with.
    """

    variant: str
    seed: int
    pictures: tuple[str, ...]
    scores: dict[str, Any]
    histograms: dict[str, NDArray[np.int64]]
    recipe: dict[str, Any]


@dataclass(frozen=True)
class Decided:
    """One ordering, measured.

    Attributes:
        ordering: Which.
        differences: By name of the score; {} where runs are missing.
    """

    ordering: Ordering
    differences: dict[str, Difference]


def read_scores(folder: Path) -> dict[str, list[Scored]]:
    """Return the scored runs of each variant, by seed; variants that were not run are missing."""
    found: dict[str, list[Scored]] = {}
    for path in sorted(folder.glob("*.json")) if folder.is_dir() else []:
        record = json.loads(path.read_bytes())
        if path.name == "questions.json" or record.get("variant") not in VARIANTS:
            continue
        histograms = {kind: np.array(rows, np.int64) for kind, rows in record["histograms"].items()}
        pictures = tuple(question["key"] for question in record["questions"])
        scored = Scored(record["variant"], record["seed"], pictures, record["scores"], histograms, record["recipe"])
        found.setdefault(scored.variant, []).append(scored)
    return {name: sorted(found[name], key=lambda run: run.seed) for name in VARIANTS if name in found}


def spread(runs: Sequence[Scored], kind: str, name: str) -> tuple[float, float]:
    """Return mean and sample standard deviation over seeds of a score of all questions; no deviation for one seed."""
    values = [run.scores[kind]["all"][name] for run in runs]
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def decide(found: dict[str, list[Scored]], ordering: Ordering, *, draws: int = DRAWS) -> Decided:
    """Compare the two sides of an ordering over the seeds that both have."""
    sides = [{run.seed: run for run in found.get(variant, [])} for variant, _ in (ordering.first, ordering.second)]
    seeds = sorted(sides[0].keys() & sides[1].keys())
    if not seeds:
        return Decided(ordering, {})
    kinds = (ordering.first[1], ordering.second[1])
    rows = [[side[seed].histograms[kind] for seed in seeds] for side, kind in zip(sides, kinds, strict=True)]
    pictures = sides[0][seeds[0]].pictures
    differences = {name: compare(rows[0], rows[1], pictures, score, draws=draws) for name, score in SCORES.items()}
    return Decided(ordering, differences)


def decide_all(found: dict[str, list[Scored]], *, draws: int = DRAWS) -> list[Decided]:
    """Decide every ordering of the paper."""
    return [decide(found, ordering, draws=draws) for ordering in ORDERINGS]


def read_record(path: Path) -> dict[str, Any] | None:
    """Return a JSON record, or None where it was not written yet."""
    return dict(json.loads(path.read_bytes())) if path.is_file() else None
