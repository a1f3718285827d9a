"""IoU of an exported model's masks, and of those as loaded by default, with the model's in float32, on data sets.

    python benchmarks/exported_masks.py SETS/coco SETS/pascal --exported compact-int8 --size 352

Each image is asked for up to four names that it shows and for six that it may lack. "drawn": masks that either model
draws with its own thresholds, 0 where only one draws; "all": every pair of masks that are not both empty, without the
presence threshold. Give the size that the folders were exported with.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from exported_speed import loaded

from wordmask.data.registry import open_data
from wordmask.ops.masks import iou

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wordmask.images import ImageInput

OTHERS = ("person", "face", "cat", "table", "sky", "wheel")
NAMES = 4


def questions(folders: Sequence[Path], split: str, count: int) -> list[tuple[ImageInput, list[str]]]:
    """Return images, `count` of each set, with phrases."""
    chosen: list[tuple[ImageInput, list[str]]] = []
    for folder in folders:
        data, draw = open_data(folder, split=split), random.Random(f"1{folder.name}")
        for index in draw.sample(range(len(data)), min(count, len(data))):
            sample = data[index]
            names = [query.label for query in sample.queries if query.packed.area]
            draw.shuffle(names)
            chosen.append((sample.image, [*dict.fromkeys(names)][:NAMES] + list(OTHERS)))
    return chosen


def answers(model: Any, asked: Sequence[tuple[ImageInput, list[str]]]) -> dict[str, list[Any]]:
    """Return masks with the model's thresholds, and without its presence threshold."""
    found: dict[str, list[Any]] = {"drawn": [], "all": []}
    for image, phrases in asked:
        encoded = model.encode(image)
        found["drawn"] += [one.packed for one in model.segment(encoded, phrases, refine=False)]
        found["all"] += [one.packed for one in model.segment(encoded, phrases, presence_threshold=0.0, refine=False)]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", type=Path)
    parser.add_argument("--model", default="compact")
    parser.add_argument("--exported", nargs="*", default=[])
    parser.add_argument("--size", type=int)
    parser.add_argument("--split", default="val")
    parser.add_argument("--images", type=int, default=13, help="of each set")
    arguments = parser.parse_args()
    asked = questions(arguments.sets, arguments.split, arguments.images)
    expected = answers(loaded(arguments.model, "float32", arguments.size), asked)
    print(f"{len(asked)} images")
    rows = [(arguments.model, "auto")] + [(name, dtype) for name in arguments.exported for dtype in ("float32", "auto")]
    for name, dtype in rows:
        found = answers(loaded(name, dtype, arguments.size), asked)
        row: dict[str, Any] = {"model": name, "dtype": dtype}
        for kind, masks in found.items():
            values = [iou(a, b) for a, b in zip(expected[kind], masks, strict=True) if a.area or b.area]
            row[kind] = {
                "masks": len(values), "mean": round(float(np.mean(values)), 4), "lowest": round(min(values), 4),
                "at least 0.99": round(float(np.mean(np.asarray(values) >= 0.99)), 3),
            }  # fmt: skip
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
