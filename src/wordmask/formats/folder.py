"""A folder of overlays, masks and COCO annotations."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wordmask.formats.coco_file import CocoFile
from wordmask.formats.files import file_names, image_stem, write
from wordmask.formats.overlay import save_overlay
from wordmask.formats.png import encode_png
from wordmask.prompts.phrases import fold_phrase

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wordmask.formats.named_mask import AnnotatedImage
    from wordmask.formats.style import OverlayStyle

_OVERLAY = ".overlay.png"
_RESULT = re.compile(r".+(\.overlay|\.mask-.+|\.explain-.+)\.png", re.IGNORECASE)


def is_result(name: str) -> bool:
    """Whether a file's name is that of an overlay, a mask or an explanation in a folder of results."""
    return _RESULT.fullmatch(name) is not None


class ResultFolder:
    """Writes the results of one or more images into a folder, which is made with the first file.

    Each image gets `NAME.overlay.png` and, for every prompt, `NAME.mask-PHRASE.png`; `coco.json` holds the annotations
    of all images, and which files belong to which image. Nothing else in the folder is overwritten: where another
    file, or the results of another image of the same name, have a name already, a number makes the new one differ.

    Args:
        folder: Where to.
        on_existing: What is done with images that have results in the folder: `append` phrases, those that are there
            are renewed; `replace` all that is there about them; `skip` them.
        inputs: Files that are never written.
        style: How overlays look.

    Raises:
        OutputError: If the folder has a `coco.json` that wordmask did not write.
    """

    def __init__(
        self,
        folder: Path,
        *,
        on_existing: str = "append",
        inputs: Iterable[str] = (),
        style: OverlayStyle | None = None,
    ) -> None:
        self.folder = folder
        self.coco = CocoFile(folder / "coco.json", on_existing=on_existing)
        self._inputs = {os.path.realpath(path) for path in inputs}
        self._style = style
        self._stems = {str(self.coco.known.record(name).get("overlay")).casefold() for name in self.coco.known.names}

    @property
    def coco_path(self) -> Path:
        """The file of the annotations."""
        return self.coco.path

    def add(self, image: AnnotatedImage, *, name: str | None = None) -> tuple[Path, ...]:
        """Write the overlay and the masks of one image, and remember its annotations.

        The overlay also shows the phrases that were asked for in earlier runs and stay.

        Args:
            image: Pixels and masks.
            name: What the files are called after; None takes the image's own name.

        Returns:
            The overlay and the masks.

        Raises:
            ImageError: If the pixels are missing.
            OutputError: If a file cannot be written.
        """
        key = self.coco.name_of(image.path, name or image.name)
        known = self.coco.known.record(key)
        same = (known.get("height"), known.get("width")) == image.size and not self.coco.is_replacing
        shown = _together(self.coco.known.masks(key), image) if same else image
        made: list[Path] = []
        try:
            overlay = self._overlay_path(name or image.name or "image", known, made)
            masks = self._mask_paths(overlay, image, known, made)
            save_overlay(shown, overlay, style=self._style)
            for path, mask in zip(masks, image.masks, strict=True):
                write(path, encode_png(mask.mask.full()))
            files = {mask.name: path.name for path, mask in zip(masks, image.masks, strict=True)}
            self.coco.add(image, key, {"overlay": overlay.name, "masks": files})
        except BaseException:  # an interruption too: no masks without annotations
            for path in made:
                with contextlib.suppress(OSError):
                    path.unlink()
            raise
        kept = {overlay.name, *(path.name for path in masks)} | ({*_masks_of(known).values()} if same else set())
        self._remove({str(known.get("overlay")), *_masks_of(known).values()} - kept)
        return (overlay, *masks)

    def finish(self) -> Path | None:
        """Write the annotations, and return their file; None when there was no image.

        Raises:
            OutputError: If the file cannot be written.
        """
        return self.coco.write()

    def _overlay_path(self, name: str, known: dict[str, Any], made: list[Path]) -> Path:
        """Return where the overlay goes; a number tells apart images of the same name from several folders."""
        old = str(known.get("overlay"))
        if is_result(old) and old.endswith(_OVERLAY) and Path(old).name == old and not self._is_input(old):
            return self.folder / old
        stem = image_stem(name)
        number = 1
        while True:
            file = f"{stem}-{number}{_OVERLAY}" if number > 1 else stem + _OVERLAY
            if file.casefold() not in self._stems and self._claim(file, made):
                self._stems.add(file.casefold())
                return self.folder / file
            number += 1

    def _mask_paths(
        self, overlay: Path, image: AnnotatedImage, known: dict[str, Any], made: list[Path]
    ) -> tuple[Path, ...]:
        old = _masks_of(known)
        taken = {file.casefold() for file in old.values()}
        stem = overlay.name.removesuffix(_OVERLAY)
        paths = []
        for mask, base in zip(image.masks, file_names([mask.name for mask in image.masks], suffix=""), strict=True):
            file, number = old.pop(fold_phrase(mask.name), None), 1
            while file is None or self._is_input(file):
                file = f"{stem}.mask-{base}{f'-{number}' if number > 1 else ''}.png"
                if file.casefold() in taken or not self._claim(file, made):
                    file, number = None, number + 1
            taken.add(file.casefold())
            paths.append(self.folder / file)
        return tuple(paths)

    def _claim(self, file: str, made: list[Path]) -> bool:
        """Take a name that no file has, so that no other process takes it; False where there is one.

        When results are to be replaced, overlays and masks of unknown images are taken over.
        """
        path = self.folder / file
        if self._is_input(file):
            return False
        if self.coco.is_replacing and path.is_file():
            return True
        write_new = os.O_CREAT | os.O_EXCL | os.O_WRONLY
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, write_new, 0o666))
        except FileExistsError:
            return not os.path.lexists(path)  # the folder is a file: writing says so
        except OSError:
            return True  # writing says what is wrong
        made.append(path)
        return True

    def _is_input(self, file: str) -> bool:
        return os.path.realpath(self.folder / file) in self._inputs

    def _remove(self, files: set[str]) -> None:
        """Remove overlays and masks that were replaced."""
        for file in files:
            if is_result(file) and Path(file).name == file and not self._is_input(file):
                with contextlib.suppress(OSError):
                    (self.folder / file).unlink()


def _masks_of(record: dict[str, Any]) -> dict[str, str]:
    """Return the mask file of each phrase, folded, of an image's record."""
    files = record.get("masks")
    pairs = files.items() if isinstance(files, dict) else ()
    return {fold_phrase(phrase): file for phrase, file in pairs if is_result(str(file)) and Path(file).name == file}


def _together(known: Iterable[Any], image: AnnotatedImage) -> AnnotatedImage:
    """Return an image with the masks that are known already, and its own in their place or behind them."""
    new = {fold_phrase(mask.name): mask for mask in image.masks}
    old = [new.pop(fold_phrase(mask.name), mask) for mask in known]
    return replace(image, masks=(*old, *new.values()))
