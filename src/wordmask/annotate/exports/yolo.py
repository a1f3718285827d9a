"""YOLO's segmentation labels: one polygon an object, with holes and parts joined into one line.

The format has neither holes nor parts. A hole is joined to the outline by a line that is walked there and back, which
even-odd filling leaves without a trace. Parts are joined in the same way, by a line one pixel wide that the object
did not have (`parts="bridge"`), or become objects of their own (`parts="split"`). Points are the centres of pixels, so
that a reader that cuts coordinates to whole pixels and fills with the border finds the mask again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from wordmask.annotate.exports.base import ExportOptions, ReadBack, place_image
from wordmask.annotate.exports.names import file_stems, file_suffix
from wordmask.annotate.splits import split_of_images
from wordmask.ops.masks import components, pack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from wordmask.annotate.labelled import LabelledImage, LabelledSet
    from wordmask.ops.masks import PackedMask

__all__ = ["YoloSegmentation", "outline_of", "read_polygon"]

_NUDGE = 0.02  # pixels by which equal boxes of a class are made to differ: readers drop rows of equal class and box


class YoloSegmentation:
    """`data.yaml`, `images/SPLIT/`, `labels/SPLIT/`; an image without objects has an empty file of labels."""

    name = "yolo"
    summary = "YOLO segmentation: polygons in text files, data.yaml, links to the images"
    by_class = False

    def write(self, labelled: LabelledSet, folder: Path, options: ExportOptions) -> None:
        """Write labels and `data.yaml`, and put the images beside them."""
        import yaml

        splits, stems = split_of_images(labelled, options.splits, options.seed), file_stems(labelled)
        numbers = {name: number for number, name in enumerate(labelled.names)}
        with (folder / "index.jsonl").open("w", encoding="utf-8") as index:
            for image in labelled:
                split, stem = splits[image.name], stems[image.name]
                lines = _lines(image, numbers, split_parts=options.parts == "split")
                path = folder / "labels" / split / f"{stem}.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
                place_image(image, folder / "images" / split / f"{stem}{file_suffix(image)}", options.images)
                about = {"image": image.name, "labels": f"labels/{split}/{stem}.txt", "size": image.size}
                index.write(json.dumps(about, ensure_ascii=False) + "\n")
        used = [name for name in (options.splits or {"train": 1.0}) if (folder / "labels" / name).is_dir()]
        parts = {name: f"images/{name}" for name in used}
        parts.setdefault("train", next(iter(parts.values()), "images/train"))
        parts.setdefault("val", parts["train"])  # YOLO wants both
        content = {"path": ".", **parts, "names": dict(enumerate(labelled.names))}
        text = yaml.safe_dump(content, allow_unicode=True, sort_keys=False)
        (folder / "data.yaml").write_text(text, encoding="utf-8")

    def read(self, labelled: LabelledSet, folder: Path) -> Iterator[ReadBack]:
        """Read the labels as Ultralytics does: rows of equal class and box once, corners cut to whole pixels."""
        import yaml

        names = yaml.safe_load((folder / "data.yaml").read_text(encoding="utf-8"))["names"]
        for line in (folder / "index.jsonl").read_text(encoding="utf-8").splitlines():
            about = json.loads(line)
            size = (about["size"][0], about["size"][1])
            rows = (folder / about["labels"]).read_text(encoding="ascii").split("\n")
            found: dict[Any, tuple[str, PackedMask]] = {}
            for row in filter(None, rows):
                index, *values = row.split()
                points = np.array(values, dtype=np.float32).reshape(-1, 2)
                box = (*points.min(axis=0), *points.max(axis=0))
                found.setdefault((index, *map(float, box)), (names[int(index)], read_polygon(points, size)))
            yield about["image"], list(found.values())


def read_polygon(points: NDArray[np.float32], size: tuple[int, int]) -> PackedMask:
    """Return the mask of a polygon `(N, 2)` in fractions of the sides, corners cut to whole pixels."""
    corners = (points * np.array([size[1], size[0]], dtype=np.float32)).astype(np.int32)
    canvas = np.zeros(size, dtype=np.uint8)
    cv2.fillPoly(canvas, [corners], 1)
    return pack(canvas.view(np.bool_))


def _lines(image: LabelledImage, numbers: dict[str, int], *, split_parts: bool) -> list[str]:
    """Return the rows of an image; the boxes of one class differ."""
    height, width = image.size
    boxes: set[tuple[int, ...]] = set()
    lines = []
    for one in image.objects:
        parts = components(one.packed) if split_parts else (one.packed,)
        for mask in parts:
            points = outline_of(mask)
            key = (numbers[one.name], *mask.window)
            nudge = 0.0
            while (*key, round(nudge * 100)) in boxes:
                nudge += _NUDGE
            boxes.add((*key, round(nudge * 100)))
            fractions = (points + np.array([0.5 + nudge, 0.5])) / [width, height]
            lines.append(f"{numbers[one.name]} " + " ".join(f"{value:.7f}" for value in fractions.ravel()))
    return lines


def outline_of(mask: PackedMask) -> NDArray[np.float64]:
    """Return one closed line `(N, 2)`, N at least 3, around a mask, its holes and parts, in whole pixels."""
    found, hierarchy = cv2.findContours(mask.crop().view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    offset = np.array(mask.window[:2], dtype=np.float64)
    lines = [np.asarray(line)[:, 0].astype(np.float64) + offset for line in found]
    parents = [int(entry[3]) for entry in np.asarray(hierarchy)[0]]
    outer = [index for index, parent in enumerate(parents) if parent < 0]
    joined = [_joined([lines[i], *(lines[j] for j, parent in enumerate(parents) if parent == i)]) for i in outer]
    return _with_area(_joined(joined))


def _joined(lines: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Join closed lines into one by walking to each and back, from the nearest point of what is joined already."""
    path, left = lines[0], list(lines[1:])
    ends = [_nearest(path, line) for line in left]
    while left:
        chosen = min(range(len(left)), key=lambda index: ends[index][0])
        (_, point, there), line = ends.pop(chosen), left.pop(chosen)
        here = int(np.flatnonzero((path == point).all(axis=1))[0])
        detour = np.concatenate([line[there:], line[: there + 1]])
        path = np.concatenate([path[: here + 1], detour, path[here:]])
        ends = [min(end, _nearest(line, other), key=lambda e: e[0]) for end, other in zip(ends, left, strict=True)]
    return path


def _nearest(path: NDArray[np.float64], line: NDArray[np.float64]) -> tuple[float, NDArray[np.float64], int]:
    """Return the squared distance of two lines, the first one's nearest point, and the place of the other's."""
    best = (np.inf, path[0], 0)
    for start in range(0, len(path), 4096):
        part = path[start : start + 4096]
        distance = ((part[:, None] - line[None]) ** 2).sum(axis=2)
        place = int(distance.argmin())
        value = float(distance.flat[place])
        if value < best[0]:
            best = (value, part[place // len(line)], place % len(line))
    return best


def _with_area(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return at least three points that span an area, inside the pixels of the given ones."""
    if len(points) >= 3 and np.ptp(points[:, 0]) > 0 and np.ptp(points[:, 1]) > 0:
        return points
    first, last = points[points.sum(axis=1).argmin()], points[points.sum(axis=1).argmax()]
    offsets = np.array([[-0.25, -0.25], [0.25, -0.25], [0.25, 0.25], [-0.25, 0.25]])
    corners: NDArray[np.float64] = np.stack([first, last, last, first]) + offsets
    return corners
