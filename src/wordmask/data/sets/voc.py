"""PASCAL VOC 2012, semantic segmentation: 20 classes with or without the background.

Everingham et al., IJCV 2010, "The PASCAL Visual Object Classes Challenge 2012": 1,464 images for training, 1,449 for
validation. The labels of the test images are not public.

Licence: the organisers publish no licence of their own; the images come from Flickr and are under its terms of use.
Size: about 2 GB for the archive `VOCtrainval_11-May-2012.tar`, which holds the labels, too.
Where from: the challenge's home page, "Visual Object Classes Challenge 2012 (VOC2012)", section Development Kit.

    VOCdevkit/
    └── VOC2012/                           <- the folder to give; VOCdevkit or the folder above will do
        ├── JPEGImages/2007_000033.jpg
        ├── SegmentationClass/2007_000033.png   palette: 0 background, 1 to 20 classes, 255 = ignore
        └── ImageSets/Segmentation/{train,val,trainval}.txt   one name of an image per line

The value 255 marks borders and objects that are hard to tell; pixels of it are ignored. Open-vocabulary papers call the
set PAS-20 without and PAS-21 with the background. Generalised zero-shot protocols (arXiv 2108.06536) hold some classes
out of training and ask for all 21; which ones is in `pascal_splits`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wordmask.data.label_maps import LabelMaps
from wordmask.data.mask_files import read_labels
from wordmask.data.reading import (
    first_folder,
    malformed,
    read_lines,
    require_choice,
    require_file,
    require_folder,
)
from wordmask.data.sets import pascal_splits

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


__all__ = ["NAMES", "VOID", "label_files", "pascal_voc", "read_class_labels", "read_image_names", "voc_folder"]

NAMES = (pascal_splits.BACKGROUND, *pascal_splits.CLASSES)
"""The names of the labels 0 to 20."""

VOID = 255
"""The label of pixels that do not count."""

SPLITS = ("train", "val", "trainval")

_REMEDY = "give the folder VOC2012 of the unpacked archive VOCtrainval_11-May-2012.tar"


def pascal_voc(
    folder: str | os.PathLike[str], split: str = "val", *, background: bool = True, name: str = "voc2012"
) -> LabelMaps:
    """Open PASCAL VOC 2012.

    Args:
        folder: VOC2012, or VOCdevkit or the folder above it.
        split: "train", "val" or "trainval".
        background: Whether the background is a name like the others (PAS-21), or has no label and counts against any
            mask on it (PAS-20).
        name: What reports call the set.

    Raises:
        DataError: If the folder, a file or the list of images is missing or malformed.
    """
    require_choice(split, SPLITS, "split of PASCAL VOC")
    root = voc_folder(folder)
    return LabelMaps(
        require_folder(root / "JPEGImages", "the images of PASCAL VOC 2012", _REMEDY),
        require_folder(root / "SegmentationClass", "the label maps of PASCAL VOC 2012", _REMEDY),
        {value: word for value, word in enumerate(NAMES) if background or value},
        ignore=VOID,
        other=() if background else (0,),
        exhaustive=True,
        keys=read_image_names(root, split),
        endings=(".png",),
        name=name,
        as_stored=True,
        split=split,
    )


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
