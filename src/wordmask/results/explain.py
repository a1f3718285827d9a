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
    ranked = sorted(candidates, key=lambda candidate: -candidate.region.score)
    chosen = sum(candidate.chosen for candidate in ranked)
    lines = [f"  candidates: {chosen} of {len(ranked)} chosen"]
    lines += [f"    {_line(candidate, threshold)}" for candidate in ranked[:SHOWN]]
    return lines + ([f"    and {len(ranked) - SHOWN} more"] if len(ranked) > SHOWN else [])


def _line(candidate: Candidate, threshold: float) -> str:
    region, mark = candidate.region, "chosen  " if candidate.chosen else "rejected"
    packed = region.packed(threshold)
    box = " ".join(f"{side:.0f}" for side in region.box or packed.box or (0, 0, 0, 0))
    quality = "" if region.mask_score is None else f", mask quality {region.mask_score:.2f}"
    parts = "".join(f", {name} {value:.2f}" for name, value in candidate.scores.items())
    return f"{mark} score {region.score:.2f}{quality}{parts}; box {box}, {packed.area} pixels"
