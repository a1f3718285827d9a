"""Reader for COCO's instance format: one JSON file and a folder of images.

    instances.json      {"images":      [{"id": 1, "file_name": "a.jpg", "height": 480, "width": 640}],
                         "categories":  [{"id": 3, "name": "car"}],
                         "annotations": [{"id": 9, "image_id": 1, "category_id": 3, "segmentation": …, "iscrowd": 0}]}
    images/
      a.jpg

A segmentation is a list of polygons (`[[x0, y0, x1, y1, …], …]`), or run lengths, compressed (a text) or not (a list).
Format: https://cocodataset.org/#format-data. COCO itself (118,287 + 5,000 images in its 2017 training and validation
parts, 80 things; annotations CC BY 4.0, images under their Flickr terms) is had from https://cocodataset.org/#download
as `annotations/instances_val2017.json` and `val2017/`. Licence and size of other sets are their own.
"""

from __future__ import annotations

import itertools
import math
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wordmask.data.coco_content import read_content
from wordmask.data.keys import chosen_keys
from wordmask.data.problems import NOTHING_LEFT, require_sound
from wordmask.data.reading import (
    fingerprint,
    is_file,
    malformed,
    read_image,
    read_size,
    require_file,
    require_folder,
    require_index,
    show,
)
from wordmask.data.sample import GroundTruthInstance, Query, Sample
from wordmask.data.segmentations import COCO, decode_segmentation
from wordmask.errors import quote
from wordmask.ops.masks import PackedMask, empty, pack, union
from wordmask.prompts import TextPrompt

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from wordmask.data.coco_content import Gap, ImageRecord
    from wordmask.ops.geometry import Size

__all__ = ["CocoJson"]


