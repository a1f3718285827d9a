"""Images that look alike: difference hashes and groups of near ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

__all__ = ["NEAR", "difference_hash", "group_similar"]

NEAR = 4
"""Bits in which the hashes of two images may differ that count as one."""
_BANDS = NEAR + 1  # two hashes that differ by NEAR bits agree in one of these parts


def difference_hash(pixels: NDArray[np.uint8]) -> int:
    """Return 64 bits: for 8 x 8 cells of an image `(H, W, 3)`, whether each is darker than its right neighbour."""
    import cv2

    step = max(1, min(pixels.shape[:2]) // 64)
    grey = cv2.cvtColor(np.ascontiguousarray(pixels[::step, ::step]), cv2.COLOR_RGB2GRAY)
    cells = np.asarray(cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA), dtype=np.int16)
    bits = np.packbits(cells[:, 1:] > cells[:, :-1])
    return int.from_bytes(bits.tobytes(), "big")


def group_similar(hashes: Sequence[int]) -> list[int]:
    """Return for each hash the first index of its group: hashes within `NEAR` bits of one another, also by others."""
    parent = list(range(len(hashes)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for first, second in _candidates(hashes):
        if bin(hashes[first] ^ hashes[second]).count("1") <= NEAR:
            a, b = sorted((root(first), root(second)))
            parent[b] = a
    return [root(index) for index in range(len(hashes))]


def _candidates(hashes: Sequence[int]) -> Iterable[tuple[int, int]]:
    """Yield pairs that agree in one band of bits; equal hashes are compared with the first of them only."""
    first_of: dict[int, int] = {}
    for index, value in enumerate(hashes):
        if first_of.setdefault(value, index) != index:
            yield first_of[value], index
    width = -(-64 // _BANDS)
    for band in range(_BANDS):
        buckets: dict[int, list[int]] = {}
        for value, index in first_of.items():
            buckets.setdefault((value >> (band * width)) & ((1 << width) - 1), []).append(index)
        for members in buckets.values():
            yield from ((a, b) for place, a in enumerate(members) for b in members[place + 1 :])
