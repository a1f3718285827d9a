"""Datumaro's own JSON: lossless masks with scores as attributes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from wordmask.annotate.exports.base import ExportOptions, ReadBack, place_image, scores_of
from wordmask.annotate.exports.names import file_stems, file_suffix
from wordmask.annotate.splits import split_of_images
from wordmask.ops.masks import pack
from wordmask.ops.rle import decode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wordmask.annotate.labelled import LabelledImage, LabelledSet

__all__ = ["Datumaro"]

_IMAGE = 2  # number of images among Datumaro's types of media


class Datumaro:
    """`annotations/SPLIT.json` and `images/SPLIT/`."""

    name = "datumaro"
    summary = "Datumaro JSON: run lengths with scores"
    by_class = False

    def write(self, labelled: LabelledSet, folder: Path, options: ExportOptions) -> None:
        """Write one file a split, and put the images beside them."""
        splits, stems = split_of_images(labelled, options.splits, options.seed), file_stems(labelled)
        numbers = {name: number for number, name in enumerate(labelled.names)}
        labels = [{"name": name, "parent": "", "attributes": []} for name in labelled.names]
        categories = {"label": {"labels": labels, "label_groups": [], "attributes": []}}
        head = {"dm_format_version": "1.0", "media_type": _IMAGE, "infos": {}, "categories": categories}
        (folder / "annotations").mkdir()
        for split in options.splits or ("train",):
            chosen = [name for name, other in splits.items() if other == split]
            if not chosen:
                continue
            with (folder / "annotations" / f"{split}.json").open("w", encoding="utf-8") as file:
                file.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "items": [')
                mark = "\n"
                for image in labelled:
                    if splits[image.name] == split:
                        path = f"{stems[image.name]}{file_suffix(image)}"
                        item = _item(image, stems[image.name], path, numbers)
                        file.write(mark + json.dumps(item, ensure_ascii=False))
                        place_image(image, folder / "images" / split / path, options.images)
                        mark = ",\n"
                file.write("\n]}\n")

    def read(self, labelled: LabelledSet, folder: Path) -> Iterator[ReadBack]:
        """Read the files back."""
        for path in sorted((folder / "annotations").glob("*.json")):
            content = json.loads(path.read_bytes())
            names = [label["name"] for label in content["categories"]["label"]["labels"]]
            for item in content["items"]:
                found = [(names[one["label_id"]], pack(decode(one["rle"]))) for one in item["annotations"]]
                yield item["attr"]["name"], found


def _item(image: LabelledImage, stem: str, path: str, numbers: dict[str, int]) -> dict[str, Any]:
    size = list(image.size)
    annotations = [
        {
            "id": place,
            "type": "mask",
            "attributes": {key: value for key, value in scores_of(one).items() if value is not None},
            "group": place,
            "label_id": numbers[one.name],
            "rle": {"counts": one.counts, "size": size},
            "z_order": 0,
        }
        for place, one in enumerate(image.objects, start=1)
    ]
    about = {"path": path, "size": size}
    return {"id": stem, "annotations": annotations, "attr": {"name": image.name}, "image": about}
