"""Labelled images in the memory of one device, and the compact files they are kept in.

Images are resized once to at most `side` pixels and stored as WebP, label maps and box maps at half the resolution.
Label maps hold values of a `LabelSpace`. Box maps hold one bit for each of up to eight boxed names of an image.
"""

from __future__ import annotations

import io
import json
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from PIL import Image

from wordmask.training.compact.label_space import LabelSpace

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

BOXED = 8
"""Names of an image that have boxes, at most: one bit each. Further ones are left out of its prompts."""
NOT_KNOWN, BY_PIXELS, BY_BOXES, BY_TAG = 0, 1, 2, 3
"""Source of the knowledge that a name is in an image."""


@dataclass
class LabelledImages:
    """N images with what is known of them, as tensors of one device.

    Attributes:
        spaces: label spaces; P is the largest number of names of one.
        images: uint8 (N, 3, side, side) RGB, each in the upper left corner.
        labels: uint8 (N, side / 2, side / 2) label values; 255 outside the image.
        boxes: uint8 (N, side / 2, side / 2), bit i set inside the boxes of the image's i-th boxed name.
        sizes: int64 (N, 2) height and width in pixels.
        space: int64 (N,) index into `spaces`.
        slots: int64 (N, 8) row of the name of each bit of `boxes`; -1 = none.
        present: uint8 (N, P), how it is known that a name is there.
        absent: float32 (N, P), how sure it is that a name is not there; 0 = nothing is known.
        odds: float32 (N,) how often an image is drawn, beside the others of its space.
        group: int64 (N,) number of the data set it comes from.
    """

    spaces: list[LabelSpace]
    images: Tensor
    labels: Tensor
    boxes: Tensor
    sizes: Tensor
    space: Tensor
    slots: Tensor
    present: Tensor
    absent: Tensor
    odds: Tensor
    group: Tensor

    def to(self, device: torch.device | str) -> LabelledImages:
        """The same on another device."""
        moved = {f.name: getattr(self, f.name).to(device) for f in fields(self) if f.name != "spaces"}
        return LabelledImages(self.spaces, **moved)

    def every(self, stride: int) -> LabelledImages:
        """Every so many of the images."""
        fewer = {f.name: getattr(self, f.name)[::stride].clone() for f in fields(self) if f.name != "spaces"}
        return LabelledImages(self.spaces, **fewer)

    def __len__(self) -> int:
        return len(self.images)


