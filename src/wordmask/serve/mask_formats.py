"""Masks and heatmaps as JSON values: run lengths, polygons with holes, PNG, small maps of logits."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from PIL import Image

from wordmask.formats.png import encode_png
from wordmask.ops.rle import encode_packed

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from wordmask.ops.geometry import Size
    from wordmask.ops.masks import PackedMask
    from wordmask.results import Found, MaskLogits

__all__ = ["FORMATS", "HEATMAP_SIDE", "LOGITS", "heatmap", "mask_fields", "polygons"]

LOGITS = 8.0
"""Heatmaps are sent as logits between minus and plus this: probabilities 0.0003 to 0.9997."""
HEATMAP_SIDE = 256
"""Longer side of a heatmap, at most."""


def mask_fields(mask: PackedMask, kind: str) -> dict[str, Any]:
    """Return the field of an answer that holds a mask: `{kind: ...}`."""
    return {kind: FORMATS[kind](mask)}


def polygons(mask: PackedMask) -> list[dict[str, Any]]:
    """Return the parts of a mask as polygons through the centres of their border pixels, with their holes.

    Filling the exteriors and clearing the holes, borders of holes kept, gives the mask again.
    """
    if not mask.area:
        return []
    x0, y0 = mask.window[:2]
    found, tree = cv2.findContours(
        mask.crop().astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=(x0, y0)
    )
    parts: dict[int, dict[str, Any]] = {}
    links = np.asarray(tree)[0]  # for each contour: next, previous, first child, parent
    for index, contour in enumerate(found):
        points = np.asarray(contour).reshape(-1, 2).tolist()
        parent = int(links[index][3])
        if parent < 0:
            parts.setdefault(index, {"exterior": [], "holes": []})["exterior"] = points
        else:
            parts.setdefault(parent, {"exterior": [], "holes": []})["holes"].append(points)
    return list(parts.values())


def heatmap(found: Found) -> dict[str, Any]:
    """Return the map of a prompt's logits over the image as a small PNG; its grey values are logits, linearly."""
    dense = found.heatmap_logits
    logits = _cells(dense) if dense is not None else _reduced(found)
    levels = np.rint((logits.clip(-LOGITS, LOGITS) + LOGITS) * (255 / (2 * LOGITS))).astype(np.uint8)
    return {"png": _png(levels), "low": -LOGITS, "high": LOGITS}


def _cells(dense: MaskLogits) -> NDArray[np.float32]:
    """Logits over the image alone: the network's cells where the image fills the canvas, otherwise interpolated."""
    whole = dense.placement.content == (0, 0, *dense.placement.canvas)
    if whole and max(dense.values.shape) <= HEATMAP_SIDE:
        return dense.values
    return _resized(dense, _small(dense.size))


def _resized(dense: MaskLogits, size: Size) -> NDArray[np.float32]:
    """Logits at a size below that of the image, as if the image had been given at that size."""
    from dataclasses import replace

    from wordmask.ops.geometry import restore

    return restore(dense.values, replace(dense.placement, size=size))


def _reduced(found: Found) -> NDArray[np.float32]:
    """Logits of a result that has regions alone."""
    height, width = _small(found.size)
    small = np.asarray(cv2.resize(found.heatmap, (width, height), interpolation=cv2.INTER_AREA), np.float32)
    small = small.clip(1e-4, 1 - 1e-4)
    return np.asarray(np.log(small / (1 - small)), np.float32)


def _small(size: Size) -> Size:
    """The size of a heatmap: that of the image, at most `HEATMAP_SIDE`."""
    scale = min(1.0, HEATMAP_SIDE / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _png(levels: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "PNG", compress_level=1)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


FORMATS: dict[str, Callable[[PackedMask], Any]] = {
    "rle": encode_packed,
    "polygon": polygons,
    "png": lambda mask: base64.b64encode(encode_png(mask.full())).decode("ascii"),
}
"""How masks can be written, by the name in requests."""
