"""COCO-Stuff: label maps of COCO 2017 with 171 names, 80 things and 91 stuff classes.

Licence: annotations CC BY 4.0, images under their Flickr terms. Size: 118,287 training and 5,000 validation images.
Obtain the images `train2017.zip` and `val2017.zip` from https://cocodataset.org/#download, the label maps
`stuffthingmaps_trainval2017.zip` from https://github.com/nightrome/cocostuff. Caesar, Uijlings, Ferrari: COCO-Stuff:
Thing and Stuff Classes in Context, CVPR 2018 (arXiv 1612.03716).

    FOLDER/
      images/val2017/000000000139.jpg             or FOLDER/val2017/…
      annotations/val2017/000000000139.png        or FOLDER/stuffthingmaps/val2017/…

A pixel of a label map is the name's id less one; 255 is unlabelled. Ids run from 1 to 182, but eleven names (street
sign, hat, shoe, eye glasses, plate, mirror, window, desk, door, blender, hair brush) were taken out of COCO and never
occur: what is left, in order, are the 171 labels that papers number from 0 to 170.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wordmask.data.label_maps import LabelMaps
from wordmask.data.reading import first_folder, require_choice, require_folder

if TYPE_CHECKING:
    import os

__all__ = ["NAMES", "coco_stuff"]

THINGS = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet",
    "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
"""COCO's 80 things, in the order of their ids."""

STUFF = (
    "banner", "blanket", "branch", "bridge", "building-other", "bush", "cabinet", "cage", "cardboard", "carpet",
    "ceiling-other", "ceiling-tile", "cloth", "clothes", "clouds", "counter", "cupboard", "curtain", "desk-stuff",
    "dirt", "door-stuff", "fence", "floor-marble", "floor-other", "floor-stone", "floor-tile", "floor-wood", "flower",
    "fog", "food-other", "fruit", "furniture-other", "grass", "gravel", "ground-other", "hill", "house", "leaves",
    "light", "mat", "metal", "mirror-stuff", "moss", "mountain", "mud", "napkin", "net", "paper", "pavement", "pillow",
    "plant-other", "plastic", "platform", "playingfield", "railing", "railroad", "river", "road", "rock", "roof",
    "rug", "salad", "sand", "sea", "shelf", "sky-other", "skyscraper", "snow", "solid-other", "stairs", "stone",
    "straw", "structural-other", "table", "tent", "textile-other", "towel", "tree", "vegetable", "wall-brick",
    "wall-concrete", "wall-other", "wall-panel", "wall-stone", "wall-tile", "wall-wood", "water-other", "waterdrops",
    "window-blind", "window-other", "wood",
)  # fmt: skip
"""The 91 stuffs, in the order of their ids, 92 to 182."""

NAMES = THINGS + STUFF
"""The 171 names in the order of the contiguous labels."""

REMOVED = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91)
"""Ids that were taken out of COCO."""

VALUES = tuple(number - 1 for number in range(1, 183) if number not in REMOVED)
"""Value in a label map of each of the 171 names."""

SPLITS = ("train", "val")


def coco_stuff(folder: str | os.PathLike[str], split: str = "val") -> LabelMaps:
    """Open COCO-Stuff's 171 names.

    Args:
        folder: The folder drawn above.
        split: "train" or "val".

    Raises:
        DataError: If a folder or file is missing.
    """
    root = require_folder(folder, "COCO-Stuff")
    part = f"{require_choice(split, SPLITS, 'split of COCO-Stuff')}2017"
    images = first_folder(root, (f"images/{part}", part), "the images of COCO 2017")
    candidates = (f"annotations/{part}", f"stuffthingmaps/{part}", f"stuffthingmaps_trainval2017/{part}")
    labels = first_folder(root, candidates, "COCO-Stuff's label maps (stuffthingmaps_trainval2017.zip)")
    names = dict(zip(VALUES, NAMES, strict=True))
    return LabelMaps(
        images, labels, names, exhaustive=True, endings=(".png",), name="coco-stuff-171", as_stored=True, split=split
    )
