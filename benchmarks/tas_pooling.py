"""Vectors of regions from one pass over the image against a pass for each crop, on the embedded network.

    python benchmarks/tas_pooling.py --data sets/coco --limit 20

Regions are the annotated instances of a val split. `pooled`: the network's features of the whole image, pooled under
every mask. `crops`: every region is cut out on black, as TAS does for CLIP, encoded by itself and pooled. For each name
in an image, both choose the region that fits best.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from referring import things_of

import wordmask
from wordmask.data.registry import open_data
from wordmask.images import RgbImage, load_image
from wordmask.methods.tas.crops import clip_crop
from wordmask.methods.tas.embedded import CompactRegions
from wordmask.methods.tas.segmenter import TasSegmenter
from wordmask.ops.masks import PackedMask, pack

if TYPE_CHECKING:
    from collections.abc import Sequence

LEAST = 400
"""Pixels of the smallest region."""


def by_pooling(model: CompactRegions, image: RgbImage, masks: Sequence[PackedMask]) -> torch.Tensor:
    """Return vectors (N, C) from one pass."""
    return model.vectors(masks, model.trunk.encode(image).features)


def by_crops(model: CompactRegions, image: RgbImage, masks: Sequence[PackedMask]) -> torch.Tensor:
    """Return vectors (N, C) from one pass for each region."""
    rows = []
    for mask in masks:
        crop = RgbImage(clip_crop(image.pixels, mask))
        inside = clip_crop((mask.full()[..., None].repeat(3, 2) * 255).astype("uint8"), mask)[..., 0] > 0
        rows.append(model.vectors([pack(inside)], model.trunk.encode(crop).features))
    return torch.cat(rows)


@torch.inference_mode()
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--limit", type=int, default=20)
    arguments = parser.parse_args()
    tas: Any = wordmask.load("tas", device="cpu", dtype="float32")
    assert isinstance(tas, TasSegmenter)
    assert isinstance(tas.model, CompactRegions)
    data = open_data(arguments.data, split=arguments.split)
    seconds, right, same, count, regions = {"pooled": 0.0, "crops": 0.0}, {"pooled": 0, "crops": 0}, 0, 0, 0
    for index in range(0, len(data), max(1, len(data) // arguments.limit)):
        image, things = things_of(data, index)
        things = [thing for thing in things if thing.mask.area >= LEAST]
        names = sorted({thing.name for thing in things})
        if len(names) < 2:
            continue
        pixels, chosen = load_image(image), {}
        asked = tas.model.embed_texts(names)
        for way, embed in (("pooled", by_pooling), ("crops", by_crops)):
            start = time.process_time()
            vectors = embed(tas.model, pixels, [thing.mask for thing in things])
            seconds[way] += time.process_time() - start
            chosen[way] = (vectors @ asked.T).argmax(0).tolist()
            right[way] += sum(things[row].name == name for row, name in zip(chosen[way], names, strict=True))
        same += sum(map(int.__eq__, chosen["pooled"], chosen["crops"]))
        count, regions = count + len(names), regions + len(things)
    print(f"{count} names, {regions} regions; the same region chosen for {100 * same / count:.0f} % of the names")
    for way, value in seconds.items():
        print(f"{way:<7} right name {100 * right[way] / count:.0f} %  {1000 * value / regions:.0f} ms CPU a region")


if __name__ == "__main__":
    main()
