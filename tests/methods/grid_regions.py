"""A small region model: cells of a grid as proposals, mean colours as vectors, phrases by a hash."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from wordmask.components.place.instances import NOTHING_PRESUMED, Presumed
from wordmask.contracts import Encoded
from wordmask.images import RgbImage
from wordmask.methods.tas.regions import RegionSet, TasFeatures, pack_masks, pack_text
from wordmask.ops.geometry import squash
from wordmask.ops.masks import PackedMask, pack


def grid(size: tuple[int, int], rows: int, columns: int) -> list[PackedMask]:
    """Return the cells of a grid over an image, those without a pixel left out."""
    vertical, horizontal = (np.arange(n) * k // n for n, k in zip(size, (rows, columns), strict=True))
    masks = [
        (vertical[:, None] == row) & (horizontal[None] == column) for row in range(rows) for column in range(columns)
    ]
    return [pack(mask) for mask in masks if mask.any()]


class GridRegions:
    """Implements `methods.tas.segmenter.RegionModel`."""

    name = "grid"

    def __init__(self, rows: int = 3, columns: int = 4) -> None:
        self.rows, self.columns = rows, columns
        self.encoded = 0

    def encode(self, image: RgbImage) -> Encoded:
        self.encoded += 1
        masks = grid(image.size, self.rows, self.columns)
        vectors = torch.stack([self._vector(image.pixels, mask) for mask in masks]) if masks else torch.zeros(0, 8)
        captions, phrases = ["a thing"] * len(masks), ["a cat", "the sky"]
        features = TasFeatures(
            *pack_masks(masks),
            torch.ones(len(masks)),
            vectors,
            self.embed_texts(captions) if masks else torch.zeros(0, 8),
            self.embed_texts(phrases),
            pack_text([*captions, *phrases]),
        )
        return Encoded(image.size, squash(image.size, image.size), features, image, self.name)

    def regions(self, encoded: Encoded, phrase: str, *, presumed: Presumed = NOTHING_PRESUMED) -> RegionSet:
        found: RegionSet = encoded.features.regions(encoded.size)
        return found

    def presence(self, encoded: Encoded, phrase: str) -> float:
        return 0.5

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        rows = [np.random.default_rng(zlib.crc32(text.encode())).normal(size=8) for text in texts]
        return F.normalize(torch.tensor(np.array(rows), dtype=torch.float32), dim=-1)

    def _vector(self, pixels: np.ndarray, mask: PackedMask) -> Tensor:
        mean = pixels[mask.full()].mean(axis=0) / 255 - 0.5
        values = torch.tensor([*mean, *np.sin(9 * mean), 0.1, -0.1], dtype=torch.float32)
        return F.normalize(values, dim=0)
