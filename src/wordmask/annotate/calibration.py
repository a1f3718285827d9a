"""Thresholds of presence that hold on a user's images: a bound on false masks with a stated confidence.

With n images from which a class is absent, of which k have a presence of at least t, the rate of false masks at t is at
most f with confidence c if P(Binomial(n, f) <= k) <= 1 - c (Clopper and Pearson, 1934). The lowest t for which that
holds is chosen; going down from the highest, that is a test in fixed sequence (Angelopoulos et al., Learn then Test,
2021). Without a single false mask, f = 5 % at c = 90 % needs 45 absent images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["Evidence", "Fitted", "fit", "fit_all", "needed", "provable"]

_TIGHT = 1e-6  # a threshold lies this much above the presence that it excludes


@dataclass(frozen=True)
class Evidence:
    """What is known about one class.

    Attributes:
        positives: Presences in images that show it.
        negatives: By image, presences in images that do not.
    """

    positives: tuple[float, ...]
    negatives: Mapping[str, float]


@dataclass(frozen=True)
class Fitted:
    """A threshold and what it promises.

    Attributes:
        threshold: Presence from which the class counts as present.
        kept: Whether the wanted bound holds; otherwise `bound` is the best that the data can prove.
        bound: Highest rate of false masks, with the confidence asked for.
        false: Absent images above the threshold.
        absent: Absent images.
        shown: Images that show the class.
        recall: Fraction of these above the threshold; NaN where there are none.
        pooled: Whether the absent images are those of all classes, since this one has too few.
        slope: Of the calibrated probability `sigmoid(slope * logit(presence) + intercept)`; NaN where one kind of image
            is missing.
        intercept: Likewise.
    """

    threshold: float
    kept: bool
    bound: float
    false: int
    absent: int
    shown: int
    recall: float
    pooled: bool
    slope: float
    intercept: float

    def to_json(self, *, fpr: float, confidence: float, method: str) -> dict[str, Any]:
        """Return what an ontology file keeps."""
        fields = {"method": method, "fpr": fpr, "confidence": confidence, "kept": self.kept}
        fields |= {"bound": round(self.bound, 4), "absent": self.absent, "shown": self.shown, "pooled": self.pooled}
        for name in ("recall", "slope", "intercept"):
            value = getattr(self, name)
            fields[name] = None if math.isnan(value) else round(value, 4)
        return fields


def needed(fpr: float, confidence: float) -> int:
    """Return how many absent images prove a rate without a single false mask: 45 for 5 % at 90 %."""
    return math.ceil(math.log(1 - confidence) / math.log(1 - fpr))


def provable(false: int, absent: int, confidence: float) -> float:
    """Return the upper bound of the rate of false masks, by Clopper and Pearson; 1 where nothing is known."""
    from scipy.stats import beta

    return 1.0 if false >= absent else float(beta.ppf(confidence, false + 1, absent - false))


def fit(
    positives: Sequence[float], negatives: Sequence[float], *, fpr: float, confidence: float, pooled: bool = False
) -> Fitted:
    """Return the lowest threshold whose rate of false masks is provably at most `fpr`.

    Where even the highest has too little evidence, it is the lowest threshold without a false mask.
    """
    ranked = sorted(negatives, reverse=True)
    allowed = -1
    while allowed + 1 < len(ranked) and provable(allowed + 1, len(ranked), confidence) <= fpr:
        allowed += 1
    false = max(allowed, 0)
    threshold = min(1.0, ranked[false] + _TIGHT) if false < len(ranked) else 0.0
    false = sum(value >= threshold for value in ranked)
    above = [value >= threshold for value in positives]
    slope, intercept = _platt(np.array(positives), np.array(ranked))
    return Fitted(
        round(threshold, 6), allowed >= 0, provable(false, len(ranked), confidence), false, len(ranked),
        len(positives), sum(above) / len(above) if above else math.nan, pooled, slope, intercept,
    )  # fmt: skip


def fit_all(evidence: Mapping[str, Evidence], *, fpr: float, confidence: float) -> dict[str, Fitted]:
    """Return thresholds by class.

    A class with too few absent images takes those of all classes together: of each image the highest presence of any
    absent class, since those of one image are not independent. The bound then holds for the class a fortiori.
    """
    highest: dict[str, float] = {}
    for one in evidence.values():
        for image, presence in one.negatives.items():
            highest[image] = max(presence, highest.get(image, 0.0))
    fitted = {}
    for name, one in evidence.items():
        pooled = len(one.negatives) < needed(fpr, confidence) < len(highest) and len(highest) > len(one.negatives)
        negatives = list(highest.values()) if pooled else list(one.negatives.values())
        fitted[name] = fit(one.positives, negatives, fpr=fpr, confidence=confidence, pooled=pooled)
    return fitted


def _platt(positives: NDArray[np.float64], negatives: NDArray[np.float64]) -> tuple[float, float]:
    """Fit `sigmoid(a * logit(presence) + b)` with Platt's targets (1999); NaN where one kind is missing."""
    from scipy.optimize import minimize

    if not len(positives) or not len(negatives):
        return math.nan, math.nan
    values = np.concatenate([positives, negatives]).clip(1e-6, 1 - 1e-6)
    logits = np.log(values / (1 - values))
    high, low = (len(positives) + 1) / (len(positives) + 2), 1 / (len(negatives) + 2)
    targets = np.concatenate([np.full(len(positives), high), np.full(len(negatives), low)])

    def loss(parameters: NDArray[np.float64]) -> float:
        scores = parameters[0] * logits + parameters[1]
        return float((np.logaddexp(0, scores) - targets * scores).mean() + 1e-4 * (parameters[0] - 1) ** 2)

    found = minimize(loss, np.array([1.0, 0.0]), method="BFGS").x
    return float(found[0]), float(found[1])
