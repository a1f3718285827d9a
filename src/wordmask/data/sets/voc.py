"""PASCAL VOC 2012, semantic segmentation, with the generalised zero-shot splits.

Everingham et al., "The PASCAL Visual Object Classes Challenge 2012". 20 classes and the background; 1,464 images for
training, 1,449 for validation. The test images' labels are not public.

Licence: the organisers publish no licence of their own; the images come from Flickr and are under its terms of use.
Size: about 2 GB for the archive `VOCtrainval_11-May-2012.tar`, which holds the labels, too.
Where from: the challenge's home page, "Visual Object Classes Challenge 2012 (VOC2012)", section Development Kit.

    VOCdevkit/
    └── VOC2012/                           <- the folder to give; VOCdevkit or what holds it will do
        ├── JPEGImages/2007_000033.jpg
        ├── SegmentationClass/2007_000033.png   palette: 0 background, 1 to 20 classes, 255 nothing is known
        └── ImageSets/Segmentation/{train,val,trainval}.txt   one name of an image per line

The value 255 marks the borders of objects and objects that are hard to tell; no pixel of it counts.

Generalised zero-shot (arXiv 2108.06536): some classes are held out of training and all 21 are asked for. `unseen`
says how many; the images are the same, and scores are taken over `seen` and `unseen` apart.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from wordmask.data.label_maps import IGNORED, semantic_sample
from wordmask.data.reading import (
    fingerprint,
    first_folder,
    malformed,
    read_image,
    read_labels,
    read_lines,
    require_choice,
    require_file,
    require_folder,
    require_index,
)
from wordmask.data.sampling.support import require_number
from wordmask.data.sets import pascal_splits
from wordmask.prompts import TextPrompt

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from wordmask.data.sample import Query, Sample

__all__ = ["NAMES", "VOID", "PascalVoc", "label_files", "read_class_labels", "read_image_names", "voc_folder"]

NAMES = (pascal_splits.BACKGROUND, *pascal_splits.CLASSES)
"""The names of the labels 0 to 20."""

VOID = 255
"""The label of pixels that do not count."""

SPLITS = ("train", "val", "trainval")
UNSEEN: Mapping[int, frozenset[str]] = {
    **pascal_splits.UNSEEN,
    len(pascal_splits.UNSEEN_SPNET): pascal_splits.UNSEEN_SPNET,
}
"""The held-out classes by their number: 2, 4, 6, 8 or 10 of the generalised zero-shot sets, 5 of the older one."""

_REMEDY = "give the folder VOC2012 of the unpacked archive VOCtrainval_11-May-2012.tar"


class PascalVoc:
    """PASCAL VOC 2012; one sample per image, one query per name in it, the background included.

    Attributes:
        names: The 21 names in the order of the labels.
        seen, unseen: Names of the classes that zero-shot training may and may not see; all are seen without `unseen`.
    """

    name = "voc2012"
    exhaustive = True
    names: tuple[str, ...] = NAMES

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        split: str = "val",
        unseen: int | None = None,
        words: Mapping[str, str] | None = None,
    ) -> None:
        """Open the data set; of the images nothing is read yet.

        Args:
            folder: VOC2012, or VOCdevkit above it.
            split: "train", "val" or "trainval".
            unseen: How many classes are held out: 2, 4, 5, 6, 8 or 10; None for none.
            words: What to ask for instead of a name, such as `pascal_splits.PROMPT_NAMES`.

        Raises:
            DataError: If the folder or the list of images is missing, or an argument has another value.
        """
        require_choice(split, SPLITS, "split")
        if unseen is not None:
            require_number(unseen, sorted(UNSEEN), "number of unseen classes")
        self.split = split
        self.unseen: frozenset[str] = frozenset() if unseen is None else UNSEEN[unseen]
        self.seen = pascal_splits.seen(self.unseen)
        self._words = dict(words or {})
        self._folder = voc_folder(folder)
        self._images = read_image_names(self._folder, split)

    @cached_property
    def fingerprint(self) -> str:
        """Short hash of the list, the label maps and the options."""
        files = label_files(self._folder, self.split, self._images)
        return fingerprint(files, split=self.split, unseen=sorted(self.unseen), words=self._words)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Sample:
        """Read a sample.

        Raises:
            IndexError: outside 0 to `len - 1`.
            DataError: If its image or label map is missing or malformed.
        """
        key = self._images[require_index(index, len(self))]
        values = read_class_labels(self._folder, key)
        size = (values.shape[0], values.shape[1])
        image = read_image(self._folder / "JPEGImages" / f"{key}.jpg", size, "an image of PASCAL VOC 2012", _REMEDY)
        positions = np.where(values == VOID, np.int32(IGNORED), values)
        sample = semantic_sample(key, image, positions, NAMES, exhaustive=True)
        return replace(sample, queries=tuple(self._reworded(query) for query in sample.queries))

    def _reworded(self, query: Query) -> Query:
        word = self._words.get(query.label)
        return replace(query, prompt=TextPrompt(word)) if word else query


def voc_folder(folder: str | os.PathLike[str]) -> Path:
    """Return the folder VOC2012, whether it, VOCdevkit or the folder above that was given.

    Raises:
        DataError: If there is no such folder.
    """
    given = require_folder(folder, "PASCAL VOC 2012", _REMEDY)
    places = ("ImageSets", "VOC2012/ImageSets", "VOCdevkit/VOC2012/ImageSets")
    return first_folder(given, places, "PASCAL VOC 2012", _REMEDY).parent


def read_image_names(folder: Path, split: str) -> tuple[str, ...]:
    """Return the names of a split's images, in the order of the list.

    Raises:
        DataError: If the list is missing or empty.
    """
    path = folder / "ImageSets" / "Segmentation" / f"{split}.txt"
    what = f"the names of the images of {split}, one a line"
    names = read_lines(path, what, _REMEDY)
    if not names:
        raise malformed(path, what, "no line", _REMEDY)
    if len(set(names)) < len(names):
        raise malformed(path, what, "a name twice", _REMEDY)
    return names


def label_files(folder: Path, split: str, images: Sequence[str]) -> list[Path]:
    """Return every file that the ground truth of a split depends on."""
    labels = [folder / "SegmentationClass" / f"{name}.png" for name in images]
    return [require_file(folder / "ImageSets" / "Segmentation" / f"{split}.txt", "the names of the images"), *labels]


def read_class_labels(folder: Path, image: str) -> NDArray[np.int32]:
    """Return the label map of an image, int32 `(H, W)`: 0 to 20, or `VOID`.

    Raises:
        DataError: If it is missing or malformed.
    """
    path, what = folder / "SegmentationClass" / f"{image}.png", "label values from 0 to 20, or 255"
    values = read_labels(path, what, remedy=_REMEDY)
    strange = values[(values != VOID) & ((values < 0) | (values >= len(NAMES)))]
    if len(strange):
        raise malformed(path, what, f"the value {int(strange[0])}", _REMEDY)
    return values
