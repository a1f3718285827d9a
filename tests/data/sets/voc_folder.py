"""A small PASCAL VOC 2012 in its authors' layout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from tests.images import scene

PALETTE = [value for index in range(256) for value in (index, 255 - index, index // 2)]


def write_voc(folder: Path, labels: Mapping[str, np.ndarray], split: str = "val") -> Path:
    """Write VOCdevkit/VOC2012 below a folder, with an image for every label map, and return VOC2012."""
    root = folder / "VOCdevkit" / "VOC2012"
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / name).mkdir(parents=True)
    (root / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("\n".join(labels) + "\n")
    for name, values in labels.items():
        image = _palette(values)
        image.save(root / "SegmentationClass" / f"{name}.png")
        Image.fromarray(scene(*values.shape)).save(root / "JPEGImages" / f"{name}.jpg")
    return root


def _palette(values: np.ndarray) -> Image.Image:
    image = Image.new("P", (values.shape[1], values.shape[0]))
    image.putpalette(PALETTE)
    image.putdata([int(value) for value in values.ravel()])
    return image
