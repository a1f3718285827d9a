"""Former name of `wordmask.data.folder.open_files`, kept until its callers have moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wordmask.data.coco_json import CocoJson
from wordmask.data.folder import open_files
from wordmask.data.label_maps import LabelMaps

if TYPE_CHECKING:
    import os

__all__ = ["plain"]


def plain(
    folder: str | os.PathLike[str], split: str = "val", *, exhaustive: bool | None = None
) -> LabelMaps | CocoJson:
    """Open a folder with splits.json: see `wordmask.data.folder.open_files`."""
    opened = open_files(folder, split, exhaustive=exhaustive)
    assert isinstance(opened, LabelMaps | CocoJson)
    return opened
