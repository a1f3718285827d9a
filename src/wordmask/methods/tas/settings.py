"""Settings of TAS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from wordmask.methods.tas.filtering import MaskFilter
from wordmask.methods.tas.scores import ScoreWeights
from wordmask.settings import Choices, Ranges, Settings

__all__ = ["TasSettings"]


@dataclass(frozen=True)
class TasSettings(Settings):
    """How expressions are answered; the defaults are the authors' but for the rectifier and the rule of synonyms.

    Attributes:
        caption_weight: alpha, the weight of the caption fit.
        negative_weight: lambda, the weight of the fit of negative phrases.
        rectifier: How words of place choose: "released" (the authors' code), "intended", or "none".
        synonyms: Which noun phrases are no negatives: "released" (nouns with three common senses) or "related".
        min_area: Smallest proposal in pixels.
        min_fraction: Smallest proposal as a fraction of the image, in place of `min_area`; 0: not used.
        max_overlap: Of two proposals that overlap more, the smaller one is dropped.
        relative_to: What an overlap is divided by: the "smaller" area, or the "union".
        margin: Words of place choose among the regions whose score is within this distance of the best.
        scale: Factor of scores before the softmax over regions, CLIP's logit scale.
    """

    caption_weight: float = 0.1
    negative_weight: float = 0.7
    rectifier: str = "intended"
    synonyms: str = "related"
    min_area: int = 2000
    min_fraction: float = 0.0
    max_overlap: float = 0.4
    relative_to: str = "smaller"
    margin: float = 0.03
    scale: float = 100.0

    ranges: ClassVar[Ranges] = {
        "caption_weight": (-10, 10),
        "negative_weight": (-10, 10),
        "margin": (0, 10),
        "scale": (0.01, 1e4),
    }
    choices: ClassVar[Choices] = {
        "rectifier": ("released", "intended", "none"),
        "synonyms": ("released", "related"),
        "relative_to": ("smaller", "union"),
    }

    @property
    def weights(self) -> ScoreWeights:
        """The weights of the score's parts."""
        return ScoreWeights(self.caption_weight, self.negative_weight)

    @property
    def filter(self) -> MaskFilter:
        """Which proposals are kept."""
        return MaskFilter(self.min_area, self.min_fraction, self.max_overlap, self.relative_to)
