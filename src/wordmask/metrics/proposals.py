"""IoU of mask proposals with the ground truth, for the recall of two-stage methods.

Two-stage methods fail in two ways: the mask is missing, or it is there and not chosen. The IoU of the best proposal
measures the first, its difference from the chosen mask's IoU (the oracle gap) the second (PMP, Li et al.,
"Prompt-guided Mask Proposal for Two-Stage Open-Vocabulary Segmentation", arXiv 2412.10292).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.errors import DataError, sentence
from wordmask.metrics.overlap import intersection_and_union, ious

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

IOU_THRESHOLDS = np.arange(50, 100, 5) / 100
"""float64 `(10,)`: COCO's 0.5, 0.55, ..., 0.95."""


def proposal_ious(
    proposals: Iterable[NDArray[np.bool_]], ground_truth: NDArray[np.bool_], ignored: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Compute the IoU of every proposal with one ground truth, float64 `(Q,)`.

    Args:
        proposals: bool `(H, W)` each; an array `(Q, H, W)`, or made one by one where memory is short.
        ground_truth: bool `(H, W)`, with at least one pixel that is not ignored.
        ignored: bool `(H, W)`, pixels left out; None = none.

    Raises:
        DataError: If a proposal has another shape or type.
    """
    pairs = [intersection_and_union(_require(one, ground_truth), ground_truth, ignored) for one in proposals]
    return ious(np.array(pairs, dtype=np.int64).reshape(-1, 2), empty=0.0)


def _require(proposal: Any, ground_truth: NDArray[np.bool_]) -> NDArray[np.bool_]:
    array: NDArray[np.bool_] = np.asarray(proposal)
    if array.dtype != np.bool_ or array.shape != ground_truth.shape:
        got = f"a proposal {array.dtype} {array.shape}"
        raise DataError(sentence(got, f"bool {ground_truth.shape}", "resize and threshold it to the ground truth"))
    return array
