"""Labels that images have from elsewhere, as masks: COCO's polygons and run lengths, YOLO's polygons and boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.annotate.objects import LabelledObject
from wordmask.errors import ImageError
from wordmask.ops.boxes import to_xywh
from wordmask.ops.masks import pack
from wordmask.ops.polygons import fill_as_coco
from wordmask.ops.rle import compress, decode, encode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["given_object"]


def given_object(name: str, record: Mapping[str, Any], size: tuple[int, int], origin: str) -> LabelledObject | None:
    """Return the object of an annotation from elsewhere; None where it marks no pixel of the image.

    Args:
        name: Its class.
        record: COCO's annotation without ids, or `{"yolo": [x, y, …]}` in fractions of the sides.
        size: `(H, W)` of the image.
        origin: Where it came from.
    """
    try:
        mask = _mask(record, size)
    except (ImageError, ValueError, TypeError, KeyError):
        return None
    packed = pack(mask)
    if not packed.area or packed.box is None:
        return None
    x, y, width, height = (int(value) for value in to_xywh(packed.box))
    verbatim = None if "yolo" in record else record
    return LabelledObject(
        name, encode(mask)["counts"], (x, y, width, height), packed.area, size, record.get("score"),
        record.get("mask_score"), record.get("presence"), origin, verbatim,
    )  # fmt: skip


def _mask(record: Mapping[str, Any], size: tuple[int, int]) -> NDArray[np.bool_]:
    height, width = size
    if "yolo" in record:
        values = np.array(record["yolo"], dtype=np.float64)
        if len(values) == 4:
            x, y, w, h = values * [width, height, width, height]
            return _box(x - w / 2, y - h / 2, w, h, size)
        return fill_as_coco(values.reshape(-1, 2) * [width, height], size)
    code = record.get("segmentation")
    if isinstance(code, dict) and list(code["size"]) == list(size):
        counts = code["counts"]
        text = counts if isinstance(counts, str) else compress(np.array(counts, dtype=np.int64))
        return decode({"size": list(size), "counts": text})
    if isinstance(code, list) and code:
        return _polygons(code, size)
    x, y, w, h = record["bbox"]
    return _box(x, y, w, h, size)


def _polygons(polygons: Sequence[Sequence[float]], size: tuple[int, int]) -> NDArray[np.bool_]:
    mask = np.zeros(size, dtype=np.bool_)
    for polygon in polygons:
        mask |= fill_as_coco(np.array(polygon, dtype=np.float64).reshape(-1, 2), size)
    return mask


def _box(x: float, y: float, width: float, height: float, size: tuple[int, int]) -> NDArray[np.bool_]:
    mask = np.zeros(size, dtype=np.bool_)
    left, top = max(0, round(x)), max(0, round(y))
    mask[top : max(0, round(y + height)), left : max(0, round(x + width))] = True
    return mask
