"""Scores of masks for names: the host's classifier, CLIP's posterior, and their ensemble."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from wordmask.methods.pmp.vocabulary import class_name
from wordmask.prompts import fold_phrase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wordmask.methods.pmp.stage_two_settings import StageTwoSettings

__all__ = ["HostPosterior", "clip_posterior", "closed_posterior", "ensemble", "open_posterior", "pooled_embeddings"]


class HostPosterior(NamedTuple):
    """What a host's own classifier says of Q masks.

    Attributes:
        objectness: float `(Q,)`, the probability that a mask shows anything.
        names: float `(Q, K)`, the probability of each name, given that it does; 0 where the name is not known.
        known: bool `(K,)`, names that the classifier knows.
    """

    objectness: Tensor
    names: Tensor
    known: Tensor


def closed_posterior(logits: Tensor, host_names: Sequence[str], names: Sequence[str]) -> HostPosterior:
    """Return what a classifier of fixed classes says of other names: those it shares with them.

    Args:
        logits: float `(Q, N + 1)`; the last column is "no object".
        host_names: The N classes.
        names: K names.
    """
    objectness, given = _given_an_object(logits)
    columns: dict[str, list[int]] = {}
    for column, name in enumerate(host_names):
        columns.setdefault(fold_phrase(class_name(name)), []).append(column)
    shared = [columns.get(fold_phrase(name), []) for name in names]
    table = [given[:, own].sum(dim=1) for own in shared]  # classes of the same name are one
    known = torch.tensor([bool(own) for own in shared], device=logits.device)
    return HostPosterior(objectness, torch.stack(table, dim=1), known)


def open_posterior(logits: Tensor) -> HostPosterior:
    """Return what a classifier that compares queries with text says, from logits `(Q, K + 1)`, the last "no object"."""
    objectness, given = _given_an_object(logits)
    return HostPosterior(objectness, given, torch.ones_like(given[0], dtype=torch.bool))


def _given_an_object(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The probability `(Q,)` that there is an object, and of each class if there is one `(Q, N)`."""
    logits = logits.float()
    nothing = logits.log_softmax(dim=-1)[:, -1]
    return -torch.expm1(nothing), logits[:, :-1].softmax(dim=-1)


def clip_posterior(
    embeddings: Tensor, classifier: Tensor, by_example: Tensor, settings: StageTwoSettings, *, scale: float
) -> Tensor:
    """Return CLIP's posterior `(Q, K)`: a softmax over the names; of example images a logistic function of the cosine.

    Args:
        embeddings: float `(Q, D)` of the masks.
        classifier: float `(K, D)`, unit vectors.
        by_example: bool `(K,)`: cosines of two images are far higher than those of an image and a phrase.
        settings: Scale and offset of example images.
        scale: CLIP's own factor of cosines.
    """
    cosine = F.normalize(embeddings.float(), dim=-1) @ classifier.float().T
    logits = (scale * cosine).masked_fill(by_example, -torch.inf)
    text = logits.softmax(dim=-1) if not by_example.all() else torch.zeros_like(cosine)
    return torch.where(by_example, (settings.image_scale * (cosine - settings.image_offset)).sigmoid(), text)


def ensemble(host: Tensor, clip: Tensor, weight: float, known: Tensor, skipped: Tensor | None = None) -> Tensor:
    """Return host^(1 - weight) * clip^weight `(Q, K)`; names that the host does not know have CLIP's posterior alone.

    Args:
        host: float `(Q, K)`.
        clip: float `(Q, K)`.
        weight: In [0, 1]; 0 is the host alone.
        known: bool `(K,)`, names that the host knows.
        skipped: bool `(Q,)`, masks that CLIP has not seen: it counts as 1 there, and as 0 for names that nobody knows.
    """
    seen = clip if skipped is None else clip.masked_fill(skipped[:, None], 1.0)
    alone = clip if skipped is None else clip.masked_fill(skipped[:, None], 0.0)
    return torch.where(known, host.clamp(min=0) ** (1 - weight) * seen**weight, alone)


def pooled_embeddings(features: Tensor, masks: Tensor) -> Tensor:
    """Return the mean features `(Q, D)` inside each mask.

    Args:
        features: float `(D, h, w)`, over the whole canvas.
        masks: float `(Q, H, W)` logits over the whole canvas; a mask that covers no cell is weighted by its
            probabilities.
    """
    size = (features.shape[1], features.shape[2])
    probability = masks.float().sigmoid()
    covered = F.adaptive_avg_pool2d((probability > 0.5).float()[None], size)[0].flatten(1)  # (Q, h * w)
    soft = F.adaptive_avg_pool2d(probability[None], size)[0].flatten(1)
    weights = torch.where(covered.sum(dim=1, keepdim=True) > 0, covered, soft)
    weights = weights / weights.sum(dim=1, keepdim=True).clamp(min=1e-6)
    return weights @ features.float().flatten(1).T
