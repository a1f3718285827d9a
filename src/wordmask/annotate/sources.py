"""Images that have not been read yet: files, files of other file systems, rows of data sets."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wordmask.errors import ImageError, quote, sentence
from wordmask.images import MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["HUGGING_FACE", "JOURNAL_NAME", "GivenLabel", "ImageSource", "Inputs", "RemoteImage", "RowImage"]

JOURNAL_NAME = "journal.sqlite"
"""A folder with such a file holds the results of a job, and no inputs."""
HUGGING_FACE = "hf:"
"""Start of the uri of a row of a data set."""


@dataclass(frozen=True)
class ImageSource:
    """An image that has not been read.

    Attributes:
        uri: Absolute path, or an address such as `s3://bucket/a.jpg`: tells it from every other image.
    """

    uri: str

    def read(self) -> bytes:
        """Return the bytes of the file.

        Raises:
            ImageError: If it cannot be read.
        """
        try:
            with open(self.uri, "rb") as file:
                content = file.read(MAX_BYTES + 1)
        except (OSError, ValueError) as error:
            got = f"the file {quote(self.uri)}, which cannot be read ({getattr(error, 'strerror', None) or error})"
            raise ImageError(sentence(got, "a file that may be read", "check its permissions and the disk")) from error
        return _checked(content, self.uri)

    def signature(self) -> str:
        """Return a text that changes when the file does, without reading it; "" where there is none."""
        try:
            about = os.stat(self.uri)
        except (OSError, ValueError):
            return ""
        return f"{about.st_size}-{about.st_mtime_ns}"


@dataclass(frozen=True)
class RemoteImage(ImageSource):
    """An image on another file system, read through fsspec."""

    system: Any = field(compare=False, default=None)
    about: str = field(compare=False, default="")

    def read(self) -> bytes:
        """Return the bytes of the file."""
        try:
            with self.system.open(self.uri, "rb") as file:
                return _checked(file.read(MAX_BYTES + 1), self.uri)
        except ImageError:
            raise
        except Exception as error:
            got = f"the address {quote(self.uri)}, which cannot be read ({' '.join(str(error).split())[:80]})"
            remedy = "check the address, the credentials and the network"
            raise ImageError(sentence(got, "a file that may be read", remedy)) from error

    def signature(self) -> str:
        """Return size and version of the file as the file system told them."""
        return self.about


@dataclass(frozen=True)
class RowImage(ImageSource):
    """An image in a row of a data set of the library datasets."""

    fetch: Callable[[], bytes] = field(compare=False, default=bytes)
    about: str = field(compare=False, default="")

    def read(self) -> bytes:
        """Return the bytes of the file."""
        return _checked(self.fetch(), self.uri)

    def signature(self) -> str:
        """Return the fingerprint of the data set."""
        return self.about


@dataclass(frozen=True)
class GivenLabel:
    """An annotation that an image has already.

    Attributes:
        name: Its class.
        record: A COCO annotation without ids: `segmentation`, `bbox`, `area`, `iscrowd`, and whatever else it has.
    """

    name: str
    record: Mapping[str, Any]


@dataclass
class Inputs:
    """What the arguments name.

    Attributes:
        images: The images, in order, each once.
        labels: Annotations that images have already, by uri.
        names: Classes of these, in their own order.
        licences: COCO's `licenses` of the data sets.
    """

    images: list[ImageSource] = field(default_factory=list)
    labels: dict[str, list[GivenLabel]] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    licences: list[dict[str, Any]] = field(default_factory=list)
    _seen: set[ImageSource] = field(default_factory=set, init=False, repr=False, compare=False)

    def add(self, images: Iterable[ImageSource]) -> None:
        """Add images; those that are there already stay once."""
        if len(self._seen) != len(self.images):
            self._seen = set(self.images)
        for image in images:
            if image not in self._seen:
                self._seen.add(image)
                self.images.append(image)


def _checked(content: bytes, uri: str) -> bytes:
    if not content:
        raise ImageError(sentence(f"the empty file {quote(uri)}", "an image", "download or export it again"))
    if len(content) > MAX_BYTES:
        got = f"the file {quote(uri)} of more than {MAX_BYTES / 1e6:.0f} MB"
        raise ImageError(sentence(got, "an image of fewer bytes", "scale it down or cut it into tiles"))
    return content
