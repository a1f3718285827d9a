"""Scores of TAS: image fit, caption fit and fit of negative phrases, combined and turned into a choice.

Suo et al., arXiv 2310.18049: S = V + alpha * P - lambda * N over cosines of CLIP embeddings. The authors' code takes
alpha = 0.1 and lambda = 0.7 for every data set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Values = NDArray[np.float64]

__all__ = ["WEIGHTS", "RegionScores", "ScoreWeights", "best_index", "normalised", "tas_score"]


@dataclass(frozen=True)
class ScoreWeights:
    """Weights of the score's parts.

    Attributes:
        caption: alpha, the weight of the caption fit P.
        negative: lambda, the weight of the fit of negative phrases N, which is subtracted.
    """

    caption: float = 0.1
    negative: float = 0.7


WEIGHTS: Mapping[str, ScoreWeights] = {
    "code": ScoreWeights(0.1, 0.7),
    "paper": ScoreWeights(0.1, 0.7),
    "paper-refcocog": ScoreWeights(0.1, 0.2),
    "visual": ScoreWeights(0.0, 0.0),
}
"""Presets by name.

"code": the authors' released program, for all data sets. "paper": the paper's text for RefCOCO and RefCOCO+, equal to
it. "paper-refcocog": the paper's text for RefCOCOg (recalled, not verified: the paper could not be opened). "visual": V
alone.
"""


@dataclass(frozen=True, eq=False)
class RegionScores:
    """Scores of N regions for one expression.

    Attributes:
        image: V, float64 (N,): cosine of the region and the expression.
        caption: P, float64 (N,): cosine of the region's caption and the expression; 0 where there is no caption.
        negative: N, float64 (N,): mean cosine of the region and the negative phrases; 0 where there are none.
        total: S, float64 (N,): V + alpha * P - lambda * N, never NaN.
    """

    image: Values
    caption: Values
    negative: Values
    total: Values

    def __len__(self) -> int:
        return len(self.total)

    def parts(self, index: int) -> dict[str, float]:
        """Return the parts of one region's score by name."""
        return {
            "image": float(self.image[index]),
            "caption": float(self.caption[index]),
            "negative": float(self.negative[index]),
        }


def tas_score(
    image: Values, caption: Values | None = None, negatives: Values | None = None, *, weights: ScoreWeights
) -> RegionScores:
    """Combine the parts of the score.

    A caption fit that is no number counts as 0, as does the mean over no negative phrase. A region whose image fit is
    no number gets the lowest score of all.

    Args:
        image: Cosines (N,).
        caption: Cosines (N,); None without captions.
        negatives: Cosines (N, K) of regions and K negative phrases; None without.
        weights: Of the parts.
    """
    visual = np.asarray(image, np.float64)
    described = np.zeros_like(visual) if caption is None else np.nan_to_num(np.asarray(caption, np.float64), nan=0.0)
    other = np.zeros_like(visual)
    if negatives is not None and negatives.shape[1]:
        other = np.nan_to_num(np.asarray(negatives, np.float64).mean(axis=1), nan=0.0)
    total = visual + weights.caption * described - weights.negative * other
    return RegionScores(np.nan_to_num(visual, nan=-1.0), described, other, _without_nan(total))


def _without_nan(total: Values) -> Values:
    broken = ~np.isfinite(total)
    if not broken.any():
        return total
    lowest = total[~broken].min() if not broken.all() else 0.0
    result: Values = np.where(broken, lowest - 1.0, total)
    return result


def normalised(scores: Values, *, scale: float = 100.0) -> Values:
    """Return min-max normalised scores after a softmax over the regions: (N,), sum 1.

    The authors multiply by CLIP's logit scale first, which the normalisation undoes. Equal scores, or a single one,
    give equal parts; there the authors divide zero by zero.
    """
    if not len(scores):
        return scores
    values = scale * scores
    spread = values.max() - values.min()
    unit = np.zeros_like(values) if spread <= 0 else (values - values.min()) / spread
    weights = np.exp(unit - unit.max())
    result: Values = weights / weights.sum()
    return result


def best_index(scores: Values) -> int:
    """Return the index of the highest score, the first of equal ones; scores that are no number come last.

    Raises:
        ValueError: If there are none.
    """
    return int(np.argmax(np.where(np.isfinite(scores), scores, -np.inf)))
