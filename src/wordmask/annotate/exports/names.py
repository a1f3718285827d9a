"""Flat file names of images in exports, and one map of object numbers from masks that overlap."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from wordmask.formats.files import HARMFUL, shortened

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wordmask.annotate.labelled import LabelledImage, LabelledSet
    from wordmask.annotate.objects import LabelledObject

__all__ = ["file_stems", "file_suffix", "paint_order", "painted"]


def file_stems(labelled: LabelledSet) -> dict[str, str]:
    """Return for the name of every image a stem that no other has: folders are joined by two underscores."""
    taken: set[str] = set()
    stems: dict[str, str] = {}
    for image in labelled:
        path = PurePosixPath(image.name.rpartition("#")[2])
        stem = shortened(HARMFUL.sub("-", "__".join((*path.parts[:-1], path.stem))).replace(":", "-"))
        unique, copies = stem, 1
        while unique.casefold() in taken:
            copies += 1
            unique = f"{stem}-{copies}"
        taken.add(unique.casefold())
        stems[image.name] = unique
    return stems


def file_suffix(image: LabelledImage) -> str:
    """Return the suffix of an image's file, in lower case."""
    return PurePosixPath(image.name).suffix.lower() or ".jpg"


def paint_order(objects: Sequence[LabelledObject]) -> list[int]:
    """Return the order in which objects are painted, the last on top.

    Labels of people lie on top; then an object on one of twice its area, so that parts stay on wholes; then those of
    like area by their scores.
    """

    def rank(index: int) -> tuple[bool, int, float, int]:
        one = objects[index]
        return (one.origin != "model", -one.area.bit_length(), 1.0 if one.score is None else one.score, -index)

    return sorted(range(len(objects)), key=rank)


def painted(image: LabelledImage) -> NDArray[np.int32]:
    """Return int32 `(H, W)`: 0, or the object's place plus 1; where objects overlap, the one painted last."""
    canvas = np.zeros(image.size, dtype=np.int32)
    for index in paint_order(image.objects):
        mask = image.objects[index].packed
        left, top, right, bottom = mask.window
        canvas[top:bottom, left:right][mask.crop()] = index + 1
    return canvas