class LabelledImageWriter:
    """Resizes labelled images and keeps them as compact files.

    Args:
        spaces: label spaces of the images.
        side: longer side in pixels, at most; a multiple of 2.
        quality: of WebP.
    """

    def __init__(self, spaces: Sequence[LabelSpace], *, side: int = 384, quality: int = 90) -> None:
        self.spaces, self.side, self.quality = list(spaces), side, quality
        self.rows = {s.name: {n: i for i, n in enumerate(s.names)} for s in spaces}
        self.index = {s.name: i for i, s in enumerate(spaces)}
        self.facts: list[dict[str, Any]] = []
        self.blobs: list[bytes] = []

    def add(
        self,
        space: str,
        pixels: NDArray[np.uint8],
        labels: NDArray[np.uint8],
        *,
        group: int = 0,
        boxes: Iterable[tuple[str, float, float, float, float]] = (),
        tags: Iterable[str] = (),
        absent: Mapping[str, float] | None = None,
    ) -> None:
        """Add one image.

        Args:
            space: name of its label space.
            pixels: (H, W, 3) RGB.
            labels: (H, W) label values.
            group: number of its data set.
            boxes: name, left, top, right, bottom in pixels.
            tags: names that are in the image at unknown places.
            absent: name -> probability that it is not in the image.
        """
        scale = min(1.0, self.side / max(labels.shape))
        height, width = (max(2, round(n * scale)) for n in labels.shape)
        small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA) if scale < 1 else pixels
        half = ((width + 1) // 2, (height + 1) // 2)
        rows = self.rows[space]
        slots, plane = self._box_map(boxes, rows, (half[1], half[0]), scale)
        content = io.BytesIO()
        Image.fromarray(small).save(content, "webp", quality=self.quality, method=4)
        maps = cv2.resize(labels, half, interpolation=cv2.INTER_NEAREST)
        self.blobs.append(content.getvalue())
        self.blobs.append(cv2.imencode(".png", maps, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes())
        self.blobs.append(zlib.compress(plane.tobytes(), 9) if slots else b"")
        present = [int(v) for v in np.unique(maps) if 0 < v < 255]
        self.facts.append(
            {
                "space": self.index[space],
                "group": group,
                "values": present,
                "slots": slots,
                "tags": sorted({rows[t] for t in tags if t in rows}),
                "absent": {rows[n]: w for n, w in (absent or {}).items() if n in rows},
            }
        )

    def _box_map(
        self,
        boxes: Iterable[tuple[str, float, float, float, float]],
        rows: Mapping[str, int],
        size: tuple[int, int],
        scale: float,
    ) -> tuple[list[int], NDArray[np.uint8]]:
        by_name: dict[int, list[tuple[float, ...]]] = {}
        for name, *corners in boxes:
            by_name.setdefault(rows[name], []).append(tuple(c * scale / 2 for c in corners))
        plane = np.zeros(size, np.uint8)
        areas = {n: sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in b) for n, b in by_name.items()}
        order = sorted(by_name, key=lambda n: -areas[n])
        for bit, row in enumerate(order[:BOXED]):
            for x0, y0, x1, y1 in by_name[row]:
                plane[_span(y0, y1), _span(x0, x1)] |= 1 << bit
        return order, plane

    def save(self, folder: Path, *, parts: int = 1) -> None:
        """Write facts.json and `parts` files of bytes."""
        folder.mkdir(parents=True, exist_ok=True)
        lengths = [len(b) for b in self.blobs]
        spaces = [
            {
                **vars(s),
                "unions": {k: list(v) for k, v in s.unions.items()},
                "near_synonyms": [list(g) for g in s.near_synonyms],
            }
            for s in self.spaces
        ]
        content = {"spaces": spaces, "side": self.side, "lengths": lengths, "facts": self.facts, "parts": parts}
        (folder / "facts.json.z").write_bytes(zlib.compress(json.dumps(content).encode(), 9))
        whole, step = b"".join(self.blobs), -(-sum(lengths) // parts)
        for part in range(parts):
            (folder / f"images{part}.bin").write_bytes(whole[part * step : (part + 1) * step])


def _span(first: float, last: float) -> slice:
    """The cells between two coordinates, at least one."""
    return slice(int(first), max(int(np.ceil(last)), int(first) + 1))


def load_labelled_images(folders: Sequence[Path], *, threads: int = 8, limit: int | None = None) -> LabelledImages:
    """Read what `LabelledImageWriter.save` wrote; its parts may lie in several folders."""
    files = {p.name: p for folder in folders for p in folder.iterdir()}
    content = json.loads(zlib.decompress(files["facts.json.z"].read_bytes()))
    spaces = [LabelSpace(**{**s, "labels": tuple(s["labels"]), "extra": tuple(s["extra"])}) for s in content["spaces"]]
    whole = b"".join(files[f"images{p}.bin"].read_bytes() for p in range(content["parts"]) if f"images{p}.bin" in files)
    facts, lengths, side = content["facts"], content["lengths"], content["side"]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    count = int(np.searchsorted(starts, len(whole), side="right") - 1) // 3  # a part may be missing
    facts = facts[: min(count, limit or count)]
    images = np.zeros((len(facts), side, side, 3), np.uint8)
    labels = np.full((len(facts), side // 2, side // 2), 255, np.uint8)
    boxes = np.zeros((len(facts), side // 2, side // 2), np.uint8)
    sizes = np.zeros((len(facts), 2), np.int64)

    def read(i: int) -> None:
        blob = [whole[starts[3 * i + j] : starts[3 * i + j + 1]] for j in range(3)]
        pixels = np.asarray(Image.open(io.BytesIO(blob[0])).convert("RGB"))
        maps = np.asarray(cv2.imdecode(np.frombuffer(blob[1], np.uint8), cv2.IMREAD_UNCHANGED))
        height, width = maps.shape
        images[i, : pixels.shape[0], : pixels.shape[1]], sizes[i] = pixels, pixels.shape[:2]
        labels[i, :height, :width] = maps
        if blob[2]:
            boxes[i, :height, :width] = np.frombuffer(zlib.decompress(blob[2]), np.uint8).reshape(height, width)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(read, range(len(facts))))
    tables = _tables(facts, spaces)
    return LabelledImages(
        spaces,
        torch.from_numpy(images).permute(0, 3, 1, 2),
        torch.from_numpy(labels),
        torch.from_numpy(boxes),
        torch.from_numpy(sizes),
        **tables,
    )


def _tables(facts: Sequence[Mapping[str, Any]], spaces: Sequence[LabelSpace]) -> dict[str, Tensor]:
    """What is known of each image as tensors."""
    most = max(len(s.names) for s in spaces)
    relations = [s.relations() for s in spaces]
    present = np.zeros((len(facts), most), np.uint8)
    absent = np.zeros((len(facts), most), np.float32)
    slots = np.full((len(facts), BOXED), -1, np.int64)
    for i, fact in enumerate(facts):
        covers = relations[fact["space"]]
        for row, sure in fact["absent"].items():
            absent[i, int(row)] = sure
        present[i, fact["tags"]] = BY_TAG
        present[i, fact["slots"]] = BY_BOXES
        slots[i, : len(fact["slots"][:BOXED])] = fact["slots"][:BOXED]
        if fact["values"]:
            present[i, : len(covers)][(covers[:, fact["values"]] == 1).any(1)] = BY_PIXELS
        absent[i, present[i] > 0] = 0
    space = np.array([f["space"] for f in facts], np.int64)
    columns = {
        "space": space,
        "slots": slots,
        "present": present,
        "absent": absent,
        "odds": _repeat_factors(present, space),
        "group": np.array([f["group"] for f in facts], np.int64),
    }
    return {k: torch.from_numpy(v) for k, v in columns.items()}


def _repeat_factors(
    present: NDArray[np.uint8], space: NDArray[np.int64], *, common: float = 0.2
) -> NDArray[np.float32]:
    """How often an image is drawn by its rarest name (Gupta et al., arXiv 1908.03195), 1 to 3."""
    odds = np.ones(len(space), np.float32)
    for number in np.unique(space):
        rows = np.flatnonzero(space == number)
        known = (present[rows] == BY_PIXELS) | (present[rows] == BY_BOXES)
        frequency = known.mean(0)
        rarest = np.where(known, frequency[None], 1.0).min(1)
        odds[rows] = np.clip(np.sqrt(common / rarest), 1.0, 3.0)
    return odds
