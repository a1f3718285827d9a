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

    from wordmask.formats.named_mask import AnnotatedImage, NamedMask


class CocoAnnotations:
    """A COCO data set that grows image by image; ids count from 1.

    A category is a prompt's name; prompts of the same name share it. There is one annotation per instance. Beside
    COCO's own fields it has `score` (detection), `mask_score` (mask quality, null where it was not estimated) and the
    prompt's `presence`. Annotations are not crowds: `iscrowd` is 0 although masks are run lengths, which pycocotools
    reads without loss. An image has `presence`: that of every prompt by name, found or not (the highest, where prompts
    share a name).
    """

    def __init__(self, images: Iterable[AnnotatedImage] = ()) -> None:
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._categories: dict[str, int] = {}
        for image in images:
            self.add(image)

    def __len__(self) -> int:
        return len(self._images)

    def add(self, image: AnnotatedImage) -> None:
        """Add the instances of one image."""
        image_id = len(self._images) + 1
        self._images.append(_image(image, image_id))
        for mask in image.masks:
            category_id = self._categories.setdefault(mask.name, len(self._categories) + 1)
            for annotation in _annotations(mask):
                numbers = {"id": len(self._annotations) + 1, "image_id": image_id, "category_id": category_id}
                self._annotations.append(numbers | annotation)

    def content(self) -> dict[str, Any]:
        """Return `images`, `annotations` and `categories`."""
        return {
            "images": self._images,
            "annotations": self._annotations,
            "categories": [{"id": number, "name": name} for name, number in self._categories.items()],
        }

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write them as JSON (UTF-8).

        Raises:
            OutputError: If the file cannot be written.
        """
        content = json.dumps(self.content(), ensure_ascii=False)
        return write(path, content.encode("utf-8", "replace") + b"\n")


def _image(image: AnnotatedImage, number: int) -> dict[str, Any]:
    height, width = image.size
    presence: dict[str, float] = {}
    for mask in image.masks:
        presence[mask.name] = max(float(mask.presence), presence.get(mask.name, 0.0))
    facts = {"id": number, "file_name": image.name or f"image-{number}", "height": height, "width": width}
    return facts | {"presence": presence}


def _annotations(mask: NamedMask) -> Iterator[dict[str, Any]]:
    for instance in mask.instances:
        yield {
            "segmentation": encode_packed(instance.mask),
            "area": instance.mask.area,
            "bbox": list(to_xywh(instance.mask.box or (0.0, 0.0, 0.0, 0.0))),
            "iscrowd": 0,
            "score": float(instance.score),
            "mask_score": None if instance.mask_score is None else float(instance.mask_score),
            "presence": float(mask.presence),
        }
