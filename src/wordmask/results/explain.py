"""Text about the candidates that were scored for a prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wordmask.results.region import Candidate

SHOWN = 10
"""Candidates listed, the best first."""


def candidate_lines(candidates: Sequence[Candidate], *, threshold: float) -> list[str]:
    """Return one line for each of the best candidates, with every part of its score; [] where there are none.

    Args:
        candidates: What was scored.
        threshold: Probability above which a pixel belongs to a candidate's mask.
    """
    if not candidates:
        return []
    ranked = best_first(candidates)
    chosen = sum(candidate.chosen for candidate in ranked)
    lines = [f"  candidates: {chosen} of {len(ranked)} chosen"]
    lines += [f"    {_line(candidate, threshold)}" for candidate in ranked[:SHOWN]]
    return lines + ([f"    and {len(ranked) - SHOWN} more"] if len(ranked) > SHOWN else [])


def score_text(candidate: Candidate) -> str:
    """Return whether a candidate was chosen, its score and every part of it."""
    region, mark = candidate.region, "chosen  " if candidate.chosen else "rejected"
    parts = {"score": region.score} if "detection" not in candidate.scores else {}
    parts |= {} if region.mask_score is None else {"mask quality": region.mask_score}
    return f"{mark} {', '.join(f'{name} {value:.2f}' for name, value in (parts | {**candidate.scores}).items())}"


def best_first(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return candidates in the order in which they are shown: those that are chosen first, then by score."""
    return sorted(candidates, key=lambda candidate: (not candidate.chosen, -candidate.region.score))


def _line(candidate: Candidate, threshold: float) -> str:
    packed = candidate.region.packed(threshold)
    box = " ".join(f"{side:.0f}" for side in candidate.region.box or packed.box or (0, 0, 0, 0))
    return f"{score_text(candidate)}; box {box}, {packed.area} pixels"
