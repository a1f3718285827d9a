"""Reader for weak labels: boxes, names of the whole image and captions, without masks.

    FOLDER/
      images/ID.jpg
      weak.json      {"ID": {"size": [width, height],
                             "boxes": [["dog", x0, y0, x1, y1], …],       pixels of the upright image
                             "exhaustive_boxes_for": "voc20",             or "coco80", a list of names, or null
                             "labels": ["dog", "park"],                   names of the whole image
                             "captions": ["A dog on a lawn."]}}           every field but the size may be missing
      splits.json    {"train": ["ID", …], "val": ["ID", …]}

One query for every name that has a box: its instances have boxes and no masks, and its mask is the union of the boxes
(`Query.boxes_only`), which tells what fraction of a prediction lies inside them and is no ground truth for an IoU.
Where the boxes are exhaustive for a vocabulary, its other names are absent. Names of the whole image and captions are
not in a sample: `WeakLabels.annotation` returns them.

The boxes of PASCAL VOC leave out objects that its annotators called difficult, so that a few of its absent names are in
the image after all. Licence, size and origin are those of the data.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.data.keys import chosen_keys
from wordmask.data.reading import (
    fingerprint,
    malformed,
    read_image,
    read_json,
    require_field,
    require_file,
    require_folder,
    require_index,
    show,
)
from wordmask.data.sample import GroundTruthInstance, Query, Sample
from wordmask.data.sets.coco20i import CLASSES as COCO80
from wordmask.errors import quote
from wordmask.images import MAX_PIXELS
from wordmask.ops.masks import pack
from wordmask.ops.polygons import FARTHEST
from wordmask.prompts import TextPrompt

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = ["VOCABULARIES", "WeakAnnotation", "WeakLabels", "read_weak_annotations"]

VOC20 = tuple(
    "airplane,bicycle,bird,boat,bottle,bus,car,cat,chair,cow,dining table,dog,horse,motorcycle,person,potted plant,"
    "sheep,sofa,train,tv".split(",")
)
VOCABULARIES = {"coco80": COCO80, "voc20": VOC20}
"""Vocabularies that `exhaustive_boxes_for` may name."""

_WHAT = "weak labels (size, boxes, labels, captions) by image"
_BOX = 5  # name and four numbers


@dataclass(frozen=True)
class WeakAnnotation:
    """What is known about one image.

    Attributes:
        size: `(H, W)`.
        boxes: Name and box of every annotated object; XYXY in pixels, inside the image.
        vocabulary: Names for which the boxes are exhaustive; () where they are for none.
        names: Names of the whole image, with those of the boxes.
        captions: Sentences about the image.
    """

    size: tuple[int, int]
    boxes: tuple[tuple[str, tuple[float, float, float, float]], ...] = ()
    vocabulary: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()

    @property
    def absent(self) -> tuple[str, ...]:
        """Names of the vocabulary that the image is known not to show."""
        return tuple(name for name in self.vocabulary if name not in self.names)


class WeakLabels:
    """Images with boxes, one query for every boxed name; images without boxes ask for nothing.

    Args:
        annotations: The JSON file.
        images: Folder of the images.
        section: Key under which the annotations lie in a file that holds several sets.
        keys: Names of images, to choose and order the samples; None means all, in the file's order.
        vocabulary: "voc20" or "coco80" to take only images whose boxes are exhaustive for it; None for all.
        name, split: What reports call the set.

    Raises:
        DataError: If the file or the folder is missing or malformed, or no image is left.
    """

    def __init__(
        self,
        annotations: str | os.PathLike[str],
        images: str | os.PathLike[str],
        *,
        section: str | None = None,
        keys: Iterable[str] | None = None,
        vocabulary: str | None = None,
        name: str = "weak labels",
        split: str = "all",
    ) -> None:
        self.name, self.split = name, split
        self._path, self._section = require_file(annotations, _WHAT), section
        self._folder = require_folder(images, f"the images of {name}")
        found = read_weak_annotations(self._path, section=section)
        chosen, _ = chosen_keys(found, keys, show(self._path), skip_bad=False)
        wanted = None if vocabulary is None else VOCABULARIES[vocabulary]
        self._annotations = {key: one for key, one in chosen.items() if wanted in (None, one.vocabulary)}
        if not self._annotations:
            raise malformed(self._path, _WHAT, "no image that is asked for")
        self.keys = tuple(self._annotations)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every name of a vocabulary or a box."""
        annotations = self._annotations.values()
        exhaustive = dict.fromkeys(name for one in annotations for name in one.vocabulary)
        return tuple(exhaustive | dict.fromkeys(name for one in annotations for name, _ in one.boxes))

    @property
    def exhaustive(self) -> bool:
        """Whether the boxes of every image are exhaustive for all the names."""
        return all(set(one.vocabulary) >= set(self.names) for one in self._annotations.values())

    @cached_property
    def fingerprint(self) -> str:
        """Short hash of the annotation file and the images chosen."""
        return fingerprint([self._path], name=self.name, split=self.split, section=self._section, keys=self.keys)

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> Sample:
        """Return a sample.

        Raises:
            IndexError: outside 0 to `len - 1`.
            DataError: If the image is missing or of another size than the file says.
        """
        key = self.keys[require_index(index, len(self))]
        one = self._annotations[key]
        image = read_image(self._folder / f"{key}.jpg", one.size, f"an image of {self.name}")
        queries = (_query(one, name) for name in dict.fromkeys(name for name, _ in one.boxes))
        return Sample(key, image, one.size, tuple(query for query in queries if query.packed.area), one.absent)

    def annotation(self, index: int) -> WeakAnnotation:
        """Return all that is known about an image, with captions and names that have no box.

        Raises:
            IndexError: outside 0 to `len - 1`.
        """
        return self._annotations[self.keys[require_index(index, len(self))]]


