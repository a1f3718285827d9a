"""One data set out of several small ones: square pictures of one size, names as phrases, COCO's format.

    python -m scripts.experiments.clipseg.pooling --data DATA --out runs/clipseg/pooled

Pictures for training are cut to a square window, those for validation squashed to one, as CLIPSeg does with PhraseCut
(arXiv 2112.10003, section 4). Both are done once, here, and not anew in every epoch: every view of a picture then has
the same pixels in every run and for every seed, and what the frozen towers make of it is computed once for all runs.
A thing that covers less than `least` of the square is left out; pixels without a name are taken as ground.
"""

from __future__ import annotations

import argparse
import io
import json
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from wordmask.data.plain import plain
from wordmask.errors import DataError, sentence
from wordmask.formats.files import write
from wordmask.images import load_image
from wordmask.ops import rle
from wordmask.ops.masks import pack
from wordmask.ops.resize import resize

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wordmask.contracts import Dataset
    from wordmask.data.sample import Sample

SETS = ("coco", "pascal", "celebamask", "clothing", "carparts", "camvid", "facade", "windows")
"""Sets of the plain layout with more than one name; those of one person or one toy a picture ask nothing of words."""
SIDE = 176
LEAST = 0.004
"""Share of the picture that a thing must cover: half a token of 16 pixels at 176 pixels."""
QUALITY = 92


@dataclass
class Pool:
    """COCO's lists, as they fill.

    Attributes:
        images, annotations: Records.
        names: Phrase -> its category's number.
        splits: Keys by split.
    """

    images: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)
    splits: dict[str, list[str]] = field(default_factory=dict)

    def add(self, key: str, split: str, side: int, masks: dict[str, NDArray[np.bool_]]) -> None:
        """Add a picture and what is in it."""
        number = len(self.images) + 1
        self.images.append({"id": number, "file_name": f"{key}.jpg", "height": side, "width": side})
        self.splits.setdefault(split, []).append(key)
        for name, mask in masks.items():
            category = self.names.setdefault(name, len(self.names) + 1)
            record = {"id": len(self.annotations) + 1, "image_id": number, "category_id": category, "iscrowd": 0}
            packed = pack(mask)
            box = packed.box or (0.0, 0.0, 0.0, 0.0)
            spans = {"bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]], "area": packed.area}
            self.annotations.append({**record, **spans, "segmentation": rle.encode_packed(packed)})

    def to_json(self) -> dict[str, Any]:
        """Return the content of instances.json."""
        categories = [{"id": number, "name": name} for name, number in self.names.items()]
        return {"images": self.images, "categories": categories, "annotations": self.annotations}


def phrase(name: str) -> str:
    """Return a label as one would say it: "wall-brick" -> "wall brick"."""
    return " ".join(name.replace("-", " ").replace("_", " ").lower().split())


def set_of(key: str) -> str:
    """Return which set a pooled picture comes from."""
    return key.split("--", 1)[0]


def pool(
    data: Path, out: Path, *, sets: Sequence[str] = SETS, side: int = SIDE, most: dict[str, int], least: float = LEAST
) -> dict[str, Any]:
    """Write the pooled set in the plain layout; what is there already is kept if it was made in the same way.

    Args:
        data: Folder of sets in the plain layout.
        out: Where to.
        sets: Names of the sets.
        side: Of the squares, in pixels.
        most: Pictures of each set, by split; they are taken evenly from all.
        least: Share of the square that a thing must cover.

    Returns:
        What pool.json says: the options, and the numbers of pictures and of pairs of picture and phrase.

    Raises:
        DataError: If a set is missing or malformed, or the folder holds another pool.
    """
    options = {"sets": list(sets), "side": side, "most": most, "least": least}
    if (out / "pool.json").is_file():
        return _same(json.loads((out / "pool.json").read_bytes()), options, out)
    whole, counts = Pool(), {}
    for name in sets:
        for split, number in most.items():
            before = len(whole.images), len(whole.annotations)
            _add_set(whole, plain(data / name, split), name, split, number, side, least, out / "images")
            counts[f"{name}/{split}"] = [len(whole.images) - before[0], len(whole.annotations) - before[1]]
    for split in most:
        if split not in whole.splits:
            got = f"nothing of split {split} that covers {least:.1%} of its picture"
            raise DataError(sentence(got, "some pictures", "name other sets, or a smaller --least"))
    write(out / "instances.json", json.dumps(whole.to_json()).encode())
    write(out / "splits.json", json.dumps(whole.splits).encode())
    write(out / "SOURCE.md", f"Pooled from {', '.join(sets)}; each set's own terms hold.\n".encode())
    facts = {**options, "names": len(whole.names), "pictures_and_pairs": counts}
    write(out / "pool.json", (json.dumps(facts, indent=2) + "\n").encode())
    return facts


def _same(facts: dict[str, Any], options: dict[str, Any], out: Path) -> dict[str, Any]:
    kept = {name: facts.get(name) for name in options}
    if kept != options:
        raise DataError(sentence(f"a pool made with {kept} in {out}", f"{options}", "choose another folder"))
    return facts


def _add_set(
    whole: Pool, dataset: Dataset, name: str, split: str, most: int, side: int, least: float, images: Path
) -> None:
    for index in evenly(len(dataset), most):
        sample = dataset[index]
        key = f"{name}--{sample.key}"
        pixels, masks = square(sample, side, cut=split == "train", seed=zlib.crc32(key.encode()))
        shown = {label: mask for label, mask in masks.items() if mask.mean() >= least}
        if shown:
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "JPEG", quality=QUALITY)
            write(images / f"{key}.jpg", buffer.getvalue())
            whole.add(key, split, side, shown)


