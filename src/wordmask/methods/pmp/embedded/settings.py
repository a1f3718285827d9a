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
        blend: Weight of the logits of the centre head, or else of the prompt's own query, beside the dense ones.
        least_quality: Expected IoU that an instance must reach.
        overlap: IoU from which two proposals are the same object; the one of lower quality is dropped.
        least_area: Fraction of the mask that an instance covers, at least.
        part_score: Factor of the score of connected parts of the mask that no proposal covers.
        least_heat: Probability that a cell is the centre of an instance, at least.
        reach: Distance of a cell's vote from a centre, in sides of its instance, up to which it belongs to that centre.
    """

    blend: float = 0.15
    least_quality: float = 0.3
    overlap: float = 0.6
    least_area: float = 0.002
    part_score: float = 0.6
    least_heat: float = 0.05
    reach: float = 0.5

    ranges: ClassVar[Ranges] = {
        "least_heat": (1e-4, 1 - 1e-4),
        "reach": (0, 100),
        **dict.fromkeys(("blend", "least_quality", "overlap", "least_area", "part_score"), (0, 1)),
    }
    choices: ClassVar[Choices] = {}
