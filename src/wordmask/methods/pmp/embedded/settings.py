"""How the proposals of the embedded weights become an answer; kept in `config.json` beside the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from wordmask.settings import Choices, Ranges, Settings

__all__ = ["ProposalSettings"]


@dataclass(frozen=True, kw_only=True)
class ProposalSettings(Settings):
    """Inference settings of proposals.

    Attributes:
        margin: The mask of the prompt's query replaces the dense mask where its expected IoU is higher by this much.
        least_quality: Expected IoU that an instance must reach.
        overlap: IoU from which two proposals are the same object; the one of lower quality is dropped.
        least_area: Fraction of the mask that an instance covers, at least.
        part_score: Factor of the score of connected parts of the mask that no proposal covers.
    """

    margin: float = 1.0
    least_quality: float = 0.15
    overlap: float = 0.6
    least_area: float = 0.002
    part_score: float = 0.3

    ranges: ClassVar[Ranges] = {
        "margin": (-1, 1),
        **dict.fromkeys(("least_quality", "overlap", "least_area", "part_score"), (0, 1)),
    }
    choices: ClassVar[Choices] = {}
