"""Label maps and masks of classes as PNG: lossless for one class a pixel, or for each class by itself."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from wordmask.annotate.exports.base import ExportOptions, ReadBack, place_image
from wordmask.annotate.exports.names import file_stems, file_suffix, paint_order
from wordmask.annotate.labelled import class_mask
from wordmask.annotate.splits import split_of_images
from wordmask.formats.files import file_names
from wordmask.formats.png import encode_png
from wordmask.ops.masks import pack
from wordmask.ops.rle import decode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from wordmask.annotate.labelled import LabelledImage, LabelledSet
    from wordmask.ops.masks import PackedMask

__all__ = ["ClassMasks", "LabelMaps", "label_map"]


class LabelMaps:
    """`labels/ID.png`, `images/ID`, `classes.json` and `splits.json`: what `wordmask train --data` reads.

    The value of a pixel is the class of the object that `names.paint_order` puts on top there; 0 is none.
    """

    name = "label-map"
    summary = "label maps: PNG with a class number a pixel, classes.json"
    by_class = True

    def write(self, labelled: LabelledSet, folder: Path, options: ExportOptions) -> None:
        """Write label maps, and put the images beside them."""
        stems = file_stems(labelled)
        (folder / "labels").mkdir()
        for image in labelled:
            values = label_map(image, labelled.names)
            Image.fromarray(values).save(folder / "labels" / f"{stems[image.name]}.png")
            place_image(image, folder / "images" / f"{stems[image.name]}{file_suffix(image)}", options.images)
        names = {str(_value(number)): name for number, name in enumerate(labelled.names)}
        _write_json(folder / "classes.json", names)
        if options.splits:
            splits = split_of_images(labelled, options.splits, options.seed)
            parts = {part: sorted(stems[n] for n, s in splits.items() if s == part) for part in options.splits}
            _write_json(folder / "splits.json", {part: keys for part, keys in parts.items() if keys})

    def read(self, labelled: LabelledSet, folder: Path) -> Iterator[ReadBack]:
        """Read the label maps back."""
        names = json.loads((folder / "classes.json").read_bytes())
        for image, stem in file_stems(labelled).items():
            with Image.open(folder / "labels" / f"{stem}.png") as file:
                values = np.asarray(file)
            found = [(name, pack(values == int(value))) for value, name in names.items()]
            yield image, [(name, mask) for name, mask in found if mask.area]


def _value(number: int) -> int:
    """The pixel value of a class: from 1, without 255, which stands for pixels to ignore."""
    return number + 1 if number < 254 else number + 2


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def label_map(image: LabelledImage, names: tuple[str, ...]) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Return `(H, W)`: 0, or the value of the class of the topmost object; specks of a class lie under objects."""
    kind = np.uint8 if len(names) < 254 else np.uint16
    canvas = np.zeros(image.size, dtype=kind)
    for number, name in enumerate(names):
        for counts in image.rest.get(name, ()):
            canvas[decode({"size": list(image.size), "counts": counts})] = _value(number)
    for index in paint_order(image.objects):
        mask = image.objects[index].packed
        left, top, right, bottom = mask.window
        canvas[top:bottom, left:right][mask.crop()] = _value(names.index(image.objects[index].name))
    return canvas


class ClassMasks:
    """`CLASS/ID.png`, 255 on the class and 0 elsewhere, where an image has it; `index.jsonl` lists every image."""

    name = "class-png"
    summary = "a black and white PNG a class and image"
    by_class = True

    def write(self, labelled: LabelledSet, folder: Path, options: ExportOptions) -> None:
        """Write the masks and the index."""
        stems = file_stems(labelled)
        places = dict(zip(labelled.names, file_names(labelled.names, suffix=""), strict=True))
        with (folder / "index.jsonl").open("w", encoding="utf-8") as index:
            for image in labelled:
                files = {}
                for name in labelled.names:
                    mask = class_mask(image, name)
                    if mask.any():
                        files[name] = f"{places[name]}/{stems[image.name]}.png"
                        (folder / places[name]).mkdir(exist_ok=True)
                        (folder / files[name]).write_bytes(encode_png(mask))
                about = {"image": image.name, "size": image.size, "masks": files, "presence": dict(image.presence)}
                index.write(json.dumps(about, ensure_ascii=False) + "\n")

    def read(self, labelled: LabelledSet, folder: Path) -> Iterator[ReadBack]:
        """Read the masks back."""
        for line in (folder / "index.jsonl").read_text(encoding="utf-8").splitlines():
            about = json.loads(line)
            yield about["image"], [(name, _mask(folder / path)) for name, path in about["masks"].items()]


def _mask(path: Path) -> PackedMask:
    with Image.open(io.BytesIO(path.read_bytes())) as file:
        return pack(np.asarray(file) > 127)
