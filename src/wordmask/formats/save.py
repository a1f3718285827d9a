"""Choose by a path what to write of a result: an overlay, annotations, or a folder with everything."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from wordmask.formats.coco import CocoAnnotations
from wordmask.formats.files import as_path
from wordmask.formats.folder import ResultFolder
from wordmask.formats.overlay import save_overlay

if TYPE_CHECKING:
    from pathlib import Path

    from wordmask.formats.named_mask import AnnotatedImage


def save(image: AnnotatedImage, path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Write the masks of one image and return the files.

    Args:
        image: Pixels and masks.
        path: A folder (it exists, or has no suffix), a `.json` file for COCO annotations, or a file for an overlay.

    Raises:
        ImageError: If an overlay is asked for and the pixels are missing.
        OutputError: If the path is none, its suffix is unknown or a file cannot be written.
    """
    target = as_path(path)
    if os.path.isdir(target) or (not target.suffix and not target.is_file()):
        folder = ResultFolder(target)
        files = folder.add(image)
        folder.finish()
        return (*files, folder.coco_path)
    if target.suffix.lower() == ".json":
        return (CocoAnnotations([image]).save(target),)
    return (save_overlay(image, target),)
