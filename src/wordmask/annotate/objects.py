"""Objects of a labelled image: run lengths with their scores; objects that were found twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wordmask.ops import masks
from wordmask.ops.rle import decode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wordmask.ops.masks import PackedMask

__all__ = ["LabelledObject", "merge_duplicates"]

SAME = 0.7
"""Mask IoU from which two objects that phrases of one class found are one."""


@dataclass(frozen=True, eq=False)
class LabelledObject:
    """One object.

    Attributes:
        name: Its class.
        counts: COCO's compressed run lengths over the whole image.
        box: `(x, y, width, height)` in pixels.
        area: Number of pixels.
        size: `(H, W)` of the image.
        score: Detection score in [0, 1]; None for labels from elsewhere that have none.
        mask_score: Mask quality in [0, 1]; None where it was not estimated.
        presence: Of its phrase; None for labels from elsewhere.
        origin: "model", "given" (a label that was there before) or "corrected" (by a person).
        record: The annotation that was there before, as it is; None for the model's.
    """

    name: str
    counts: str
    box: tuple[int, int, int, int]
    area: int
    size: tuple[int, int]
    score: float | None = None
    mask_score: float | None = None
    presence: float | None = None
    origin: str = "model"
    record: Mapping[str, Any] | None = None

    @classmethod
    def of_answer(cls, name: str, about: Mapping[str, Any], size: tuple[int, int], presence: float) -> LabelledObject:
        """Return an object of a stored answer."""
        x, y, width, height = about["bbox"]
        box = (int(x), int(y), int(width), int(height))
        return cls(name, about["rle"], box, about["area"], size, about["score"], about["mask_score"], presence)

    @property
    def packed(self) -> PackedMask:
        """The mask as bits."""
        return masks.pack(decode({"size": list(self.size), "counts": self.counts}))


def merge_duplicates(objects: Sequence[LabelledObject]) -> list[LabelledObject]:
    """Return objects without those that overlap a better one by `SAME`; the others keep their order."""
    ranked = sorted(range(len(objects)), key=lambda index: (-(objects[index].score or 0.0), index))
    kept: list[tuple[int, PackedMask]] = []
    for index in ranked:
        mask = objects[index].packed
        if all(masks.iou(mask, other) < SAME for _, other in kept):
            kept.append((index, mask))
    return [objects[index] for index in sorted(index for index, _ in kept)]