class CocoJson:
    """Images with annotated instances; one query for every name in the image, its mask the union of its instances.

    Pixels of a crowd (`iscrowd`) that belong to no single object are ignored, and its name is then neither asked for on
    its account nor called absent.

    Args:
        annotations: The JSON file.
        images: Folder that the file names in it start from.
        exhaustive: Whether every object of every category is annotated in every image, so that the other names are
            known to be absent; None: as the file says, by a field `"exhaustive": true` of its own or of an image.
        crowds: Whether a crowd counts as a part of its name's mask instead.
        keys: File names, with or without folder and ending, to choose and order the samples; None means all, in the
            file's order.
        skip_bad: Whether records in which something is wrong are left out and listed in `problems`. The boxes of
            objects that are left out are ignored.
        boxes: Whether objects that have a box and no mask are read. Where one of a name's objects in an image is such,
            all of that name are given as boxes (`Query.boxes_only`), and its crowds are ignored.
        as_stored: Whether masks are drawn on the pixels as they are stored: see `reading.read_image`.
        name, split: What reports call the set.

    Raises:
        DataError: If the file or the folder is missing, or the file is malformed.
    """

    def __init__(
        self,
        annotations: str | os.PathLike[str],
        images: str | os.PathLike[str],
        *,
        exhaustive: bool | None = None,
        crowds: bool = False,
        keys: Iterable[str] | None = None,
        skip_bad: bool = False,
        boxes: bool = False,
        as_stored: bool = False,
        name: str = "coco json",
        split: str = "all",
    ) -> None:
        self.name, self.split, self.crowds = name, split, crowds
        self._as_stored, self._boxes = as_stored, boxes
        self._path = require_file(annotations, COCO)
        self._folder = require_folder(images, f"the images of {name}")
        self._content = read_content(self._path, self._folder, skip_bad=skip_bad, boxes=boxes)
        self._said = exhaustive
        self.exhaustive = self._content.exhaustive if exhaustive is None else exhaustive
        self.names = tuple(dict.fromkeys(self._content.names.values()))
        chosen, missing = chosen_keys(_by_key(self._content.images), keys, show(self._path), skip_bad=skip_bad)
        there = [not skip_bad or is_file(self._folder / one.file_name) for one in chosen.values()]
        gone = [self._gone(one.file_name) for one, is_there in zip(chosen.values(), there, strict=True) if not is_there]
        self._images = tuple(itertools.compress(chosen.items(), there))
        self.problems = (*self._content.problems, *missing, *gone)
        if not self._images:
            require_sound(self.problems, NOTHING_LEFT)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the annotation file and of the options."""
        return fingerprint(
            [self._path],
            name=self.name,
            split=self.split,
            keys=[key for key, _ in self._images],
            exhaustive=self.exhaustive,
            crowds=self.crowds,
            **({"marked": False} if self._said is False else {}),
            **({"boxes": True} if self._boxes else {}),
        )

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Sample:
        """Return a sample.

        Raises:
            IndexError: outside 0 to `len - 1`.
            DataError: if the image is missing or of another size than the file says, or a segmentation is malformed.
        """
        key, record = self._images[require_index(index, len(self))]
        path, what = self._folder / record.file_name, f"an image of {self.name}"
        size = record.size or read_size(path, what)
        image = read_image(path, size, what, as_stored=self._as_stored)
        found, gaps = self._instances(record.id, size), self._content.gaps.get(record.id, [])
        asked = (self._query(name, ones, size) for name, ones in found.items())
        queries = tuple(query for query in asked if query is not None)
        present = {name for name in self.names if found[name]} | {gap.name for gap in gaps}
        known = self.exhaustive or (self._said is None and record.exhaustive)
        absent = tuple(name for name in self.names if name not in present) if known and None not in present else ()
        return Sample(key, image, size, queries, absent, self._ignored(found, gaps, size))

    def _gone(self, file_name: str) -> str:
        problem = f"the image {quote(file_name)}, of which there is no file in {show(self._folder)}"
        return str(malformed(self._path, COCO, problem, "add it, or name the folder of the images with --images"))

    # --- one image -----------------------------------------------------------------------------------------------

    def _query(self, name: str, ones: tuple[GroundTruthInstance, ...], size: Size) -> Query | None:
        """Return what is asked of a name; None where it has no pixel."""
        if _is_boxed(ones):
            boxed = tuple(one for one in ones if one.mask is None)
            inside = pack(_inside([one.box for one in boxed], size))
            return Query(TextPrompt(name), inside, name, boxed, boxes_only=True)
        counted = [_mask(one) for one in ones if self.crowds or not one.crowd]
        mask = union(counted) if counted else empty(size)
        return Query(TextPrompt(name), mask, name, tuple(one for one in ones if _mask(one).area)) if mask.area else None

    def _instances(self, image: int, size: tuple[int, int]) -> dict[str, tuple[GroundTruthInstance, ...]]:
        """Return the instances by name, in the order of the file; () for names that are not in the image."""
        found: dict[str, list[GroundTruthInstance]] = {name: [] for name in self.names}
        for one in self._content.annotations[image]:
            if one.box is not None:
                found[one.name].append(GroundTruthInstance(None, one.box))
                continue
            mask = pack(decode_segmentation(one.segmentation, size, self._path, one.of))
            found[one.name].append(GroundTruthInstance.of_mask(mask, crowd=one.crowd))
        return {name: _all_boxed(ones) if _is_boxed(ones) else tuple(ones) for name, ones in found.items()}

    def _ignored(
        self, found: dict[str, tuple[GroundTruthInstance, ...]], gaps: list[Gap], size: tuple[int, int]
    ) -> PackedMask | None:
        """Return pixels of no single object: those of crowds, unless crowds count, and the boxes of gaps."""
        crowds, known = [], [empty(size)]
        for ones in found.values():
            counted = self.crowds and not _is_boxed(ones)
            crowds += [_mask(one) for one in ones if one.crowd and not counted]
            known += [one.mask for one in ones if one.mask is not None and (counted or not one.crowd)]
        if not crowds and not any(gap.box for gap in gaps):
            return None
        unknown = union([empty(size), *crowds]).full() | _inside([gap.box for gap in gaps if gap.box], size)
        ignored = pack(unknown & ~union(known).full())
        return ignored if ignored.area else None


def _mask(instance: GroundTruthInstance) -> PackedMask:
    assert instance.mask is not None
    return instance.mask


def _is_boxed(instances: Iterable[GroundTruthInstance]) -> bool:
    return any(one.mask is None for one in instances)


def _all_boxed(instances: list[GroundTruthInstance]) -> tuple[GroundTruthInstance, ...]:
    """Return instances without their masks, but for crowds, which have no box of one object."""
    seen = [one for one in instances if one.mask is None or one.mask.area]
    return tuple(one if one.crowd else GroundTruthInstance(None, one.box) for one in seen)


def _inside(boxes: Iterable[tuple[float, float, float, float]], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return bool `(H, W)`: pixels that a box touches."""
    mask = np.zeros(size, dtype=np.bool_)
    for x0, y0, x1, y1 in boxes:
        mask[int(y0) : math.ceil(y1), int(x0) : math.ceil(x1)] = True
    return mask


def _by_key(images: list[ImageRecord]) -> dict[str, ImageRecord]:
    """Return the images under keys that differ: names without folder and ending, whole paths where those clash."""
    by_stem = {Path(image.file_name).stem: image for image in images}
    return by_stem if len(by_stem) == len(images) else {image.file_name: image for image in images}
