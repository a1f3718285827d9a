"""COCO's instance format, with lossless run-length masks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from wordmask import __version__
from wordmask.errors import ImageError, OutputError, quote, sentence
from wordmask.formats.files import write
from wordmask.formats.named_mask import NamedMask, ScoredMask
from wordmask.ops.boxes import to_xywh
from wordmask.ops.masks import empty, pack, union
from wordmask.ops.rle import decode, encode_packed
from wordmask.prompts.phrases import fold_phrase

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping

    from wordmask.formats.named_mask import AnnotatedImage

_GENERATOR = "wordmask"
EXPORTER = "wordmask annotate"
"""Generator of what a job exports: read by its image root, and never added to."""


def image_root(path: Path) -> Path | None:
    """Return the folder that the file names in annotations start from; None where wordmask did not write them.

    `info` comes first in the file, which is not read any further.
    """
    start = '{"info": '
    try:
        with path.open(encoding="utf-8") as file:
            head = file.read(4096)
        info, _ = json.JSONDecoder().raw_decode(head, len(start) if head.startswith(start) else len(head))
        return path.parent / info["image_root"] if info["generator"] in (_GENERATOR, EXPORTER) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True)
class CocoEntry:
    """One image in COCO's terms, before it has numbers.

    Attributes:
        image: Its record without `id`.
        annotations: The phrase of each annotation, and its record without ids.
    """

    image: dict[str, Any]
    annotations: tuple[tuple[str, dict[str, Any]], ...]

    @classmethod
    def of(cls, image: AnnotatedImage, name: str | None, files: Mapping[str, Any] | None = None) -> CocoEntry:
        """Encode an image and its masks.

        Args:
            image: Masks.
            name: `file_name` of the image; None for one that has none.
            files: More fields of the image's record: the files that were written for it.
        """
        height, width = image.size
        presence = _highest((mask.name, float(mask.presence)) for mask in image.masks)
        record = {"file_name": name, "height": height, "width": width, "presence": presence, **(files or {})}
        return cls(record, tuple((mask.name, one) for mask in image.masks for one in _annotations(mask)))


class CocoAnnotations:
    """A COCO data set that grows image by image; ids count from 1 and stay when images are added.

    A category is a prompt's name; names that differ in case, blanks and marks alone share it. There is one annotation
    per instance. Beside COCO's own fields it has `score` (detection), `mask_score` (mask quality, null where it was not
    estimated) and the prompt's `presence`. Annotations are not crowds: `iscrowd` is 0 although masks are run lengths,
    which pycocotools reads without loss. An image has `presence`: that of every prompt by name, found or not (the
    highest, where prompts share a name).

    Attributes:
        image_root: Folder that the file names start from, relative to the annotations' file; None where none is known.
    """

    def __init__(self, images: Iterable[AnnotatedImage] = ()) -> None:
        self.image_root: str | None = None
        self._images: dict[str, dict[str, Any]] = {}
        self._annotations: dict[int, list[dict[str, Any]]] = {}
        self._categories: dict[str, dict[str, Any]] = {}
        self._last_image = self._last_annotation = 0
        for image in images:
            self.add(CocoEntry.of(image, self.free_name(image.name)))

    @classmethod
    def read(cls, path: Path) -> CocoAnnotations:
        """Read what wordmask wrote; nothing where there is no file.

        Raises:
            OutputError: If the file cannot be read, or something else wrote it.
        """
        if not path.is_file():
            return cls()
        try:
            content = json.loads(path.read_bytes())
            if content["info"]["generator"] != _GENERATOR:
                raise ValueError
            return cls._of(content)
        except OSError as error:
            got = f"the output {quote(path)}, which cannot be read ({error.strerror})"
            raise OutputError(sentence(got, "a file that may be read", "change --out")) from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            got = f"the file {quote(path)}, which wordmask did not write, in the place of the output"
            remedy = "it is left as it is: rename it, or choose another output"
            raise OutputError(sentence(got, "no such file, or one of an earlier run", remedy)) from error

    @classmethod
    def _of(cls, content: dict[str, Any]) -> CocoAnnotations:
        read = cls()
        root = content["info"].get("image_root")
        read.image_root = root if isinstance(root, str) else None
        for record in content["images"]:
            if not (isinstance(record["id"], int) and isinstance(record.get("masks", {}), dict)):
                raise TypeError
            record["presence"] = {phrase: float(value) for phrase, value in record["presence"].items()}
            read._images[record["file_name"]] = record
            read._annotations[record["id"]] = []
            read._last_image = max(read._last_image, record["id"])
        read._categories = {
            fold_phrase(one["name"]): one for one in content["categories"] if isinstance(one["id"], int)
        }
        for annotation in content["annotations"]:
            read._annotations[annotation["image_id"]].append(annotation)
            read._last_annotation = max(read._last_annotation, annotation["id"])
        return read

    def __len__(self) -> int:
        return len(self._images)

    def __contains__(self, name: object) -> bool:
        return name in self._images

    @property
    def names(self) -> tuple[str, ...]:
        """The file names of the images."""
        return tuple(self._images)

    def record(self, name: str) -> dict[str, Any]:
        """Return the record of an image by its file name, {} where there is none."""
        return self._images.get(name, {})

    def free_name(self, name: str | None) -> str:
        """Return a file name that no image has yet: the given one, or the same with a number."""
        if name is not None and name not in self._images:
            return name
        path = PurePath(name or "image")
        number = len(self._images) + 1 if name is None else 2
        while (numbered := str(path.with_name(f"{path.stem}-{number}{path.suffix}"))) in self._images:
            number += 1
        return numbered

    def masks(self, name: str) -> tuple[NamedMask, ...]:
        """Return the masks of an image, in the order of its phrases."""
        record = self.record(name)
        return tuple(self._named_mask(record, phrase) for phrase in record.get("presence", {}))

    def _named_mask(self, record: dict[str, Any], phrase: str) -> NamedMask:
        category = self._categories.get(fold_phrase(phrase), {}).get("id")
        size = (record["height"], record["width"])
        found = [one for one in self._annotations[record["id"]] if one["category_id"] == category]
        parts = tuple(part for one in found if (part := _scored_mask(one, size)))
        whole = union([part.mask for part in parts]) if parts else empty(size)
        return NamedMask(phrase, whole, float(record["presence"][phrase]), parts)

    def add(self, entry: CocoEntry, *, replace: bool = False) -> None:
        """Add an image. Of one that is there already, its phrases are added; those that it has are renewed.

        Args:
            entry: The image and its annotations.
            replace: Whether all that is there about the image is dropped first; so it is when its size has changed.
        """
        name = entry.image["file_name"]
        if name not in self._images:
            self._last_image += 1
        record = self._images.setdefault(name, {"id": self._last_image})
        old = self._annotations.setdefault(record["id"], [])
        size = (record.get("height"), record.get("width"))
        if replace or size != (entry.image["height"], entry.image["width"]):
            record = self._images[name] = {"id": record["id"]}
            old.clear()
        new = {fold_phrase(phrase): phrase for phrase in entry.image["presence"]}
        renewed = {self._category(phrase) for phrase in new.values()}
        old[:] = [one for one in old if one["category_id"] not in renewed]
        for field, value in entry.image.items():
            if isinstance(value, dict):
                value = {k: v for k, v in record.get(field, {}).items() if fold_phrase(k) not in new} | value
            record[field] = value
        for phrase, annotation in entry.annotations:
            ids = {"id": self._last_annotation + 1, "image_id": record["id"], "category_id": self._category(phrase)}
            if not any(ids | annotation == one | {"id": ids["id"]} for one in old):  # a phrase that was asked twice
                old.append(ids | annotation)
                self._last_annotation += 1

    def _category(self, phrase: str) -> int:
        number = max((one["id"] for one in self._categories.values()), default=0) + 1
        return int(self._categories.setdefault(fold_phrase(phrase), {"id": number, "name": phrase})["id"])

    def content(self) -> dict[str, Any]:
        """Return `info`, `licenses`, `images`, `annotations` and `categories`."""
        info = {"description": "Masks of phrases", "generator": _GENERATOR, "version": __version__}
        return {
            "info": info | ({} if self.image_root is None else {"image_root": self.image_root}),
            "licenses": [],
            "images": list(self._images.values()),
            "annotations": [one for ones in self._annotations.values() for one in ones],
            "categories": list(self._categories.values()),
        }

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write them as JSON (UTF-8), in the place of what is there.

        Raises:
            OutputError: If the file cannot be written.
        """
        content = json.dumps(self.content(), ensure_ascii=False)
        return write(path, content.encode("utf-8", "replace") + b"\n")


