"""Scores of referring expressions: one phrase, one mask.

Sources: oIoU, mIoU and Pr@X as in Yu et al., "Zero-shot Referring Image Segmentation with Global-Local Context
Features" (CVPR 2023) and Suo et al., "Text Augmented Spatial-aware Zero-shot Referring Image Segmentation" (TAS, EMNLP
Findings 2023); mean and cumulative mask IoU as in PhraseCut's evaluator (Wu et al., CVPR 2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from wordmask.metrics.accumulator import PerSample, mean, quotient, ratio
from wordmask.metrics.judged import overlap

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wordmask.metrics.judged import Judged

EPSILON = 1e-6
"""Added to the union by the reference's mIoU."""


def oiou(rows: NDArray[Any]) -> float:
    """Return overall IoU (also called cumulative): summed intersections over summed unions of int64 rows `(N, 2)`."""
    intersection, union = (int(value) for value in rows.sum(axis=0))
    return ratio(intersection, union)


def ious(rows: NDArray[Any]) -> NDArray[np.float64]:
    """Return float64 `(N,)`, intersection over union of rows `(N, 2)`; 0 where both masks are empty."""
    return quotient(rows[:, 0], rows[:, 1], otherwise=0.0)


def miou(rows: NDArray[Any]) -> float:
    """Return the mean of intersection / (union + 1e-6) of int64 rows `(N, 2)`."""
    return mean(rows[:, 0] / (rows[:, 1] + EPSILON))


def precision_at(rows: NDArray[Any], threshold: float) -> float:
    """Return the fraction of rows `(N, 2)` whose IoU lies strictly above `threshold`."""
    return ratio(int(np.count_nonzero(ious(rows) > threshold)), len(rows))


@dataclass(frozen=True, eq=False)
class Referring(PerSample):
    """Overall and mean IoU and precision at IoU thresholds; rows are intersection and union.

    `oiou` and `cum_mask_iou` are one number under the two names of the literature. `mean_mask_iou` is PhraseCut's mean,
    without the 1e-6. An empty answer to an existing thing has IoU 0, and so has, in both references, an empty answer to
    an absent one.

    Attributes:
        at: IoU thresholds of Pr@X.
    """

    at: tuple[float, ...] = (0.5, 0.6, 0.7, 0.8, 0.9)
    columns: ClassVar[tuple[str, ...]] = ("intersection", "union")

    def update(self, judged: Judged) -> None:
        """Count one judgement."""
        if judged.pixels:
            self._keep(judged, overlap(judged.mask, judged.truth, judged.ignored))

    def compute(self) -> dict[str, float]:
        """Return `oiou`, `miou`, `pr@X`, `mean_mask_iou`, `cum_mask_iou`."""
        rows = self.rows()
        scores = {"oiou": oiou(rows), "miou": miou(rows)}
        scores |= {f"pr@{threshold:g}": precision_at(rows, threshold) for threshold in self.at}
        return scores | {"mean_mask_iou": mean(ious(rows)), "cum_mask_iou": oiou(rows)}
