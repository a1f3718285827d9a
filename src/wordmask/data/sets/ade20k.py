"""ADE20K: 150 names of the scene parsing benchmark, or 847 of the full release.

Licence: annotations BSD-3-Clause by their authors' statement, images for non-commercial research and education (see
the terms at https://ade20k.csail.mit.edu/). Size: 20,210 training and 2,000 validation images for the 150 names; the
847 are labelled in the larger full release (25,574 and 2,000). Zhou et al.: Scene Parsing through ADE20K Dataset,
CVPR 2017.

The 150 names: `ADEChallengeData2016.zip` from http://sceneparsing.csail.mit.edu/.

    ADEChallengeData2016/
      images/validation/ADE_val_00000001.jpg
      annotations/validation/ADE_val_00000001.png     8 bits: 1 to 150 the names, 0 none of them

The 847 names: the full release `ADE20K_2021_17_01` (registration at the first address above) is coloured images of
some 3,000 names. The 847 were chosen for open-vocabulary papers, whose preparation (`prepare_ade20k_full_sem_seg.py` of
https://github.com/facebookresearch/Mask2Former) writes label maps beside it; this reader takes what it writes. The list
of names is not in the release: it is written, in the order of the labels and one a line, to a file `names847.txt`, from
`MetadataCatalog.get("ade20k_full_sem_seg_val").stuff_classes` of the same repository.

    ADE20K_2021_17_01/
      images_detectron2/validation/ADE_val_00000001.jpg
      annotations_detectron2/validation/ADE_val_00000001.tif      16 bits: 0 to 846 the names, 65535 none of them
      names847.txt                                                847 lines, "wall" first
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wordmask.data.label_maps import LabelMaps
from wordmask.data.reading import malformed, read_lines, require_choice, require_folder

if TYPE_CHECKING:
    import os

__all__ = ["NAMES_150", "ade20k_150", "ade20k_847"]

NAMES_150 = (
    "wall", "building", "sky", "floor", "tree", "ceiling", "road", "bed", "windowpane", "grass", "cabinet", "sidewalk",
    "person", "earth", "door", "table", "mountain", "plant", "curtain", "chair", "car", "water", "painting", "sofa",
    "shelf", "house", "sea", "mirror", "rug", "field", "armchair", "seat", "fence", "desk", "rock", "wardrobe", "lamp",
    "bathtub", "railing", "cushion", "base", "box", "column", "signboard", "chest of drawers", "counter", "sand",
    "sink", "skyscraper", "fireplace", "refrigerator", "grandstand", "path", "stairs", "runway", "case", "pool table",
    "pillow", "screen door", "stairway", "river", "bridge", "bookcase", "blind", "coffee table", "toilet", "flower",
    "book", "hill", "bench", "countertop", "stove", "palm", "kitchen island", "computer", "swivel chair", "boat",
    "bar", "arcade machine", "hovel", "bus", "towel", "light", "truck", "tower", "chandelier", "awning",
    "streetlight", "booth", "television receiver", "airplane", "dirt track", "apparel", "pole", "land", "bannister",
    "escalator", "ottoman", "bottle", "buffet", "poster", "stage", "van", "ship", "fountain", "conveyer belt",
    "canopy", "washer", "plaything", "swimming pool", "stool", "barrel", "basket", "waterfall", "tent", "bag",
    "minibike", "cradle", "oven", "ball", "food", "step", "tank", "trade name", "microwave", "pot", "animal",
    "bicycle", "lake", "dishwasher", "screen", "blanket", "sculpture", "hood", "sconce", "vase", "traffic light",
    "tray", "ashcan", "fan", "pier", "crt screen", "plate", "monitor", "bulletin board", "shower", "radiator", "glass",
    "clock", "flag",
)  # fmt: skip
"""The names of labels 1 to 150: the first of the synonyms that the benchmark's `objectInfo150.txt` lists for each."""

SPLITS = {"train": "training", "val": "validation"}
_FULL = 847
_UNLABELLED = 65535


def ade20k_150(folder: str | os.PathLike[str], split: str = "val") -> LabelMaps:
    """Open ADE20K with its 150 names; pixels of other objects have no label and count against any prediction.

    Args:
        folder: `ADEChallengeData2016`.
        split: "train" or "val".

    Raises:
        DataError: If a folder or file is missing.
    """
    part = SPLITS[require_choice(split, tuple(SPLITS), "split of ADE20K")]
    root = require_folder(folder, "ADE20K's scene parsing benchmark (ADEChallengeData2016)")
    return LabelMaps(
        root / "images" / part,
        root / "annotations" / part,
        dict(enumerate(NAMES_150, start=1)),
        ignore=(),
        other=(0,),
        exhaustive=True,
        endings=(".png",),
        name="ade20k-150",
        as_stored=True,
        split=split,
    )


def ade20k_847(folder: str | os.PathLike[str], split: str = "val") -> LabelMaps:
    """Open ADE20K with its 847 names, prepared as drawn above.

    Args:
        folder: `ADE20K_2021_17_01`.
        split: "train" or "val".

    Raises:
        DataError: If a folder or file is missing, or the list of names is not one of 847.
    """
    part = SPLITS[require_choice(split, tuple(SPLITS), "split of ADE20K")]
    root = require_folder(folder, "ADE20K's full release (ADE20K_2021_17_01)")
    return LabelMaps(
        root / "images_detectron2" / part,
        root / "annotations_detectron2" / part,
        _full_names(root),
        ignore=(),
        other=(_UNLABELLED,),
        exhaustive=True,
        endings=(".tif", ".tiff", ".png"),
        name="ade20k-847",
        as_stored=True,
        split=split,
    )


def _full_names(root: os.PathLike[str]) -> tuple[str, ...]:
    what = "the 847 names of ADE20K in the order of their labels, one a line and none twice"
    remedy = "write it as the documentation of wordmask.data.sets.ade20k says"
    path = require_folder(root, what) / "names847.txt"
    names = read_lines(path, what, remedy)
    if len(set(names)) != _FULL or len(names) != _FULL:
        raise malformed(path, what, f"{len(names)} lines, {len(set(names))} of them different", remedy)
    return names