def read_weak_annotations(path: str | os.PathLike[str], *, section: str | None = None) -> dict[str, WeakAnnotation]:
    """Return the annotations by image, in the order of a file.

    Args:
        path: The JSON file.
        section: Key under which they lie in a file that holds several sets.

    Raises:
        DataError: If the file is missing or malformed.
    """
    content = read_json(path, _WHAT, dict)
    if section is not None:
        content = require_field(content, section, dict, path, _WHAT)
    return {key: _annotation(record, path, f"image {quote(key)}") for key, record in content.items()}


# --- one image -----------------------------------------------------------------------------------------------------


def _annotation(record: Any, path: str | os.PathLike[str], of: str) -> WeakAnnotation:
    size = require_field(record, "size", list, path, _WHAT, of=of)
    if len(size) != 2 or not all(isinstance(side, int) and 0 < side <= MAX_PIXELS for side in size):
        raise malformed(path, _WHAT, f"the size {quote(size)} of {of} instead of [width, height]")
    width, height = size
    written = record.get("boxes") or []
    if not isinstance(written, list):
        raise malformed(path, _WHAT, f"boxes of {of} that are no list")
    boxes = tuple(_box(box, (height, width), path, of) for box in written)
    names = dict.fromkeys([name for name, _ in boxes]) | dict.fromkeys(_texts(record, "labels", path, of))
    vocabulary = _vocabulary(record.get("exhaustive_boxes_for"), path, of)
    return WeakAnnotation((height, width), boxes, vocabulary, tuple(names), _texts(record, "captions", path, of))


def _box(
    box: Any, size: tuple[int, int], path: str | os.PathLike[str], of: str
) -> tuple[str, tuple[float, float, float, float]]:
    """Return a name and its box, cut at the border of the image."""
    numbers: list[Any] = box[1:] if isinstance(box, list) and len(box) == _BOX and isinstance(box[0], str) else [None]
    if not all(isinstance(number, int | float) and abs(number) < FARTHEST for number in numbers):
        raise malformed(path, _WHAT, f"the box {quote(box)} of {of} instead of [name, x0, y0, x1, y1]")
    (height, width), (x0, y0, x1, y1) = size, numbers
    if x0 > x1 or y0 > y1:
        raise malformed(path, _WHAT, f"the box {quote(box)} of {of}, which ends before it begins")
    return box[0], (_within(x0, width), _within(y0, height), _within(x1, width), _within(y1, height))


def _within(value: float, most: int) -> float:
    return float(min(max(value, 0), most))


def _vocabulary(value: Any, path: str | os.PathLike[str], of: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str) and value in VOCABULARIES:
        return VOCABULARIES[value]
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        known = ", ".join(VOCABULARIES)
        raise malformed(
            path, _WHAT, f"boxes of {of} exhaustive for {quote(value)} instead of {known} or a list of names"
        )
    return tuple(value)


def _texts(record: Any, field: str, path: str | os.PathLike[str], of: str) -> tuple[str, ...]:
    texts = record.get(field) or []
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise malformed(path, _WHAT, f"{field} of {of} that are no list of texts")
    return tuple(texts)


def _query(one: WeakAnnotation, name: str) -> Query:
    boxes = [box for boxed, box in one.boxes if boxed == name]
    instances = tuple(GroundTruthInstance(None, box) for box in boxes)
    return Query(TextPrompt(name), pack(_inside(boxes, one.size)), name, instances, boxes_only=True)


def _inside(boxes: list[tuple[float, float, float, float]], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return bool `(H, W)`: pixels that a box touches."""
    mask = np.zeros(size, dtype=np.bool_)
    for x0, y0, x1, y1 in boxes:
        mask[int(y0) : max(int(np.ceil(y1)), int(y0) + 1), int(x0) : max(int(np.ceil(x1)), int(x0) + 1)] = True
    return mask
