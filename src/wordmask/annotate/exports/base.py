"""What every export has: how it is written, how it is read back, and what it can hold."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from wordmask.errors import OutputError, quote, sentence

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from wordmask.annotate.labelled import LabelledImage, LabelledSet
    from wordmask.ops.masks import PackedMask

__all__ = ["Export", "ExportOptions", "ReadBack", "place_image", "relative_root"]

ReadBack: TypeAlias = "tuple[str, list[tuple[str, PackedMask]]]"
"""Name of an image and its masks with their classes, as a reader of the format found them."""


@dataclass(frozen=True)
class ExportOptions:
    """What a user may choose.

    Attributes:
        splits: Fractions by split, such as `{"train": 0.8, "val": 0.2}`; None: one split, `train`.
        seed: Of the splits.
        parts: How YOLO writes an object of several parts: `bridge` joins them by thin lines, `split` makes an object
            of each.
        images: Whether images are put beside labels where a format wants that: `link`, `copy` or `none`.
        command: The command that made the data, for data set cards.
    """

    splits: Mapping[str, float] | None = None
    seed: int = 0
    parts: str = "bridge"
    images: str = "link"
    command: str = ""


class Export(Protocol):
    """A format.

    Attributes:
        name: What the user types.
        summary: One line for people.
        by_class: Whether it holds one mask a class, not one an object.
    """

    @property
    def name(self) -> str: ...
    @property
    def summary(self) -> str: ...
    @property
    def by_class(self) -> bool: ...

    def write(self, labelled: LabelledSet, folder: Path, options: ExportOptions) -> None:
        """Write all labels into an empty folder, which will later be moved to `folder / ".." / name`."""
        ...

    def read(self, labelled: LabelledSet, folder: Path) -> Iterator[ReadBack]:
        """Read a folder back, as the format's own tools do."""
        ...


def relative_root(labelled: LabelledSet, folder: Path) -> str:
    """Return the path from an export's folder to the common folder of the images; an address stays as it is."""
    if "://" in labelled.root or labelled.root.startswith("hf:"):
        return labelled.root
    return Path(os.path.relpath(labelled.root or "/", os.path.realpath(folder))).as_posix()


def place_image(image: LabelledImage, target: Path, how: str) -> None:
    """Put an image beside its labels.

    Args:
        image: The image.
        target: Where to.
        how: `link` (a symbolic link; a copy where that is not possible), `copy`, or `none`.

    Raises:
        OutputError: If it cannot be read or written.
    """
    if how == "none":
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if "://" in image.uri or image.uri.startswith("hf:"):
            from wordmask.annotate.opening import open_source

            target.write_bytes(open_source(image.uri).read())
            return
        if how == "link":
            try:
                os.symlink(image.uri, target)
            except (OSError, NotImplementedError):
                shutil.copyfile(image.uri, target)
            return
        shutil.copyfile(image.uri, target)
    except OSError as error:
        got = f"the image {quote(image.uri)}, which cannot be copied ({error.strerror})"
        raise OutputError(sentence(got, "a file that is where it was", "restore it, or use --images none")) from error


def scores_of(one: Any) -> dict[str, Any]:
    """Return the scores of an object as further fields of a record."""
    fields = {"score": one.score, "mask_score": one.mask_score, "presence": one.presence}
    return fields | ({} if one.origin == "model" else {"origin": one.origin})
