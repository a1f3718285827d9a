"""Inputs of presence heads: whole images at the canvas of inference, asked for whole vocabularies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from wordmask.methods.compact.method import CompactModel
from wordmask.methods.compact.pooled_presence import pool_cells, pool_inputs
from wordmask.ops.resize import place

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from wordmask.methods.compact.mask_decoder import ImageFeatures

__all__ = ["AskedImage", "PresenceRows", "asked_image", "collect_rows"]

CHUNK = 16
"""Phrases decoded at once."""
SURE = 0.9
"""From this weight on an absent name of the vocabulary is asked."""


class AskedImage(NamedTuple):
    """An image and what is known about names on it.

    Attributes:
        pixels: uint8 (H, W, 3), the whole image.
        group: Of images that ask for the same names, such as a data set.
        there: Name -> 1.0 present, 0.0 absent.
        sure: Name -> weight of that knowledge; 1 where a name is missing.
    """

    pixels: NDArray[np.uint8]
    group: str
    there: Mapping[str, float]
    sure: Mapping[str, float]


@dataclass(frozen=True)
class PresenceRows:
    """Inputs of presence heads: R pairs of one of I images and one of N names.

    Attributes:
        pooled: float32 (R, P) of `pool_inputs`.
        scene: float32 (I, S).
        conditions: float32 (N, C).
        image, name, group: int64 (R,) numbers.
        there: float32 (R,), 1 present, 0 absent.
        sure: float32 (R,) weights.
        own: float32 (R,) logits of the decoder's own head.
        groups: Names of the groups.
    """

    pooled: Tensor
    scene: Tensor
    conditions: Tensor
    image: Tensor
    name: Tensor
    group: Tensor
    there: Tensor
    sure: Tensor
    own: Tensor
    groups: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.there)

    def inputs(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return pooled inputs, scene vectors and conditions of rows (n,)."""
        return self.pooled[rows], self.scene[self.image[rows]], self.conditions[self.name[rows]]


def asked_image(
    pixels: NDArray[np.uint8], group: str, there: Collection[str], sure: Mapping[str, float], *,
    own: Collection[str], tags: Collection[str] = (), rng: np.random.Generator,
) -> AskedImage:  # fmt: skip
    """Choose the names that are asked of an image.

    Args:
        pixels: uint8 (H, W, 3).
        group: Of images that ask for the same names.
        there: Names that are there.
        sure: Absent name -> weight of that knowledge; five of the less sure or foreign ones are drawn.
        own: Vocabulary of the group: what is surely absent of it is asked. Empty: all tags and nine absent names.
        tags: Names that are probably there; three are drawn, with weight 0.7.
        rng: Of the draws.
    """
    foreign = [n for n, w in sure.items() if n not in own or w < SURE]
    chosen = {foreign[i] for i in rng.permutation(len(foreign))[: 5 if own else 9]}
    asked = {n: 0.0 for n, w in sure.items() if n in chosen or (n in own and w >= SURE)}
    probable = sorted({*tags} - {*there})
    some = [probable[i] for i in rng.permutation(len(probable))[: 3 if own else None]]
    asked |= dict.fromkeys([*sorted(there), *some], 1.0)
    return AskedImage(pixels, group, asked, {**sure, **dict.fromkeys(some, 0.7 if own else 1.0)})


@torch.inference_mode()
def collect_rows(
    model: CompactModel, images: Iterable[AskedImage], *, hard: int = 14, others: int = 8, sides: Sequence[int] = (),
    seed: int = 0,
) -> PresenceRows:  # fmt: skip
    """Compute what presence heads read of whole images at the canvas of inference, or at others.

    Of many absent names on an image some are decoded: the hardest (highest peak of the dot path) and a few that are
    drawn from the others, weighted so that they stand for all of those.

    Args:
        model: With its decoder's own head.
        images: With the names that are known to be there and not to be there.
        hard: Hardest absent names of an image.
        others: Absent names drawn from the others.
        sides: Longer sides of canvases in pixels, from which each image's is drawn; (): that of inference.
        seed: Of the draws.
    """
    generator = np.random.default_rng(seed)
    names: dict[str, int] = {}
    groups: dict[str, int] = {}
    parts: list[tuple[Tensor, Tensor, Tensor]] = []  # pooled, own, scene of each image
    facts: list[tuple[int, int, int, float, float]] = []
    for number, asked in enumerate(images):
        features = _encode(model, asked.pixels, side=int(generator.choice(sides)) if sides else None)
        weights = _fewer(model, features, asked, hard=hard, others=others, generator=generator)
        phrases = list(weights)
        parts.append(_read(model, features, phrases))
        group = groups.setdefault(asked.group, len(groups))
        for phrase in phrases:
            row = (number, names.setdefault(phrase, len(names)), group, asked.there[phrase])
            facts.append((*row, weights[phrase]))
    pooled, own, scene = (torch.cat(column) for column in zip(*parts, strict=True))
    image, name, kind, there, sure = (torch.tensor(column) for column in zip(*facts, strict=True))
    conditions = model.embed_texts(list(names)).float()
    return PresenceRows(pooled, scene, conditions, image, name, kind, there.float(), sure.float(), own, tuple(groups))


def _encode(model: CompactModel, pixels: NDArray[np.uint8], *, side: int | None = None) -> ImageFeatures:
    """Return the features of one image at its canvas, or at that of another longer side."""
    if side is not None:
        model = CompactModel(model.name, model.network, model.tokenizer, replace(model.settings, long_side=side))
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (model.mean, model.std))
    canvas = place(pixels, model.canvas((pixels.shape[0], pixels.shape[1]))).astype(np.float32) / 255
    return model.network.encode(((torch.from_numpy(canvas).permute(2, 0, 1) - mean) / std)[None])


def _fewer(
    model: CompactModel, features: ImageFeatures, asked: AskedImage, *, hard: int, others: int,
    generator: np.random.Generator,
) -> dict[str, float]:  # fmt: skip
    """Return name -> weight of the names of an image that are decoded."""
    sure = {name: asked.sure.get(name, 1.0) for name in asked.there}
    absent = [name for name, there in asked.there.items() if not there]
    if len(absent) <= hard + others:
        return sure
    peaks = model.network.decoder.dot(features.pixel[..., ::2, ::2], model.embed_texts(absent)[None])
    order = torch.argsort(peaks[0].amax((1, 2)), descending=True).tolist()
    easier = generator.permutation(order[hard:])
    for left_out in easier[others:]:
        del sure[absent[left_out]]
    for kept in easier[:others]:
        sure[absent[kept]] *= len(easier) / others
    return sure


def _read(model: CompactModel, features: ImageFeatures, phrases: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
    """Return pooled inputs (K, P), the own head's logits (K,) and the scene vector (1, S) of one image."""
    pooled, own = [], []
    decoder = model.network.decoder
    prepared, cells = decoder.prepare(features), pool_cells(features.pixel)
    for first in range(0, len(phrases), CHUNK):
        conditions = model.embed_texts(phrases[first : first + CHUNK])[None]
        activations, dot, logits = decoder.masks(prepared, conditions)
        pooled.append(pool_inputs(cells, activations, dot, logits)[0].float())
        own.append(decoder.own_presence(prepared, conditions, activations, logits)[0].float())
    return torch.cat(pooled), torch.cat(own), features.scene.float()
