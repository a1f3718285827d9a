"""What TAS computes from an image once, before any expression: proposals, their vectors and their captions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from wordmask.components.place.mirror import flipped_mask, same_objects
from wordmask.ops.masks import PackedMask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wordmask.ops.geometry import Size

__all__ = ["RegionSet", "TasFeatures", "pack_masks", "pack_text", "unpack_masks", "unpack_text"]


@dataclass(frozen=True, eq=False)
class RegionSet:
    """Regions that are scored for an expression.

    Attributes:
        masks: N masks.
        quality: Mask quality of each, in [0, 1].
        vectors: (N, C), unit vectors of the regions.
        captions: (N, C), unit vectors of their captions; zero where there is none.
        texts: Their captions; "" where there is none.
        found: How many of them, the first ones, the model found as instances of the phrase itself.
    """

    masks: list[PackedMask]
    quality: list[float]
    vectors: Tensor
    captions: Tensor
    texts: list[str]
    found: int = 0

    def __len__(self) -> int:
        return len(self.masks)

    def select(self, indices: list[int]) -> RegionSet:
        """Return some of the regions, in rising order."""
        return RegionSet(
            [self.masks[index] for index in indices],
            [self.quality[index] for index in indices],
            self.vectors[indices],
            self.captions[indices],
            [self.texts[index] for index in indices],
            sum(index < self.found for index in indices),
        )

    def flipped(self) -> RegionSet:
        """Return the regions as they lie in the mirrored image."""
        return replace(self, masks=[flipped_mask(mask) for mask in self.masks])

    def merged(self, other: RegionSet) -> RegionSet:
        """Return the regions of two orientations, the other's flipped back; which is which does not matter.

        Regions that are the same object (`components.place.mirror.same_objects`) become one, with the mean of their
        vectors and qualities, and the mask of the one of higher quality.
        """
        pairs = same_objects(self.masks, other.masks)
        first, second = self.select([i for i, _ in pairs]), other.select([j for _, j in pairs])
        better = [max((row, first), (row, second), key=_quality) for row in range(len(pairs))]
        both = RegionSet(
            [one.masks[row] for row, one in better],
            [(a + b) / 2 for a, b in zip(first.quality, second.quality, strict=True)],
            F.normalize(first.vectors + second.vectors, dim=-1),
            torch.stack([one.captions[row] for row, one in better]) if better else first.captions,
            [one.texts[row] for row, one in better],
        )
        alone = [self.without([i for i, _ in pairs]), other.without([j for _, j in pairs])]
        every = both.joined(alone[0]).joined(alone[1])
        return every.select(sorted(range(len(every)), key=lambda row: -every.quality[row]))

    def without(self, indices: list[int]) -> RegionSet:
        """Return all regions but some."""
        return self.select([row for row in range(len(self)) if row not in indices])

    def joined(self, other: RegionSet) -> RegionSet:
        """Return these regions and others behind them."""
        return RegionSet(
            [*self.masks, *other.masks],
            [*self.quality, *other.quality],
            torch.cat([self.vectors, other.vectors]),
            torch.cat([self.captions, other.captions]),
            [*self.texts, *other.texts],
            self.found,
        )


def _quality(one: tuple[int, RegionSet]) -> tuple[float, int]:
    row, regions = one
    return regions.quality[row], regions.masks[row].area


class TasFeatures(NamedTuple):
    """Features of one image; a tree of tensors, so that it can be moved and stored as any method's features.

    Attributes:
        windows: int64 (N, 4), bounding box (x0, y0, x1, y1) of each proposal, the end exclusive.
        bits: uint8 (L,), the proposals inside their windows, eight pixels to a byte, one after the other.
        quality: (N,), mask quality in [0, 1].
        vectors: (N, C), unit vectors of the regions.
        captions: (N, C), unit vectors of their captions; zero where there is none.
        phrases: (K, C), unit vectors of the noun phrases of the whole image's caption.
        words: uint8 (L,), UTF-8: N captions, K noun phrases, one a line.
        trunk: Features of the network that regions of a single expression are made from; () without one.
    """

    windows: Tensor
    bits: Tensor
    quality: Tensor
    vectors: Tensor
    captions: Tensor
    phrases: Tensor
    words: Tensor
    trunk: Any = ()

    def masks(self, size: Size) -> list[PackedMask]:
        """Return the proposals in an image of `size`."""
        return unpack_masks(self.windows, self.bits, size)

    def regions(self, size: Size) -> RegionSet:
        """Return the proposals in an image of `size`."""
        return RegionSet(self.masks(size), self.quality.tolist(), self.vectors, self.captions, self.texts()[0])

    def texts(self) -> tuple[list[str], list[str]]:
        """Return the captions of the regions and the noun phrases of the image's caption."""
        lines = unpack_text(self.words)
        first, count = len(self.windows), len(self.phrases)
        return lines[:first], lines[first : first + count]


def pack_masks(masks: Sequence[PackedMask]) -> tuple[Tensor, Tensor]:
    """Return `TasFeatures.windows` and `TasFeatures.bits` of masks."""
    windows = torch.tensor([mask.window for mask in masks], dtype=torch.int64).reshape(-1, 4)
    bits = np.concatenate([np.zeros(0, np.uint8), *(mask.bits.ravel() for mask in masks)])
    return windows, torch.from_numpy(bits)


def unpack_masks(windows: Tensor, bits: Tensor, size: Size) -> list[PackedMask]:
    """Return the masks of an image of `size` that `pack_masks` stored."""
    flat, start, masks = bits.cpu().numpy(), 0, []
    for x0, y0, x1, y1 in windows.tolist():
        shape = (y1 - y0, -(-(x1 - x0) // 8))
        rows = flat[start : start + shape[0] * shape[1]].reshape(shape)
        start += rows.size
        masks.append(PackedMask(size, (x0, y0, x1, y1), rows, int(np.unpackbits(rows, axis=1).sum())))
    return masks


def pack_text(lines: Sequence[str]) -> Tensor:
    """Return lines of text as UTF-8 bytes, uint8 (L,); line breaks inside a line become blanks."""
    text = "\n".join(" ".join(line.splitlines()) for line in lines)
    return torch.from_numpy(np.frombuffer(text.encode() or b"\n", np.uint8).copy())


def unpack_text(words: Tensor) -> list[str]:
    """Return the lines that `pack_text` stored."""
    return words.cpu().numpy().tobytes().decode().split("\n")
