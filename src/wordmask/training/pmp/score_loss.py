"""Loss of the scores of instances: what COCO's average precision asks of a group of cells, at ten IoU thresholds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from wordmask.methods.pmp.embedded.grouping import CellMaps, group_cells, score_inputs
from wordmask.ops.probability import best_threshold, logit

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from wordmask.methods.pmp.embedded.centres import CentreHead, CentreMaps
    from wordmask.methods.pmp.embedded.settings import ProposalSettings
    from wordmask.training.pmp.targets import ProposalTargets

__all__ = ["fraction_passed", "score_loss"]

ROWS = 6
"""Prompts of a step whose masks are grouped, at most."""
THRESHOLDS = np.arange(0.5, 1.0, 0.05)


def score_loss(
    head: CentreHead, maps: CentreMaps, dense: Tensor, presence: Tensor, targets: ProposalTargets,
    settings: ProposalSettings,
) -> Tensor:  # fmt: skip
    """Return the cross-entropy of the scores of the groups of some rows.

    Args:
        head: Its scores are trained.
        maps: Of B images with K prompts.
        dense: Dense logits `(B, K, h, w)`.
        presence: Probabilities `(B, K)`.
        targets: Of the B * K rows; those whose instances are all marked with masks are used.
        settings: Blend and thresholds of the division.
    """
    rows = (targets.complete & (targets.counts >= 0) & ~targets.boxed).nonzero()[:ROWS, 0].tolist()
    offsets, sizes, heat, mask = (part.detach().flatten(0, 1).float().cpu().numpy() for part in maps)
    given = dense.flatten(0, 1).float().cpu().numpy()
    inputs, wanted = [], []
    for row in rows:
        logits = given[row] + np.float32(settings.blend) * (mask[row] - given[row])
        logits = logits - np.float32(logit(best_threshold(logits)))
        groups = group_cells(logits, CellMaps(offsets[row], sizes[row], heat[row]), settings)
        if groups:
            inputs.append(score_inputs(groups, logits, float(presence.flatten()[row])))
            bits = np.stack([group.logits > 0 for group in groups])
            true = targets.instances[row, : int(targets.counts[row]), ::2, ::2].cpu().numpy()
            wanted.append(fraction_passed(bits, true))
    if not inputs:
        return torch.zeros((), device=dense.device)
    device = head.score.weight.device
    given_inputs, goals = (torch.from_numpy(np.concatenate(part)).to(device) for part in (inputs, wanted))
    return F.binary_cross_entropy_with_logits(head.score(given_inputs)[:, 0].float(), goals)


def fraction_passed(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return for masks `(N, h, w)` the fraction of COCO's IoU thresholds that the best of true `(T, h, w)` passes."""
    cells = found.shape[1] * found.shape[2]
    one, other = (masks.reshape(-1, cells).astype(np.float32) for masks in (found, true))
    both = one @ other.T  # (N, T)
    ious = both / np.maximum(one.sum(1)[:, None] + other.sum(1) - both, 1)
    passed: NDArray[np.float32] = (ious.max(1, initial=0)[:, None] >= THRESHOLDS - 1e-6).mean(1).astype(np.float32)
    return passed
