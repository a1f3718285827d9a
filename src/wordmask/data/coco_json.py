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

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.data.reading import (
    fingerprint,
    malformed,
    read_image,
    read_json,
    read_size,
    require_field,
    require_file,
    require_folder,
    require_index,
    show,
)
from wordmask.data.sample import GroundTruthInstance, Query, Sample
from wordmask.errors import DataError, ImageError, quote, sentence
from wordmask.ops import rle
from wordmask.ops.masks import PackedMask, empty, pack, union
from wordmask.ops.polygons import fill_as_coco
from wordmask.prompts import TextPrompt

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["CocoJson", "decode_segmentation"]

_WHAT = "annotations in COCO's instance format"
_FEWEST = 3  # points of a polygon


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
        keys: File names without folder and ending, to choose and order the samples; None means all, in the file's
            order.
        skip_bad: Whether annotations and categories that cannot be read are left out and listed in `problems`.
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
        name: str = "coco json",
        split: str = "all",
    ) -> None:
        self.name, self.split, self.crowds = name, split, crowds
        self._path = require_file(annotations, _WHAT)
        self._folder = require_folder(images, f"the images of {name}")
        content = read_json(self._path, _WHAT, dict)
        self.problems: tuple[str, ...] = ()
        if skip_bad:
            content, self.problems = _sound(content, self._path)
        self._said = exhaustive
        self.exhaustive = exhaustive if exhaustive is not None else content.get("exhaustive") is True
        self._names = self._categories(content)
        self._images = _chosen(self._all_images(content), None if keys is None else tuple(keys), self._path)
        self._annotations = self._by_image(content)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the categories in the file's order, each once."""
        return tuple(dict.fromkeys(self._names.values()))

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
        path = self._folder / record["file_name"]
        size = self._size(record, path)
        image = read_image(path, size, f"an image of {self.name}")
        found = self._instances(record["id"], size)
        counted = {name: [one for one in found[name] if self.crowds or not one.crowd] for name in self.names}
        masks = {name: union([_mask(one) for one in ones]) for name, ones in counted.items() if ones}
        queries = tuple(
            Query(TextPrompt(name), mask, name, tuple(one for one in found[name] if _mask(one).area))
            for name, mask in masks.items()
            if mask.area
        )
        present = {name for name in self.names if found[name]}
        known = self.exhaustive or (self._said is None and record.get("exhaustive") is True)
        absent = tuple(name for name in self.names if name not in present) if known else ()
        return Sample(key, image, size, queries, absent, self._ignored(found, size))

    # --- the file --------------------------------------------------------------------------------------------------

    def _categories(self, content: dict[str, Any]) -> dict[int, str]:
        names: dict[int, str] = {}
        for place, record in enumerate(require_field(content, "categories", list, self._path, _WHAT)):
            of = f"category {place}"
            name = require_field(record, "name", str, self._path, _WHAT, of=of).strip()
            if not name:
                raise malformed(self._path, _WHAT, f"a blank name in {of}")
            names[require_field(record, "id", int, self._path, _WHAT, of=of)] = name
        return names

    def _all_images(self, content: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        images = []
        for place, record in enumerate(require_field(content, "images", list, self._path, _WHAT)):
            require_field(record, "id", int, self._path, _WHAT, of=f"image {place}")
            file_name = require_field(record, "file_name", str, self._path, _WHAT, of=f"image {place}")
            images.append((Path(file_name).stem, record))
        if not images:
            raise malformed(self._path, _WHAT, "no images")
        return images

    def _by_image(self, content: dict[str, Any]) -> dict[int, list[dict[str, Any]]]:
        annotations: dict[int, list[dict[str, Any]]] = {record["id"]: [] for _, record in self._images}
        for place, record in enumerate(require_field(content, "annotations", list, self._path, _WHAT)):
            of = f"annotation {place}"
            image = require_field(record, "image_id", int, self._path, _WHAT, of=of)
            category = require_field(record, "category_id", int, self._path, _WHAT, of=of)
            if category not in self._names:
                raise malformed(self._path, _WHAT, f"the unknown category {category} in {of}")
            if image in annotations:
                annotations[image].append(record)
        return annotations

    # --- one image -----------------------------------------------------------------------------------------------

    def _size(self, record: dict[str, Any], path: Path) -> tuple[int, int]:
        if "height" not in record or "width" not in record:
            return read_size(path, f"an image of {self.name}")
        of = f"image {record['id']}"
        height, width = (require_field(record, side, int, self._path, _WHAT, of=of) for side in ("height", "width"))
        return height, width

    def _instances(self, image: int, size: tuple[int, int]) -> dict[str, tuple[GroundTruthInstance, ...]]:
        """Return the instances by name, in the order of the file; () for names that are not in the image."""
        found: dict[str, list[GroundTruthInstance]] = {name: [] for name in self.names}
        for record in self._annotations[image]:
            of = f"annotation {quote(record.get('id', '?'))}"
            mask = pack(decode_segmentation(record.get("segmentation"), size, self._path, of))
            instance = GroundTruthInstance.of_mask(mask, crowd=bool(record.get("iscrowd")))
            found[self._names[record["category_id"]]].append(instance)
        return {name: tuple(instances) for name, instances in found.items()}

    def _ignored(self, found: dict[str, tuple[GroundTruthInstance, ...]], size: tuple[int, int]) -> PackedMask | None:
        """Return the pixels of crowds that belong to no single object; None where crowds count or there are none."""
        instances = [one for ones in found.values() for one in ones]
        if self.crowds or not any(one.crowd for one in instances):
            return None
        crowd = union([_mask(one) for one in instances if one.crowd]).full()
        single = union([empty(size), *(_mask(one) for one in instances if not one.crowd)]).full()
        ignored = pack(crowd & ~single)
        return ignored if ignored.area else None


def _mask(instance: GroundTruthInstance) -> PackedMask:
    assert instance.mask is not None
    return instance.mask


def _chosen(
    images: list[tuple[str, dict[str, Any]]], keys: tuple[str, ...] | None, path: Path
) -> list[tuple[str, dict[str, Any]]]:
    """Return the images asked for under keys that differ: names without ending, whole file names where those clash."""
    if keys is None:
        stems = [key for key, _ in images]
        if len(set(stems)) == len(stems):
            return images
        by_name = {record["file_name"]: record for _, record in images}
        if len(by_name) < len(images):
            raise malformed(path, _WHAT, "two images of the same file name")
        return list(by_name.items())
    by_key = dict(images)
    missing = [key for key in keys if key not in by_key]
    if missing:
        got = f"no image {quote(missing[0])} in {show(path)}"
        raise DataError(sentence(got, "an entry for every key asked for", "correct the list of keys"))
    return [(key, by_key[key]) for key in keys]


def _sound(content: dict[str, Any], path: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return a file's content without blank categories and annotations of no known category, and what is left out."""
    categories = require_field(content, "categories", list, path, _WHAT)
    known = {record.get("id") for record in categories if str(record.get("name", "")).strip()}
    problems = [
        str(malformed(path, _WHAT, f"a blank name in category {place}"))
        for place, record in enumerate(categories)
        if record.get("id") not in known
    ]
    kept = []
    for place, record in enumerate(require_field(content, "annotations", list, path, _WHAT)):
        if isinstance(record, dict) and record.get("category_id") in known:
            kept.append(record)
        else:
            number = record.get("category_id") if isinstance(record, dict) else record
            problems.append(str(malformed(path, _WHAT, f"the unknown category {number} in annotation {place}")))
    sound = [record for record in categories if record.get("id") in known]
    return {**content, "categories": sound, "annotations": kept}, tuple(problems)


# --- segmentations -------------------------------------------------------------------------------------------------


def decode_segmentation(code: Any, size: tuple[int, int], path: str | os.PathLike[str], of: str) -> NDArray[np.bool_]:
    """Return the mask of a segmentation of COCO's format, bool `(H, W)`.

    Args:
        code: A list of polygons, or an object with `size` and `counts`.
        size: `(H, W)` of the image.
        path: The file that it comes from, for messages.
        of: What it belongs to, such as "annotation 3".

    Raises:
        DataError: If it is neither, or does not fit the size.
    """
    if isinstance(code, list):
        return _from_polygons(code, size, path, of)
    if not isinstance(code, dict):
        raise malformed(path, _WHAT, f"neither polygons nor run lengths as segmentation of {of}")
    if code.get("size") != list(size):
        raise malformed(path, _WHAT, f"run lengths of size {quote(code.get('size'))} in {of}, not {list(size)}")
    counts = code.get("counts")
    try:
        text = counts if isinstance(counts, str) else rle.compress(_whole(counts))
        return rle.decode({"size": list(size), "counts": text})
    except (ImageError, ValueError, TypeError, OverflowError) as error:
        raise malformed(path, _WHAT, f"damaged run lengths in {of}") from error


def _whole(counts: Any) -> NDArray[np.int64]:
    values = np.asarray(counts)
    if not isinstance(counts, list) or values.ndim != 1 or values.dtype.kind not in "iu" or not values.size:
        raise ValueError("run lengths are whole numbers")
    return values.astype(np.int64)


def _from_polygons(code: list[Any], size: tuple[int, int], path: str | os.PathLike[str], of: str) -> NDArray[np.bool_]:
    mask = np.zeros(size, dtype=np.bool_)
    for polygon in code:
        try:
            points = np.asarray(polygon, dtype=np.float64).reshape(-1, 2)
        except (ValueError, TypeError) as error:
            raise malformed(path, _WHAT, f"a polygon in {of} that is no list of x, y, x, y, …") from error
        if not np.isfinite(points).all():
            raise malformed(path, _WHAT, f"a polygon in {of} with numbers that are not finite")
        if len(points) >= _FEWEST:  # fewer enclose nothing; COCO has some
            mask |= fill_as_coco(points, size)
    return mask
