"""Whether a wanted mask is among the proposals, and whether it is the one that was picked.

Two-stage methods fail in two ways: the mask is missing, or it is there and not chosen. Recall of the best proposal
measures the first, the oracle gap the second (the argument of PMP, Li et al., "Prompt-guided Mask Proposal for
Two-Stage Open-Vocabulary Segmentation", arXiv 2412.10292).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from wordmask.errors import DataError, quote, sentence
from wordmask.metrics.accumulator import PerSample, mean
from wordmask.metrics.judged import overlap

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from wordmask.metrics.judged import Judged

IOU_THRESHOLDS = np.arange(50, 100, 5) / 100
"""float64 `(10,)`: COCO's 0.5, 0.55, ..., 0.95."""


def proposal_ious(
    proposals: Iterable[NDArray[np.bool_]], truth: NDArray[np.bool_], ignored: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Return the IoU of every proposal with the truth, float64 `(Q,)`.

    Args:
        proposals: bool `(H, W)` each; an array `(Q, H, W)`, or made one by one where memory is short.
        truth: bool `(H, W)`, with at least one pixel that counts.
        ignored: bool `(H, W)`, pixels left out; None = none.

    Raises:
        DataError: If a proposal has another shape or type.
    """
    pairs = [overlap(_like(proposal, truth), truth, ignored) for proposal in proposals]
    return np.array([intersection / union for intersection, union in pairs], dtype=np.float64)


def _like(proposal: Any, truth: NDArray[np.bool_]) -> NDArray[np.bool_]:
    array: NDArray[np.bool_] = np.asarray(proposal)
    if array.dtype != np.bool_ or array.shape != truth.shape:
        got = f"a proposal {array.dtype} {array.shape}"
        raise DataError(sentence(got, f"bool {truth.shape}", "resize and threshold it to match the truth"))
    return array


def recall_at(best: NDArray[np.float64], threshold: float) -> float:
    """Return the share of truths whose best proposal, IoUs float64 `(N,)`, reaches `threshold` (at least, as COCO)."""
    return mean(best >= threshold)


def average_recall(best: NDArray[np.float64]) -> float:
    """Return `recall_at` averaged over COCO's ten thresholds."""
    return mean(recall_at(best, threshold) for threshold in IOU_THRESHOLDS)


@dataclass(frozen=True, eq=False)
class Proposals(PerSample):
    """Recall of the best proposal per truth, and the oracle gap.

    Rows are the best IoU among the first k proposals for every k of `at`, the best among all, and that of the answer.
    A proposal may serve several truths. A truth without a pixel that counts cannot be recalled and is left out.

    Attributes:
        at: Numbers of proposals, best-scored first, among which the best is sought.
    """

    at: tuple[int, ...] = (1, 10, 100)
    columns: ClassVar[tuple[str, ...]] = ()
    whole: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(k < 1 for k in self.at):
            raise DataError(sentence(f"at {self.at}", "numbers of proposals from 1", "ask for one or more"))
        self.table.columns = (*(f"best@{k}" for k in self.at), "best", "chosen")

    def update(self, judged: Judged, proposals: Iterable[NDArray[np.bool_]]) -> None:
        """Count one truth.

        Args:
            judged: The truth, and the mask that was chosen for it.
            proposals: bool `(H, W)` each, best-scored first; none is allowed and has IoU 0.

        Raises:
            DataError: If a proposal has another shape or type.
        """
        if not judged.there:
            return
        try:
            ious = proposal_ious(proposals, judged.truth, judged.ignored)
        except DataError as error:
            raise DataError(f"{quote(judged.key)}: {error}") from error
        firsts = [float(ious[:k].max(initial=0.0)) for k in (*self.at, len(ious))]
        chosen = proposal_ious([judged.mask], judged.truth, judged.ignored)
        self._keep(judged, (*firsts, float(chosen[0])))

    def compute(self) -> dict[str, float]:
        """Return AR, R@50, R@75 and the mean best IoU, for all proposals and for the first k, and the oracle gap.

        `oracle_gap` is `oracle_iou`, the mean IoU of the best of all proposals, less `chosen_iou`, that of the answer.
        """
        rows = self.rows()
        scores: dict[str, float] = {}
        for column, end in enumerate([*(f"@{k}" for k in self.at), ""]):
            best = rows[:, column]
            scores |= {f"ar{end}": average_recall(best), f"mean_best_iou{end}": mean(best)}
            scores |= {f"r50{end}": recall_at(best, 0.5), f"r75{end}": recall_at(best, 0.75)}
        oracle, chosen = mean(rows[:, -2]), mean(rows[:, -1])
        return scores | {"oracle_iou": oracle, "chosen_iou": chosen, "oracle_gap": oracle - chosen}
