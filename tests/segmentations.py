"""Results with known answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wordmask.images import RgbImage
from wordmask.ops.geometry import Placement, squash
from wordmask.prompts import Prompt, TextPrompt
from wordmask.results import Found, MaskLogits, Region, Segmentation

CELLS = (20, 30)
SIZE = (40, 60)  # two input pixels a cell: shapes of whole cells come back with known borders


def logits(*boxes: tuple[int, int, int, int], inside: float = 4.0, cells: tuple[int, int] = CELLS) -> np.ndarray:
    """Return a map that is `inside` in the boxes (x0, y0, x1, y1 in cells) and -4 elsewhere."""
    values = np.full(cells, -4.0, dtype=np.float32)
    for x0, y0, x1, y1 in boxes:
        values[y0:y1, x0:x1] = inside
    return values


def found(
    name: str,
    values: np.ndarray,
    *,
    size: tuple[int, int] = SIZE,
    placement: Placement | None = None,
    presence: float = 0.9,
    threshold: float = 0.5,
    regions: Sequence[Region] | None = None,
) -> Found:
    """Return an answer over a squashed image."""
    dense = MaskLogits(values, placement or squash(size, (values.shape[0] * 4, values.shape[1] * 4)))
    return Found(
        TextPrompt(name),
        presence,
        threshold=threshold,
        presence_threshold=0.5,
        size=dense.size,
        heatmap_logits=dense,
        regions=tuple(regions) if regions is not None else None,
    )


def dense_found(
    prompt: Prompt,
    values: np.ndarray,
    placement: Placement,
    *,
    presence: float = 0.9,
    threshold: float = 0.5,
    presence_threshold: float = 0.5,
) -> Found:
    """Return a result from logits `(h, w)` over a canvas."""
    return Found(
        prompt,
        presence,
        threshold=threshold,
        presence_threshold=presence_threshold,
        size=placement.size,
        heatmap_logits=MaskLogits(values.astype(np.float32), placement),
    )


def segmentation(*founds: Found, size: tuple[int, int] = SIZE, name: str | None = "photo.jpg") -> Segmentation:
    """Return a result over a grey image."""
    image = RgbImage(np.full((*size, 3), 120, dtype=np.uint8), name)
    return Segmentation(size, founds, image, "fake")
