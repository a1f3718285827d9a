"""COCO: instances with lossless run lengths, and result files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from wordmask import __version__
from wordmask.annotate.exports.base import ExportOptions, ReadBack, relative_root, scores_of
from wordmask.annotate.splits import split_of_images
from wordmask.formats.coco import EXPORTER
from wordmask.ops.masks import pack
from wordmask.ops.rle import decode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wordmask.annotate.labelled import LabelledImage, LabelledSet

__all__ = ["CocoInstances", "CocoResults", "info_of"]


def info_of(labelled: LabelledSet, folder: Path) -> dict[str, Any]:
    """Return COCO's `info`, which pycocotools needs, with the folder that file names start from."""
    return {
        "description": "Masks of phrases",
        "generator": EXPORTER,
        "version": __version__,
        "image_root": relative_root(labelled, folder),
    }


class CocoInstances:
    """`annotations.json`, and with splits one more file for each, such as `train.json`.

    One annotation an object: run lengths, `iscrowd` 0 (a crowd that was given stays one), `score`, `mask_score`,
    `presence`. Labels that were there before are written as they were. Images without objects are listed.
    """

    name = "coco"
    summary = "COCO instances: run lengths with scores, relative paths"
    by_class = False

    def write(self, labelled: LabelledSet, folder: Path, options: ExportOptions) -> None:
        """Write `annotations.json` and one file a split."""
        self._file(labelled, folder / "annotations.json", folder, None)
        splits = split_of_images(labelled, options.splits, options.seed)
        for split in options.splits or {}:
            self._file(labelled, folder / f"{split}.json", folder, {n for n, s in splits.items() if s == split})

    def _file(self, labelled: LabelledSet, path: Path, folder: Path, chosen: set[str] | None) -> None:
        """Write one file, image by image."""
        numbers = {name: number for number, name in enumerate(labelled.names, start=1)}
        head = {
            "info": info_of(labelled, folder),
            "licenses": labelled.licences,
            "categories": [{"id": number, "name": name} for name, number in numbers.items()],
        }
        with path.open("w", encoding="utf-8") as file:
            file.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "images": [')
            _write_list(file, (_image_record(n, one) for n, one in _numbered(labelled, chosen)))
            file.write('], "annotations": [')
            _write_list(file, _annotations(labelled, chosen, numbers))
            file.write("]}\n")

    def read(self, labelled: LabelledSet, folder: Path) -> Iterator[ReadBack]:
        """Read `annotations.json` back."""
        content = json.loads((folder / "annotations.json").read_bytes())
        names = {one["id"]: one["name"] for one in content["categories"]}
        masks: dict[int, list[tuple[str, Any]]] = {one["id"]: [] for one in content["images"]}
        sizes = {one["id"]: (one["height"], one["width"]) for one in content["images"]}
        for one in content["annotations"]:
            found = _read_mask(one, sizes[one["image_id"]])
            masks[one["image_id"]].append((names[one["category_id"]], found))
        for image in content["images"]:
            yield image["file_name"], masks[image["id"]]


def _decoded(code: Any) -> Any:
    return pack(decode({"size": list(code["size"]), "counts": code["counts"]}))


def _read_mask(annotation: dict[str, Any], size: tuple[int, int]) -> Any:
    from wordmask.annotate.given import given_object

    if isinstance(annotation["segmentation"], dict) and isinstance(annotation["segmentation"]["counts"], str):
        return _decoded(annotation["segmentation"])
    made = given_object("", annotation, size, "given")
    assert made is not None
    return made.packed


def _numbered(labelled: LabelledSet, chosen: set[str] | None) -> Iterator[tuple[int, LabelledImage]]:
    for number, image in enumerate(labelled, start=1):
        if chosen is None or image.name in chosen:
            yield number, image


def _image_record(number: int, image: LabelledImage) -> dict[str, Any]:
    height, width = image.size
    about = {"id": number, "file_name": image.name, "height": height, "width": width}
    return about | {"presence": dict(image.presence), "sha256": image.content}


def _annotations(labelled: LabelledSet, chosen: set[str] | None, numbers: dict[str, int]) -> Iterator[dict[str, Any]]:
    number = 0
    for image_id, image in _numbered(labelled, chosen):
        for one in image.objects:
            number += 1
            ids = {"id": number, "image_id": image_id, "category_id": numbers[one.name]}
            if one.record is not None:
                yield ids | dict(one.record)
                continue
            height, width = image.size
            shape = {"segmentation": {"size": [height, width], "counts": one.counts}, "area": one.area}
            yield ids | shape | {"bbox": list(one.box), "iscrowd": 0} | scores_of(one)


def _write_list(file: Any, records: Iterator[dict[str, Any]]) -> None:
    for place, record in enumerate(records):
        file.write((",\n" if place else "\n") + json.dumps(record, ensure_ascii=False))


class CocoResults:
    """`results.json`, the list that `COCO.loadRes` takes, and `annotations.json` with the ids it refers to."""

    name = "coco-results"
    summary = "COCO result file: image_id, category_id, segmentation, score"
    by_class = False

    def write(self, labelled: LabelledSet, folder: Path, options: ExportOptions) -> None:
        """Write both files."""
        CocoInstances().write(labelled, folder, ExportOptions())
        numbers = {name: number for number, name in enumerate(labelled.names, start=1)}
        with (folder / "results.json").open("w", encoding="utf-8") as file:
            file.write("[")
            records = _annotations(labelled, None, numbers)
            _write_list(file, (_result(one) for one in records if isinstance(one["segmentation"], dict)))
            file.write("]\n")

    def read(self, labelled: LabelledSet, folder: Path) -> Iterator[ReadBack]:
        """Read `results.json` back."""
        content = json.loads((folder / "annotations.json").read_bytes())
        names = {one["id"]: one["name"] for one in content["categories"]}
        masks: dict[int, list[tuple[str, Any]]] = {one["id"]: [] for one in content["images"]}
        for one in json.loads((folder / "results.json").read_bytes()):
            masks[one["image_id"]].append((names[one["category_id"]], _decoded(one["segmentation"])))
        for image in content["images"]:
            yield image["file_name"], masks[image["id"]]


def _result(one: dict[str, Any]) -> dict[str, Any]:
    score = one.get("score")
    kept = {key: one[key] for key in ("image_id", "category_id", "segmentation")}
    return kept | {"score": 1.0 if score is None else score}
