"""Phrase vectors of every name, as the text encoder reads several ways to say it, for batches made on the device."""

from __future__ import annotations

import random
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from wordmask.training.compact.augment import constant
from wordmask.training.compact.phrases import vary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wordmask.training.compact.label_space import LabelSpace
    from wordmask.training.compact.vocabulary import PhraseTargets

KIND = 0.55
"""A noun whose nearest name is this near (cosine) is a kind of that name: a puppy is a dog."""
FAR = 0.25
"""A noun whose vector is nearer than this (cosine) to a name of the space is no safe negative there."""
KINDS = 8
"""Kinds of a name that are kept, at most."""


@dataclass
class PhraseBank:
    """Vectors of G names and which of them each label space asks for.

    Attributes:
        names: G names.
        targets: float (G, C), what each name's vector is trained towards.
        phrase_vectors: float (G, W, C), what the text encoder makes of W ways to say it, the plain one first.
        kinds: float (G, 8, C), nouns that are kinds of the name; `kind_count` (G,) of them are there.
        rows: int64 (S, P), the name of each row of each label space; -1 = none.
        far: int64 (S, F), nouns that are safe negatives of each space, padded by repetition; -1 = there is none.
        similarity: float (S, P, P), cosine of the names of a space.
    """

    names: list[str]
    targets: Tensor
    phrase_vectors: Tensor
    kinds: Tensor
    kind_count: Tensor
    rows: Tensor
    far: Tensor
    similarity: Tensor

    def to(self, device: torch.device | str) -> PhraseBank:
        """The same on another device."""
        return PhraseBank(
            self.names, **{f.name: getattr(self, f.name).to(device) for f in fields(self) if f.name != "names"}
        )

    def draw(self, names: Tensor, generator: torch.Generator) -> Tensor:
        """A vector for each of the names (any shape) -> float (..., C) of unit length.

        In two of three cases the text encoder's, else the target, moved towards a kind of the name, with noise.
        """
        flat = names.flatten()
        count, device = len(flat), flat.device

        def numbers(low: float = 0.0, high: float = 1.0) -> Tensor:
            return torch.rand(count, generator=generator, device=device) * (high - low) + low

        way = (numbers() * self.phrase_vectors.shape[1]).long()
        way = torch.where(numbers() < 0.3, 0, way)
        phrase_vectors = self.phrase_vectors[flat, way]
        target = self.targets[flat]
        kinds = self.kind_count[flat]
        kind = self.kinds[flat, (numbers() * kinds.clamp(min=1)).long()]
        lean = torch.where((numbers() < 0.25) & (kinds > 0), numbers(0, 0.7), 0.0)[:, None]
        target = F.normalize(target + lean * (kind - target), dim=1)
        noise = F.normalize(torch.randn(target.shape, generator=generator, device=device), dim=1)
        level = constant((0.0, 0.2, 0.45), device)[(numbers() * 3).long()]
        target = F.normalize(target + level[:, None] * noise, dim=1)
        chosen = torch.where((numbers() < 0.67)[:, None], phrase_vectors, target)
        return chosen.view(*names.shape, -1)


def build_bank(
    spaces: Sequence[LabelSpace],
    embed: Callable[[list[str]], Tensor],
    targets: PhraseTargets | None = None,
    *,
    ways: int = 12,
    related: Sequence[str] = (),
    seed: int = 0,
) -> PhraseBank:
    """Collect the names of label spaces and their vectors.

    Args:
        spaces: label spaces.
        embed: phrases -> unit vectors (P, C) of the text encoder.
        targets: vectors that phrases are trained towards, and nouns to ask for as absent; None = the text encoder's
            vectors and no other nouns.
        ways: of saying each name.
        related: names near which no noun is a safe negative in any space (clothes and parts of people).
        seed: of the ways of saying names.
    """
    names = sorted({n for s in spaces for n in s.names} | set(targets.nouns if targets else ()))
    index = {n: i for i, n in enumerate(names)}
    rng = random.Random(seed)
    synonyms = targets.facts.get("synonyms", {}) if targets else {}
    phrases = []
    for name in names:
        words = [name, name, *synonyms.get(name, [])]
        phrases += [name, *(vary(rng.choice(words), rng) for _ in range(ways - 1))]
    with torch.no_grad():
        parts = [embed(phrases[i : i + 512]).float().cpu() for i in range(0, len(phrases), 512)]
    phrase_vectors = torch.cat(parts).view(len(names), ways, -1)
    vectors = np.stack([targets.of(n) for n in names]) if targets else phrase_vectors[:, 0].numpy()
    most = max(len(s.names) for s in spaces)
    rows = np.full((len(spaces), most), -1, np.int64)
    similarity = np.zeros((len(spaces), most, most), np.float32)
    for i, space in enumerate(spaces):
        row = [index[n] for n in space.names]
        rows[i, : len(row)] = row
        similarity[i, : len(row), : len(row)] = vectors[row] @ vectors[row].T
    known = sorted({n for s in spaces for n in (*s.labels, *s.unions)})
    kinds, kind_count = _kinds(known, index, vectors, targets)
    far = _far_nouns(spaces, index, targets, related)
    tensors = [torch.from_numpy(a) for a in (kinds, kind_count, rows, far, similarity)]
    return PhraseBank(names, torch.from_numpy(vectors), phrase_vectors, *tensors)


def _far_nouns(
    spaces: Sequence[LabelSpace], index: dict[str, int], targets: PhraseTargets | None, related: Sequence[str]
) -> np.ndarray:
    """Numbers (S, F) of the nouns that are far in meaning from all names of each space."""
    far: list[list[int]] = []
    for space in spaces if targets else ():
        assert targets is not None
        near = np.stack([targets.of(n) for n in (*space.names, *related)])
        best = (targets.vectors @ near.T).max(1)
        far.append([index[n] for n, c in zip(targets.nouns, best, strict=True) if c < FAR])
    width = max([1, *map(len, far)])
    rows = [(f * (width // len(f) + 1))[:width] if f else [-1] * width for f in far or [[] for _ in spaces]]
    return np.array(rows, np.int64)


def _kinds(
    known: Sequence[str], index: dict[str, int], vectors: np.ndarray, targets: PhraseTargets | None
) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of the nouns whose nearest known name each name is, and their number."""
    kinds = np.zeros((len(index), KINDS, vectors.shape[1]), np.float32)
    count = np.zeros(len(index), np.int64)
    if targets is None:
        return kinds, count
    table = np.stack([targets.of(n) for n in known])
    cosine = targets.vectors @ table.T
    nearest, best = cosine.argmax(1), cosine.max(1)
    for i, name in enumerate(known):
        rows = np.flatnonzero((nearest == i) & (best >= KIND) & (best < 0.98))[:KINDS]
        kinds[index[name], : len(rows)] = targets.vectors[rows]
        count[index[name]] = len(rows)
    return kinds, count
