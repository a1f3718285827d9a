"""How batches of labelled images are mixed, what is in one, and tables that their losses read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from wordmask.training.compact.labelled_images import BY_BOXES, BY_PIXELS

if TYPE_CHECKING:
    from wordmask.training.compact.labelled_images import LabelledImages
    from wordmask.training.compact.phrase_bank import PhraseBank


@dataclass(frozen=True)
class Mixing:
    """How batches are mixed.

    Attributes:
        counts: label space -> images in a batch.
        scales: label space -> least and greatest extent of a crop, as a fraction of the image's longer side.
        group_odds: number of a data set -> how often its images are drawn beside others of their space.
        prompts: asked of each image, K.
        positives: of them that are there, at most.
        hidden: how often a rectangle of an image is hidden.
        pasted: label space -> how often something is pasted: on an image of the same space, or on one of `grounds`.
        grounds: label space -> spaces whose images hold none of its names.
        hard: how often absent names are drawn that are near in meaning to what is there.
        far: how often a noun far in meaning from the space is asked for as absent.
        pasteable: labels of the first space that are things to paste; None: all.
        real_ground: spaces where the label 0 is known to be none of the names.
        cut_mixed: label space -> how often a rectangle of another image of the space is put on an image, with its
            labels and boxes (CutMix, Yun et al., arXiv 1905.04899).
        open_names: spaces whose label maps leave names open: an image's names are those that are labelled on it or
            known to be absent.
    """

    counts: dict[str, int]
    scales: dict[str, tuple[float, float]] = field(default_factory=dict)
    group_odds: dict[int, float] = field(default_factory=dict)
    prompts: int = 6
    positives: int = 4
    hidden: float = 0.2
    pasted: dict[str, float] = field(default_factory=dict)
    grounds: dict[str, tuple[str, ...]] = field(default_factory=dict)
    hard: float = 0.5
    far: float = 0.15
    pasteable: tuple[str, ...] | None = None
    real_ground: tuple[str, ...] = ()
    cut_mixed: dict[str, float] = field(default_factory=dict)
    open_names: tuple[str, ...] = ()


class CompactBatch(NamedTuple):
    """B images with K prompts each; maps at the mask logits' stride of 4.

    Attributes:
        keys: none; images are not told apart.
        phrases: B * K names.
        pixels: float (B, 3, S, S), normalised.
        vectors: float (B, K, C) condition of each prompt.
        targets: float (B, K, h, w) fraction of each cell that the prompt covers.
        weights: float (B, K, h, w) confidence of the targets; 0 = unknown.
        inside: float (B, K, h, w) fraction of each cell inside the boxes of the prompt.
        boxed: float (B, K) 1 where boxes are what is known of the mask.
        presence: float (B, K) 1 where the thing is there.
        presence_weights: float (B, K).
        names: int64 (B, K) rows of the phrase bank.
        classes: int64 (B, h, w) label value, 0 = none of the names, -1 = unknown.
        allowed: bool (B, V + 1) label values that compete on an image.
        space: int64 (B,) label space.
        absent: float (B, P) confidence that names of the space are absent.
        cells: int64 (B, n) cells on which names compete.
        value_vectors: float (S, V, C) phrase vector of each label value of each space.
        balance: float (S, V + 1) weights of 'none' and of each label in the class loss.
    """

    keys: list[str]
    phrases: list[str]
    pixels: Tensor
    vectors: Tensor
    targets: Tensor
    weights: Tensor
    inside: Tensor
    boxed: Tensor
    presence: Tensor
    presence_weights: Tensor
    names: Tensor
    classes: Tensor
    allowed: Tensor
    space: Tensor
    absent: Tensor
    cells: Tensor
    value_vectors: Tensor
    balance: Tensor


def name_frequencies(data: LabelledImages, members: list[Tensor]) -> Tensor:
    """Float (S, P): the share of a space's images that show a name."""
    shown = (data.present == BY_PIXELS) | (data.present == BY_BOXES)
    rows = [shown[m].float().mean(0) if len(m) else shown[:1].float()[0] for m in members]
    return torch.stack(rows).clamp(min=2e-3)


def label_areas(data: LabelledImages) -> Tensor:
    """Float (N, 256): the share of each image that each label value covers."""
    areas = torch.zeros(len(data), 256, device=data.labels.device)
    for i in range(0, len(data), 256):
        flat = data.labels[i : i + 256].flatten(1).long()
        areas[i : i + 256].scatter_add_(1, flat, torch.ones_like(flat, dtype=torch.float32))
    cells = (data.sizes[:, 0] * data.sizes[:, 1]).float() / 4
    return areas / cells[:, None]


def value_vectors(data: LabelledImages, bank: PhraseBank, most: int) -> Tensor:
    """Float (S, most, C): the plain phrase vector of each label value of each space, zeros beyond its last."""
    table = torch.zeros(len(data.spaces), most, bank.targets.shape[1], device=bank.targets.device)
    for i, space in enumerate(data.spaces):
        count = len(space.labels)
        table[i, :count] = bank.phrase_vectors[bank.rows[i, :count], 0]
    return table


def class_balance(data: LabelledImages, areas: Tensor, members: list[Tensor], most: int) -> Tensor:
    """Float (S, most + 1): weights of 'none' and of each label, rarer in pixels -> heavier (square root, 0.3 to 4)."""
    result = torch.ones(len(data.spaces), most + 1, device=areas.device)
    for i, space in enumerate(data.spaces):
        sums = areas[members[i], : len(space.labels) + 1].sum(0).clamp(min=1e-3)
        result[i, : len(sums)] = (sums[1:].median() / sums).sqrt().clamp(0.3, 4.0)
    return result
