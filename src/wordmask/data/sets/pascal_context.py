"""Pascal-Context: label maps of PASCAL VOC 2010 with 59 or 459 names.

Licence: the annotations are free for research (their page names no licence); the images follow PASCAL VOC's terms
(Flickr). Size: 4,998 training and 5,105 validation images. Mottaghi et al.: The Role of Context for Object Detection
and Semantic Segmentation in the Wild, CVPR 2014. Obtain `trainval.tar.gz` and `labels.txt` from
https://cs.stanford.edu/~roozbeh/pascal-context/, the images and lists as `VOCtrainval_03-May-2010.tar` from
http://host.robots.ox.ac.uk/pascal/VOC/voc2010/.

    VOC2010/
      JPEGImages/2008_000002.jpg
      ImageSets/Main/train.txt, val.txt       ids, one a line
      trainval/2008_000002.mat                MATLAB 5: `LabelMap`, values 1 to 459 (0: none)
      labels.txt                              459 lines "1: accordion"; trainval/labels.txt is found, too

The names of the 459 are read from `labels.txt`. The 59 are the frequent ones among them and are found there by name, so
that no order has to be assumed: copies of the label maps that go round number the 59 either by the alphabet, as here,
or with the twenty of VOC first, and a list of names in the wrong order is a silent mistake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wordmask.data.label_maps import LabelMaps
from wordmask.data.reading import malformed, read_lines, require_choice, require_file, require_folder
from wordmask.errors import quote

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["NAMES_59", "pascal_context_59", "pascal_context_459", "read_label_map"]

NAMES_59 = (
    "aeroplane", "bag", "bed", "bedclothes", "bench", "bicycle", "bird", "boat", "book", "bottle", "building", "bus",
    "cabinet", "car", "cat", "ceiling", "chair", "cloth", "computer", "cow", "cup", "curtain", "dog", "door", "fence",
    "floor", "flower", "food", "grass", "ground", "horse", "keyboard", "light", "motorbike", "mountain", "mouse",
    "person", "plate", "platform", "pottedplant", "road", "rock", "sheep", "shelves", "sidewalk", "sign", "sky",
    "snow", "sofa", "table", "track", "train", "tree", "truck", "tvmonitor", "wall", "water", "window", "wood",
)  # fmt: skip
"""The 59 frequent names as `labels.txt` spells them, by the alphabet."""

SPLITS = ("train", "val")
_FULL = 459
_BACKGROUND = "background"


def pascal_context_59(folder: str | os.PathLike[str], split: str = "val", *, background: bool = False) -> LabelMaps:
    """Open Pascal-Context with its 59 frequent names.

    Args:
        folder: The folder drawn above.
        split: "train" or "val".
        background: Whether all the rest is a sixtieth name, "background", before the others (the variant of 60).
            Otherwise it has no label and counts against any prediction.

    Raises:
        DataError: If a folder or file is missing or malformed.
    """
    root, listed = _opened(folder)
    numbers = {name: number for number, name in listed.items()}
    names = {numbers[name]: name for name in NAMES_59}
    rest = tuple(value for value in range(_FULL + 1) if value not in names)
    if background:
        names = dict.fromkeys(rest, _BACKGROUND) | names
    title = f"pascal-context-{60 if background else 59}"
    return _label_maps(root, split, names, other=() if background else rest, name=title)


def pascal_context_459(folder: str | os.PathLike[str], split: str = "val") -> LabelMaps:
    """Open Pascal-Context with all of its 459 names.

    Args:
        folder: The folder drawn above.
        split: "train" or "val".

    Raises:
        DataError: If a folder or file is missing or malformed.
    """
    root, listed = _opened(folder)
    return _label_maps(root, split, listed, other=(0,), name="pascal-context-459")


def read_label_map(path: Path, what: str) -> NDArray[np.int32]:
    """Return the `LabelMap` of one of the authors' MATLAB files, int32 `(H, W)`.

    Raises:
        DataError: If the file is missing, damaged or holds none.
    """
    from scipy.io import loadmat  # slow to import

    file = require_file(path, what)
    try:
        values = loadmat(file, variable_names=["LabelMap"])["LabelMap"]
    except KeyError as error:
        raise malformed(file, what, "no variable LabelMap") from error
    except Exception as error:  # the parser raises many kinds on damaged bytes, its own among them
        raise malformed(file, what, f"damage ({quote(error, limit=60)})") from error
    if values.ndim != 2 or values.dtype.kind not in "ui" or not values.size:
        raise malformed(file, what, f"a LabelMap of shape {values.shape} and type {values.dtype}")
    return np.asarray(values.astype(np.int32))


def _opened(folder: str | os.PathLike[str]) -> tuple[Path, dict[int, str]]:
    """Return the folder and the names of the values 1 to 459."""
    root = require_folder(folder, "Pascal-Context over VOC 2010")
    inside = root / "trainval" / "labels.txt"
    path = inside if inside.is_file() else root / "labels.txt"
    what = "Pascal-Context's 459 names as lines like '1: accordion'"
    names: dict[int, str] = {}
    for line in read_lines(path, what):
        number, colon, name = line.partition(":")
        if not (colon and number.strip().isdecimal() and name.strip()):
            raise malformed(path, what, f"the line {quote(line)}")
        names[int(number)] = name.strip()
    missing = set(range(1, _FULL + 1)) ^ names.keys()
    if missing:
        raise malformed(path, what, f"{len(names)} numbers, where {min(missing)} is missing or too many")
    absent = [name for name in NAMES_59 if name not in names.values()]
    if absent:
        raise malformed(path, what, f"no name {absent[0]!r}")
    return root, names


def _label_maps(root: Path, split: str, names: dict[int, str], *, other: tuple[int, ...], name: str) -> LabelMaps:
    part = require_choice(split, SPLITS, "split of Pascal-Context")
    keys = read_lines(root / "ImageSets" / "Main" / f"{part}.txt", f"the ids of VOC 2010's {part} images")
    return LabelMaps(
        root / "JPEGImages",
        root / "trainval",
        names,
        ignore=(),
        other=other,
        exhaustive=True,
        keys=keys,
        read=read_label_map,
        endings=(".mat",),
        name=name,
        as_stored=True,
        split=split,
    )
