"""Ask val images of whole vocabularies, and keep what a table and its paired bootstrap need, image by image.

The network is measured as it is: presence before calibration and gate, masks cut at 0.5, no refinement by affinity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from wordmask.data.registry import open_data
from wordmask.images import load_image

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SETS = (("pascal", "val"), ("coco", "val"), ("everyday", "val-voc20"), ("everyday", "val-coco80"))
STRIDE = 32
CHUNK = 20
"""Phrases asked at once."""


@dataclass(frozen=True)
class Asked:
    """A val image with its names: those that are there with masks (or boxes), those that are known to be absent."""

    kind: str
    pixels: NDArray[np.uint8]
    there: tuple[str, ...]
    masks: NDArray[np.bool_]  # (len(there), H, W)
    absent: tuple[str, ...]


def asked_images(data: Path, limit: int) -> list[Asked]:
    """Read the first `limit` val images of each kind that show something."""
    rows = []
    for name, split in SETS:
        dataset = open_data(data / name, split=split)
        kind = name if split == "val" else split.removeprefix("val-")
        for index in range(min(limit, len(dataset))):
            sample = dataset[index]
            queries = [q for q in sample.queries if q.packed.area]
            if queries:
                masks = np.stack([q.mask for q in queries])
                there = tuple(q.label for q in queries)
                rows.append(Asked(kind, load_image(sample.image).pixels, there, masks, tuple(sample.absent)))
    return rows


@torch.no_grad()
def measure(model: Any, images: list[Asked], canvas: int) -> list[dict[str, Any]]:
    """Return a record of each image: presence logits, and how masks of what is there lie on their ground truth.

    Args:
        model: a `CompactTrainable`; left in evaluation mode.
        images: what is asked.
        canvas: longer side of the network's input in pixels.
    """
    model.eval()
    names = sorted({name for image in images for name in (*image.there, *image.absent)})
    vectors = dict(zip(names, model.embed(names), strict=True))
    return [_measured(model, image, vectors, canvas) for image in images]


def _measured(model: Any, image: Asked, vectors: dict[str, torch.Tensor], canvas: int) -> dict[str, Any]:
    asked = (*image.there, *image.absent)
    scale = canvas / max(image.pixels.shape[:2])
    height, width = (max(STRIDE, STRIDE * round(n * scale / STRIDE)) for n in image.pixels.shape[:2])
    small = cv2.resize(image.pixels, (width, height), interpolation=cv2.INTER_AREA)
    normalised = (torch.from_numpy(small).float() / 255 - torch.tensor(model.mean)) / torch.tensor(model.std)
    features = model.network.encode(normalised.permute(2, 0, 1)[None].contiguous(memory_format=torch.channels_last))
    presence: list[float] = []
    for start in range(0, len(asked), CHUNK):
        conditions = torch.stack([vectors[n] for n in asked[start : start + CHUNK]])[None]
        logits, answer = model.network.decoder(features, conditions)
        presence += answer[0].tolist()
        if start == 0:
            first = logits[0]
    if len(image.there) > CHUNK:
        first = model.network.decoder(features, torch.stack([vectors[n] for n in image.there])[None])[0][0]
    grown = F.interpolate(first[None, : len(image.there)], size=(height // 2, width // 2), mode="bilinear")[0]
    drawn = (grown > 0).numpy()
    truth = np.stack([_resized(mask, drawn.shape[1:]) for mask in image.masks])
    both, either = (drawn & truth).sum((1, 2)), (drawn | truth).sum((1, 2))
    return {
        "kind": image.kind,
        "there": list(image.there),
        "absent": list(image.absent),
        "presence": [round(p, 4) for p in presence],
        "intersection": both.tolist(),
        "union": either.tolist(),
        "drawn": drawn.sum((1, 2)).tolist(),
    }


def _resized(mask: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    return cv2.resize(mask.astype(np.uint8), shape[::-1], interpolation=cv2.INTER_NEAREST).astype(bool)
