"""A folder of overlays, masks and COCO annotations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wordmask.formats.coco import CocoAnnotations
from wordmask.formats.files import image_stem
from wordmask.formats.overlay import save_overlay
from wordmask.formats.png import save_masks

if TYPE_CHECKING:
    from pathlib import Path

    from wordmask.formats.named_mask import AnnotatedImage


class ResultFolder:
    """Writes the results of one or more images into a folder, which is made with the first file.

    Each image gets `NAME.overlay.png` and, for every prompt, `NAME.mask-PHRASE.png`; `coco.json` holds the annotations
    of all images.

    Args:
        folder: Where to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.coco = CocoAnnotations()
        self._stems: set[str] = set()

    @property
    def coco_path(self) -> Path:
        """The file of the annotations."""
        return self.folder / "coco.json"

    def add(self, image: AnnotatedImage, *, name: str | None = None) -> tuple[Path, ...]:
        """Write the overlay and the masks of one image, and remember its annotations.

        Args:
            image: Pixels and masks.
            name: What the files are called after; None takes the image's own name.

        Returns:
            The overlay and the masks.

        Raises:
            ImageError: If the pixels are missing.
            OutputError: If a file cannot be written.
        """
        stem = self._new_stem(name or image.name or "image")
        overlay = save_overlay(image, self.folder / f"{stem}.overlay.png")
        masks = save_masks(image.masks, self.folder, prefix=f"{stem}.mask-")
        self.coco.add(image)
        return (overlay, *masks)

    def finish(self) -> Path | None:
        """Write the annotations, and return their file; None when there was no image.

        Raises:
            OutputError: If the file cannot be written.
        """
        return self.coco.save(self.coco_path) if len(self.coco) else None

    def _new_stem(self, name: str) -> str:
        """Return a stem; a number tells apart images of the same name from several folders."""
        stem = image_stem(name)
        choices = (stem, *(f"{stem}-{number}" for number in range(2, len(self._stems) + 3)))
        chosen = next(choice for choice in choices if choice.casefold() not in self._stems)
        self._stems.add(chosen.casefold())
        return chosen
