"""COCO's panoptic format: a PNG whose colours are the numbers of segments, and a JSON file about them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from wordmask.annotate.exports.base import ExportOptions, ReadBack, scores_of
from wordmask.annotate.exports.coco import info_of
from wordmask.annotate.exports.names import file_stems, painted
from wordmask.ops.masks import pack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from wordmask.annotate.labelled import LabelledImage, LabelledSet

__all__ = ["CocoPanoptic"]


class CocoPanoptic:
    """`panoptic.json` and `panoptic/ID.png` with `id = R + 256 G + 65536 B`; 0 is no segment.

    A pixel belongs to one segment: where objects overlap, to the one that `names.paint_order` puts on top. Every class
    is a thing.
    """

    name = "coco-panoptic"
    summary = "COCO panoptic: PNG of segments, no overlaps"
    by_class = False

    def write(self, labelled: LabelledSet, folder: Path, options: ExportOptions) -> None:
        """Write the PNG files and `panoptic.json`."""
        stems = file_stems(labelled)
        (folder / "panoptic").mkdir()
        numbers = {name: number for number, name in enumerate(labelled.names, start=1)}
        images, annotations = [], []
        for number, image in enumerate(labelled, start=1):
            ids = painted(image)
            file_name = f"{stems[image.name]}.png"
            Image.fromarray(_colours(ids)).save(folder / "panoptic" / file_name)
            segments = list(_segments(image, ids, numbers))
            annotations.append({"image_id": number, "file_name": file_name, "segments_info": segments})
            height, width = image.size
            images.append({"id": number, "file_name": image.name, "height": height, "width": width})
        content = {
            "info": info_of(labelled, folder),
            "licenses": labelled.licences,
            "images": images,
            "annotations": annotations,
            "categories": [{"id": n, "name": name, "isthing": 1, "supercategory": name} for name, n in numbers.items()],
        }
        (folder / "panoptic.json").write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")

    def read(self, labelled: LabelledSet, folder: Path) -> Iterator[ReadBack]:
        """Read the PNG files back; ids that do not match both ways are an error of ours."""
        content = json.loads((folder / "panoptic.json").read_bytes())
        names = {one["id"]: one["name"] for one in content["categories"]}
        files = {one["image_id"]: one for one in content["annotations"]}
        for image in content["images"]:
            about = files[image["id"]]
            with Image.open(folder / "panoptic" / about["file_name"]) as file:
                colours = np.asarray(file.convert("RGB")).astype(np.int64)
            ids = colours[..., 0] + 256 * colours[..., 1] + 65536 * colours[..., 2]
            named = {one["id"]: names[one["category_id"]] for one in about["segments_info"]}
            assert set(np.unique(ids).tolist()) - {0} == set(named)
            yield image["file_name"], [(name, pack(ids == number)) for number, name in named.items()]


def _colours(ids: NDArray[np.int32]) -> NDArray[np.uint8]:
    return np.stack([ids & 255, (ids >> 8) & 255, (ids >> 16) & 255], axis=-1).astype(np.uint8)


def _segments(image: LabelledImage, ids: NDArray[np.int32], numbers: dict[str, int]) -> Iterator[dict[str, Any]]:
    """Yield what is said of each object that is still seen."""
    areas = np.bincount(ids.ravel(), minlength=len(image.objects) + 1)
    for place, one in enumerate(image.objects, start=1):
        if areas[place]:
            x0, y0, x1, y1 = pack(ids == place).window
            shape = {"id": place, "category_id": numbers[one.name], "area": int(areas[place])}
            yield shape | {"bbox": [x0, y0, x1 - x0, y1 - y0], "iscrowd": 0} | scores_of(one)