def evenly(count: int, most: int) -> list[int]:
    """Return at most `most` of the indices 0 to `count - 1`, evenly spaced."""
    return list(range(count)) if count <= most else [place * count // most for place in range(most)]


def square(
    sample: Sample, side: int, *, cut: bool, seed: int
) -> tuple[NDArray[np.uint8], dict[str, NDArray[np.bool_]]]:
    """Return uint8 `(side, side, 3)` and the masks, bool `(side, side)`, by phrase.

    Args:
        sample: A picture with text queries.
        side: In pixels.
        cut: Whether a square window is cut out at random; otherwise the whole picture is squashed.
        seed: Of the window's place.
    """
    pixels = load_image(sample.image).pixels
    height, width = pixels.shape[:2]
    window = (slice(0, height), slice(0, width))
    if cut:
        edge = min(height, width)
        top, left = (int(np.random.default_rng(seed).integers(room - edge + 1)) for room in (height, width))
        window = (slice(top, top + edge), slice(left, left + edge))
    masks: dict[str, NDArray[np.bool_]] = {}
    for query in sample.queries:
        part = query.mask[window].astype(np.uint8) * np.uint8(255)
        small = resize(np.ascontiguousarray(part), (side, side)) > 127
        name = phrase(query.label)
        masks[name] = masks[name] | small if name in masks else small
    return resize(np.ascontiguousarray(pixels[window]), (side, side)), masks


def main() -> None:
    """Read the command line and pool."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of sets in the plain layout")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--side", type=int, default=SIDE)
    parser.add_argument("--most", type=int, default=180, help="training pictures of each set")
    parser.add_argument("--most-val", type=int, default=32, help="validation pictures of each set")
    parser.add_argument("--least", type=float, default=LEAST, help="share of the picture a thing must cover")
    arguments = parser.parse_args()
    most = {"train": arguments.most, "val": arguments.most_val}
    facts = pool(
        arguments.data, arguments.out, sets=arguments.sets, side=arguments.side, most=most, least=arguments.least
    )
    print(json.dumps(facts, indent=2))


if __name__ == "__main__":
    main()
