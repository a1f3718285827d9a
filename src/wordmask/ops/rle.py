"""COCO's run-length encoding, lossless and compressed, in NumPy.

A mask is read column by column; `counts` are the lengths of its runs, beginning with zeros. Compressed, each count
from the fourth on is stored as its difference to the one two places before, and every number as groups of five bits
(lowest first, sign-extended, bit 5 set when more follow) in the printable characters from `0` on. Byte for byte what
pycocotools writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

import cv2
import numpy as np

from wordmask.errors import ImageError, sentence
from wordmask.ops.boxes import from_mask

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wordmask.ops.masks import PackedMask

_GROUPS = 7  # seven groups of five bits hold any signed 32-bit number


class RLE(TypedDict):
    """`size`: `[H, W]`; `counts`: the compressed runs, ASCII."""

    size: list[int]
    counts: str


def encode(mask: NDArray[np.bool_]) -> RLE:
    """Encode a whole mask, bool `(H, W)`."""
    height, width = mask.shape
    x0, y0, x1, y1 = (int(value) for value in from_mask(mask) or (0, 0, 0, 0))
    counts = _counts(mask[y0:y1, x0:x1], (height, width), (x0, y0))
    return {"size": [height, width], "counts": compress(counts)}


def encode_packed(mask: PackedMask) -> RLE:
    """Encode a packed mask from its window alone: the cost follows the object's size, not the image's."""
    return {"size": list(mask.size), "counts": compress(_counts(mask.crop(), mask.size, mask.window[:2]))}


def decode(rle: RLE) -> NDArray[np.bool_]:
    """Return bool `(H, W)`.

    Raises:
        ImageError: If the runs are damaged or do not fill the size.
    """
    height, width = rle["size"]
    counts = decompress(rle["counts"])
    if counts.sum() != height * width or (counts < 0).any():
        got = f"run lengths for {int(counts.sum())} pixels"
        raise ImageError(sentence(got, f"{height} x {width} = {height * width}", "write the mask again"))
    values = np.arange(len(counts)) % 2 == 1
    return np.ascontiguousarray(np.repeat(values, counts).reshape(width, height).T)


def _counts(crop: NDArray[np.bool_], size: tuple[int, int], offset: tuple[int, int]) -> NDArray[np.int64]:
    """Return the run lengths of a mask of `size` that is False outside `crop`, placed at `offset = (x, y)`."""
    height, width = size
    rows, columns = crop.shape
    # A column of the crop becomes a row with a False on either side: every run has a beginning and an end in it.
    padded = np.zeros((columns, rows + 2), dtype=np.uint8)
    padded[:, 1:-1] = cv2.transpose(crop.view(np.uint8)).reshape(columns, rows) if crop.size else crop.T
    flat = padded.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    column, row = np.divmod(edges, rows + 2)
    position = (column + offset[0]) * height + row + offset[1]
    # A run that leaves a column at the bottom and enters the next at the top is one run: drop its inner edges.
    inner = np.flatnonzero(position[1:-1:2] == position[2::2]) * 2 + 1
    position = np.delete(position, np.concatenate([inner, inner + 1]))
    counts = np.diff(position, prepend=0, append=height * width)
    return counts[:-1] if len(counts) > 1 and counts[-1] == 0 else counts


def compress(counts: NDArray[np.int64]) -> str:
    """Return run lengths as COCO's string."""
    left = counts.astype(np.int64)
    left[3:] -= counts[1:-2]
    groups = np.zeros((len(left), _GROUPS), dtype=np.uint8)
    used = np.zeros((len(left), _GROUPS), dtype=np.bool_)
    more = np.ones(len(left), dtype=np.bool_)
    for place in range(_GROUPS):
        used[:, place] = more
        low = left & 0x1F
        left >>= 5
        more = more & (left != np.where(low & 0x10, -1, 0))
        groups[:, place] = (low | np.where(more, 0x20, 0)) + 48
        if not more.any():
            break
    return groups[used].tobytes().decode("ascii")


def decompress(text: str) -> NDArray[np.int64]:
    """Return the run lengths in COCO's string.

    Raises:
        ImageError: If the string is damaged.
    """
    codes = np.frombuffer(text.encode("utf-8"), dtype=np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero((codes & 0x20) == 0)
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64)
    lengths = ends - starts + 1
    damaged = (
        not len(ends) or ends[-1] != len(codes) - 1 or lengths.max() > _GROUPS or codes.min() < 0 or codes.max() > 63
    )
    if damaged:
        raise ImageError(sentence("damaged run lengths", "COCO's compressed RLE", "write the mask again"))
    place = 5 * (np.arange(len(codes)) - np.repeat(starts, lengths))
    values = np.add.reduceat((codes & 0x1F) << place, starts)
    values -= np.where(codes[ends] & 0x10, 1 << (5 * lengths), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values
