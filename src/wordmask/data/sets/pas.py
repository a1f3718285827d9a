"""PAS-20 and PAS-21: PASCAL VOC 2012's segmentation as open-vocabulary papers use it, without and with a background.

Licence: the images come from Flickr under its terms; the annotations are free for research. Size: 1,464 training and
1,449 validation images. Obtain `VOCtrainval_11-May-2012.tar` from http://host.robots.ox.ac.uk/pascal/VOC/voc2012/.
Everingham et al., IJCV 2010.

    VOC2012/                                   or the folder that holds VOCdevkit/VOC2012
      JPEGImages/2007_000033.jpg
      SegmentationClass/2007_000033.png        palette: 1 to 20 the names, 0 background, 255 edges
      ImageSets/Segmentation/train.txt, val.txt

In PAS-20 a pixel of the background has no label (no score for naming it), but counts against an answer that claims it.
In PAS-21 it is a name like the others, the first. Pixels of value 255 are ignored in both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wordmask.data.label_maps import LabelMaps
from wordmask.data.reading import first_folder, read_lines, require_choice, require_folder
from wordmask.data.sets.pascal_splits import BACKGROUND, CLASSES

if TYPE_CHECKING:
    import os

__all__ = ["pas20", "pas21"]

SPLITS = ("train", "val", "trainval")


def pas20(folder: str | os.PathLike[str], split: str = "val") -> LabelMaps:
    """Open VOC 2012's twenty names.

    Args:
        folder: The folder drawn above.
        split: "train", "val" or "trainval".

    Raises:
        DataError: If a folder or file is missing.
    """
    return _opened(folder, split, dict(enumerate(CLASSES, start=1)), other=(0,), name="pas-20")


def pas21(folder: str | os.PathLike[str], split: str = "val") -> LabelMaps:
    """Open VOC 2012's twenty names after a twenty-first, "background".

    Args:
        folder: The folder drawn above.
        split: "train", "val" or "trainval".

    Raises:
        DataError: If a folder or file is missing.
    """
    return _opened(folder, split, dict(enumerate((BACKGROUND, *CLASSES))), other=(), name="pas-21")


def _opened(
    folder: str | os.PathLike[str], split: str, names: dict[int, str], *, other: tuple[int, ...], name: str
) -> LabelMaps:
    part = require_choice(split, SPLITS, "split of PASCAL VOC")
    outer = require_folder(folder, "PASCAL VOC 2012")
    labels = first_folder(outer, ("SegmentationClass", "VOCdevkit/VOC2012/SegmentationClass"), "VOC 2012's label maps")
    root = labels.parent
    keys = read_lines(root / "ImageSets" / "Segmentation" / f"{part}.txt", f"the ids of VOC 2012's {part} images")
    return LabelMaps(
        root / "JPEGImages",
        labels,
        names,
        other=other,
        exhaustive=True,
        keys=keys,
        endings=(".png",),
        name=name,
        split=split,
    )
