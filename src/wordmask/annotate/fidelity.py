"""Fidelity: read an export back and compare every mask with the one in the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from wordmask.annotate.labelled import class_mask
from wordmask.ops import masks
from wordmask.prompts import fold_phrase

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from wordmask.annotate.exports.base import Export, ReadBack
    from wordmask.annotate.labelled import LabelledImage, LabelledSet
    from wordmask.ops.masks import PackedMask

__all__ = ["compare", "report_text"]

TINY = 16
"""Pixels up to which an object is tiny."""
_SHOWN = 20  # objects that the report lists


def compare(labelled: LabelledSet, export: Export, folder: Path) -> dict[str, Any]:
    """Return how well an export holds the labels of a job.

    Objects are matched with the masks that were read of the same class in the same image, best IoU first. Formats that
    hold one mask a class are compared class by class.
    """
    read = _InOrder(export.read(labelled, folder))
    facts: dict[str, Any] = {
        "format": export.name, "by_class": export.by_class, "images": 0, "missing_images": 0, "objects": 0, "exact": 0,
        "lost": 0, "added": 0, "lost_holes": 0, "lost_parts": 0, "tiny": 0, "tiny_lost": 0, "sum": 0.0, "min": 1.0,
        "worst": [],
    }  # fmt: skip
    for image in labelled:
        facts["images"] += 1
        found = read.take(image.name)
        facts["missing_images"] += found is None
        for name in dict.fromkeys((*(one.name for one in image.objects), *image.rest)):
            have = [mask for other, mask in found or () if fold_phrase(other) == fold_phrase(name)]
            wanted = _wanted(image, name, by_class=export.by_class)
            _match(facts, image, name, wanted, have)
    facts["mean"] = facts.pop("sum") / facts["objects"] if facts["objects"] else 1.0
    facts["worst"] = sorted(facts["worst"])[:_SHOWN]
    return facts


class _InOrder:
    """Takes images by name from a reader, keeping only those that it yields before they are asked for."""

    def __init__(self, reader: Iterator[ReadBack]) -> None:
        self._reader = reader
        self._kept: dict[str, list[tuple[str, PackedMask]]] = {}

    def take(self, name: str) -> list[tuple[str, PackedMask]] | None:
        while name not in self._kept:
            following = next(self._reader, None)
            if following is None:
                return None
            self._kept[following[0]] = following[1]
        return self._kept.pop(name)


def _wanted(image: LabelledImage, name: str, *, by_class: bool) -> list[PackedMask]:
    if by_class:
        return [masks.pack(class_mask(image, name))]
    return [one.packed for one in image.objects if one.name == name]


def _match(
    facts: dict[str, Any], image: LabelledImage, name: str, wanted: Sequence[PackedMask], have: Sequence[PackedMask]
) -> None:
    """Count how the masks of one class in one image came back."""
    free = list(have)
    for mask in wanted:
        scores = [masks.iou(mask, other) if other.size == mask.size else 0.0 for other in free]
        best = int(np.argmax(scores)) if scores else -1
        value = scores[best] if scores else 0.0
        back = free.pop(best) if value > 0 else masks.empty(mask.size)
        facts["objects"] += 1
        facts["exact"] += value == 1.0
        facts["lost"] += value == 0.0
        facts["sum"] += value
        facts["min"] = min(facts["min"], value)
        facts["tiny"] += mask.area <= TINY
        facts["tiny_lost"] += mask.area <= TINY and value < 0.5
        if value < 1.0:
            (parts, holes), (parts_back, holes_back) = _topology(mask), _topology(back)
            facts["lost_holes"] += max(0, holes - holes_back)
            facts["lost_parts"] += max(0, parts - parts_back)
            facts["worst"].append([round(value, 4), image.name, name, mask.area])
    facts["added"] += len(free)


def _topology(mask: PackedMask) -> tuple[int, int]:
    """Number of 8-connected parts, and of holes (4-connected background that does not reach the border)."""
    if not mask.area:
        return 0, 0
    crop = np.pad(mask.crop().view(np.uint8), 1)
    parts, _ = cv2.connectedComponents(crop, connectivity=8)
    outside, _ = cv2.connectedComponents(1 - crop, connectivity=4)
    return parts - 1, outside - 2


def report_text(labelled: LabelledSet, measured: Sequence[dict[str, Any]]) -> str:
    """Return the report as Markdown."""
    about = labelled.statistics()
    lines = [
        "# Fidelity of the exports",
        "",
        f"{about['images']} images ({about['negatives']} without objects, {about['copies']} copies of others), "
        f"{sum(about['objects'].values())} objects. Each format was read back and compared with the journal.",
        "",
        "| format | compared | exact | mean IoU | lowest IoU | lost | added | holes lost | parts lost | tiny lost |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in measured:
        what = "classes" if one["by_class"] else "objects"
        lines.append(
            f"| {one['format']} | {one['objects']} {what} | {one['exact']} | {one['mean']:.4f} | {one['min']:.4f} "
            f"| {one['lost']} | {one['added']} | {one['lost_holes']} | {one['lost_parts']} "
            f"| {one['tiny_lost']} of {one['tiny']} |"
        )
    for one in measured:
        if one["missing_images"]:
            lines += ["", f"{one['format']}: {one['missing_images']} images were not read back."]
        if one["worst"]:
            lines += ["", f"## {one['format']}: what it cannot hold exactly", "", "| IoU | image | class | pixels |"]
            lines += [
                "|---|---|---|---|",
                *(f"| {v} | {image} | {name} | {area} |" for v, image, name, area in one["worst"]),
            ]
    return "\n".join([*lines, ""])