def _scored_mask(annotation: Mapping[str, Any], size: tuple[int, int]) -> ScoredMask | None:
    """Return the mask of an annotation; None where it is none that wordmask wrote."""
    try:
        code, score, quality = annotation["segmentation"], float(annotation["score"]), annotation.get("mask_score")
        return ScoredMask(pack(decode(code)), score, quality) if code["size"] == list(size) else None
    except (ImageError, KeyError, TypeError, ValueError):
        return None


def _highest(pairs: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return the highest value of each name; of names that differ in case, blanks and marks alone, the first."""
    names: dict[str, str] = {}
    highest: dict[str, float] = {}
    for name, value in pairs:
        first = names.setdefault(fold_phrase(name), name)
        highest[first] = max(value, highest.get(first, 0.0))
    return highest


def _annotations(mask: NamedMask) -> Iterator[dict[str, Any]]:
    for instance in mask.instances:
        yield {
            "segmentation": encode_packed(instance.mask),
            "area": instance.mask.area,
            "bbox": list(to_xywh(instance.mask.box or (0.0, 0.0, 0.0, 0.0))),
            "iscrowd": 0,
            "score": float(instance.score),
            "mask_score": None if instance.mask_score is None else float(instance.mask_score),
            "presence": float(mask.presence),
        }
