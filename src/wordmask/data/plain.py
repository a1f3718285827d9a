"""The plain layout: small sets of any origin, brought to one form.

    FOLDER/                     its name is the set's
      images/ID.jpg
      labels/ID.png             8 bits, value -> classes.json, 255 = ignore;
      instances.json            or this instead: COCO's instance format, file names as in images/
      classes.json              {"1": "skin", "2": "nose", …}
      splits.json               {"train": ["ID", …], "val": ["ID", …]}
      SOURCE.md                 where it comes from and on what terms: read it before you use the set

In label maps value 0 is a name like the others where classes.json gives it one, except "background" and "other": such
pixels have no label and count against any answer. In instances.json a picture may say `"exhaustive": true`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wordmask.data.coco_json import CocoJson
from wordmask.data.label_maps import LabelMaps
from wordmask.data.reading import malformed, read_json, require_choice, require_folder

if TYPE_CHECKING:
    import os
    from pathlib import Path

__all__ = ["plain"]

EXHAUSTIVE = frozenset({"celebamask", "camvid"})
"""Sets of which every pixel is labelled: there a name without a pixel is absent."""

NAMELESS = frozenset({"background", "other"})
IGNORE = 255


def plain(
    folder: str | os.PathLike[str], split: str = "val", *, exhaustive: bool | None = None
) -> LabelMaps | CocoJson:
    """Open a set in the plain layout.

    Crowds of instances.json count as parts of their name's mask.

    Args:
        folder: The folder drawn above.
        split: A key of splits.json, such as "train" or "val".
        exhaustive: Whether names that have no pixel in a picture are known to be absent; None: by the set's name.

    Raises:
        DataError: If a folder or file is missing or malformed.
    """
    root = require_folder(folder, "a set in the plain layout (images, labels or instances.json, splits.json)")
    keys = _keys(root / "splits.json", split)
    name = root.resolve().name
    known = name in EXHAUSTIVE if exhaustive is None else exhaustive
    instances = root / "instances.json"
    if instances.is_file():
        return CocoJson(instances, root / "images", exhaustive=known, crowds=True, keys=keys, name=name, split=split)
    names = _names(root / "classes.json")
    return LabelMaps(
        root / "images",
        root / "labels",
        {value: word for value, word in names.items() if word not in NAMELESS},
        ignore=IGNORE,
        other=[value for value, word in names.items() if word in NAMELESS],
        exhaustive=known,
        keys=keys,
        endings=(".png",),
        name=name,
        split=split,
    )


def _keys(path: Path, split: str) -> list[str]:
    what = "splits: a list of picture names under each split's name"
    splits = read_json(path, what, dict)
    keys = splits[require_choice(split, tuple(splits), f"split of {path.parent.name}")]
    if not isinstance(keys, list) or not keys or not all(isinstance(key, str) for key in keys):
        raise malformed(path, what, f"no list of names under {split!r}")
    if len(set(keys)) < len(keys):
        raise malformed(path, what, f"a name twice under {split!r}")
    return keys


def _names(path: Path) -> dict[int, str]:
    what = "the names of label values, such as {'1': 'skin'}"
    names = read_json(path, what, dict)
    for value, word in names.items():
        if not value.isdecimal() or int(value) > IGNORE or not isinstance(word, str) or not word.strip():
            raise malformed(path, what, f"the entry {value!r}: {word!r}")
    return {int(value): word for value, word in names.items() if int(value) != IGNORE}
