"""COCO's instance format, with lossless run-length masks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from wordmask.formats.files import write
from wordmask.ops.boxes import to_xywh
from wordmask.ops.rle import encode_packed

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from wordmask.results import Found, Segmentation


def to_coco(segmentations: Iterable[Segmentation]) -> dict[str, Any]:
    """Return a COCO data set: `images`, `categories` and one annotation per instance.

    Ids count from 1. A category is a prompt's name; prompts of the same name share it. Beside COCO's own fields an
    annotation carries the instance's `score` and the prompt's `presence`. Annotations are not crowds: `iscrowd` is 0
    although the mask is run lengths, which pycocotools reads without loss.
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    categories: dict[str, int] = {}
    for image_id, segmentation in enumerate(segmentations, start=1):
        images.append(_image(segmentation, image_id))
        for found in segmentation:
            category_id = categories.setdefault(found.name, len(categories) + 1)
            for annotation in _annotations(found):
                numbers = {"id": len(annotations) + 1, "image_id": image_id, "category_id": category_id}
                annotations.append(numbers | annotation)
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for name, number in categories.items()],
    }


def save_coco(segmentations: Iterable[Segmentation], path: str | os.PathLike[str]) -> Path:
    """Write `to_coco(segmentations)` as JSON (UTF-8).

    Raises:
        OutputError: If the file cannot be written.
    """
    return write_coco(to_coco(segmentations), path)


def write_coco(content: dict[str, Any], path: str | os.PathLike[str]) -> Path:
    """Write what `to_coco` made as JSON (UTF-8).

    Raises:
        OutputError: If the file cannot be written.
    """
    return write(path, json.dumps(content, ensure_ascii=False).encode("utf-8", "replace") + b"\n")


def _image(segmentation: Segmentation, number: int) -> dict[str, Any]:
    name = segmentation.image.name if segmentation.image else None
    height, width = segmentation.size
    return {"id": number, "file_name": name or f"image-{number}", "height": height, "width": width}


def _annotations(found: Found) -> Iterator[dict[str, Any]]:
    for instance in found.instances:
        yield {
            "segmentation": encode_packed(instance.packed),
            "area": instance.area,
            "bbox": list(to_xywh(instance.box)),
            "iscrowd": 0,
            "score": float(instance.score),
            "presence": float(found.presence),
        }
