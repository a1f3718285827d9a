"""Choose by a path what to write of a result: an overlay, annotations, or a folder with everything."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from wordmask.formats.coco_file import CocoFile
from wordmask.formats.files import as_path
from wordmask.formats.folder import ResultFolder
from wordmask.formats.overlay import save_overlay

if TYPE_CHECKING:
    from pathlib import Path

    from wordmask.formats.named_mask import AnnotatedImage
    from wordmask.formats.style import OverlayStyle


def save(
    image: AnnotatedImage,
    path: str | os.PathLike[str],
    *,
    on_existing: str = "append",
    style: OverlayStyle | None = None,
) -> tuple[Path, ...]:
    """Write the masks of one image and return the files.

    Args:
        image: Pixels and masks.
        path: A folder (it exists, or has no suffix), a `.json` file for COCO annotations, or a file for an overlay.
        on_existing: What a folder or a file of annotations does with results that it has of the image, see
            `coco_file.OnExisting`; an overlay is replaced.
        style: How the overlay looks.

    Raises:
        ImageError: If an overlay is asked for and the pixels are missing.
        OutputError: If the path is none, its suffix is unknown or a file cannot be written.
    """
    target = as_path(path)
    if os.path.isdir(target) or (not target.suffix and not target.is_file()):
        folder = ResultFolder(target, on_existing=on_existing, style=style)
        if folder.coco.is_done(folder.coco.name_of(image.path, image.name), [mask.name for mask in image.masks]):
            return ()
        files = folder.add(image)
        folder.finish()
        return (*files, folder.coco_path)
    if target.suffix.lower() == ".json":
        coco = CocoFile(target, on_existing=on_existing)
        name = coco.name_of(image.path, image.name)
        if not coco.is_done(name, [mask.name for mask in image.masks]):
            coco.add(image, name)
            coco.write()
        return (target,)
    return (save_overlay(image, target, style=style),)
