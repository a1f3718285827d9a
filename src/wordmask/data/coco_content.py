"""Read and check the records of a COCO JSON file: images, categories and annotations that belong together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wordmask.data.names import path_key
from wordmask.data.problems import NOTHING_LEFT, require_sound
from wordmask.data.reading import malformed, read_json, read_size, require_field
from wordmask.data.segmentations import COCO, require_pixels, usable_box
from wordmask.errors import DataError, PromptError, quote
from wordmask.images import MAX_PIXELS
from wordmask.prompts import TextPrompt
from wordmask.prompts.phrases import fold_phrase

if TYPE_CHECKING:
    from pathlib import Path

    from wordmask.ops.geometry import Size

__all__ = ["Annotation", "CocoContent", "Gap", "ImageRecord", "read_content"]


@dataclass(frozen=True)
class ImageRecord:
    """An image of the file.

    Attributes:
        id: By which annotations name it.
        file_name: Its path from the folder of images, normalised.
        size: `(H, W)`; None where the file does not say it.
        exhaustive: Whether it says that everything with a name is marked in it.
    """

    id: int
    file_name: str
    size: Size | None
    exhaustive: bool


@dataclass(frozen=True)
class Annotation:
    """An annotated object; `of` names it in messages, `segmentation` is as written.

    An object without a mask has a `box`, XYXY in pixels; None for the others.
    """

    of: str
    name: str
    segmentation: Any
    crowd: bool
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Gap:
    """Something that is in an image, without a usable mask.

    Attributes:
        name: What it is; None where the file does not tell.
        box: Where it is, XYXY in pixels; None where the file does not tell.
    """

    name: str | None
    box: tuple[float, float, float, float] | None


@dataclass
class CocoContent:
    """What is in a file.

    Attributes:
        exhaustive: What the file says about all its images.
        names: Category id -> name. Names that differ in case or blanks alone are one name, as it is first written.
        images: In the file's order, each file once.
        annotations: Image id -> objects, in the file's order.
        gaps: Image id -> things that were left out.
        problems: Sentences about what is left out.
    """

    exhaustive: bool = False
    names: dict[int, str] = field(default_factory=dict)
    images: list[ImageRecord] = field(default_factory=list)
    annotations: dict[int, list[Annotation]] = field(default_factory=dict)
    gaps: dict[int, list[Gap]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def read_content(path: Path, folder: Path, *, skip_bad: bool, boxes: bool = False) -> CocoContent:
    """Read a file.

    Args:
        path: The JSON file.
        folder: Where its images are.
        skip_bad: Whether records in which something is wrong are left out and listed; masks are then checked, too.
            Otherwise they are an error.
        boxes: Whether objects that have a box and no mask are read; otherwise something is wrong with them.

    Raises:
        DataError: If the file is missing or malformed, or nothing is left of it.
    """
    return _Reader(path, folder, skip_bad, boxes).read()


class _Reader:
    """Reads one file; `say` lists a problem, or raises it."""

    def __init__(self, path: Path, folder: Path, skip_bad: bool, boxes: bool) -> None:
        self.path, self.folder, self.skip_bad, self.boxes = path, folder, skip_bad, boxes
        self.problems: list[str] = []
        self.content = CocoContent()
        self.ambiguous_categories: set[int] = set()
        self.lost_images: set[int] = set()  # their annotations are left out with them
        self.same: dict[int, int] = {}  # image id -> id under which its file came first
        self.records: dict[int, ImageRecord] = {}
        self.sizes: dict[int, Size | None] = {}

    def read(self) -> CocoContent:
        written = read_json(self.path, COCO, dict)
        self.content.exhaustive = written.get("exhaustive") is True
        parts = [
            require_field(written, part, list, self.path, COCO) for part in ("categories", "images", "annotations")
        ]
        if not parts[1]:
            raise malformed(self.path, COCO, "no images")
        self._categories(parts[0])
        self._images(parts[1])
        for place, record in enumerate(parts[2]):
            self._annotation(place, record)
        if self.problems and (not self.content.images or not any(self.content.annotations.values())):
            require_sound(tuple(self.problems), NOTHING_LEFT)
        self.content.problems = tuple(self.problems)
        return self.content

    def say(self, problem: str | DataError) -> None:
        error = malformed(self.path, COCO, problem) if isinstance(problem, str) else problem
        if not self.skip_bad:
            raise error
        self.problems.append(str(error))

    # --- categories ------------------------------------------------------------------------------------------------

    def _categories(self, records: list[Any]) -> None:
        spelling: dict[str, str] = {}
        for place, record in enumerate(records):
            try:
                number = require_field(record, "id", int, self.path, COCO, of=f"category {place}")
                name = self._name(record, place)
            except DataError as error:
                self.say(error)
                continue
            name = spelling.setdefault(fold_phrase(name), name)
            before = self.content.names.get(number)
            if before is not None or number in self.ambiguous_categories:
                others = "" if before in (None, name) else f", {quote(before)} and {quote(name)}; neither is read"
                self.say(f"two categories of the id {number}{others}")
                if before != name:
                    self.content.names.pop(number, None)
                    self.ambiguous_categories.add(number)
                continue
            self.content.names[number] = name

    def _name(self, record: Any, place: int) -> str:
        name = require_field(record, "name", str, self.path, COCO, of=f"category {place}").strip()
        if not name:
            raise malformed(self.path, COCO, f"a blank name in category {place}")
        try:
            return TextPrompt(name).text
        except PromptError as error:
            raise malformed(self.path, COCO, f"a name of category {place} that is no phrase ({error})") from error

    # --- images ----------------------------------------------------------------------------------------------------

    def _images(self, records: list[Any]) -> None:
        by_id: dict[int, ImageRecord] = {}
        for place, record in enumerate(records):
            try:
                image = self._image(record, f"image {place}")
            except DataError as error:
                self.say(error)
                if isinstance(record, dict) and isinstance(number := record.get("id"), int):
                    self.lost_images.add(number)
                continue
            before = by_id.get(image.id)
            if before is None:
                by_id[image.id] = image
            elif before.file_name == image.file_name:
                self.say(f"two images of the id {image.id}, both {quote(image.file_name)}")
            else:
                names = f"{quote(before.file_name)} and {quote(image.file_name)}"
                self.say(f"two images of the id {image.id}, {names}, so that nobody knows whose annotations are whose")
                self.lost_images.add(image.id)
        by_file: dict[str, ImageRecord] = {}
        for image in by_id.values():
            if image.id in self.lost_images:
                continue
            first = by_file.setdefault(image.file_name, image)
            if first is not image:
                self.say(f"two images of the same file name {quote(image.file_name)}, now one with all annotations")
            self.same[image.id] = first.id
        self.content.images = list(by_file.values())
        self.records = {image.id: image for image in self.content.images}
        self.content.annotations = {image.id: [] for image in self.content.images}

    def _image(self, record: Any, of: str) -> ImageRecord:
        number = require_field(record, "id", int, self.path, COCO, of=of)
        name = require_field(record, "file_name", str, self.path, COCO, of=of)
        if not name.strip():
            raise malformed(self.path, COCO, f"a blank file name in {of}")
        size = None
        if "height" in record and "width" in record:
            of = f"image {number}"
            height, width = (require_field(record, side, int, self.path, COCO, of=of) for side in ("height", "width"))
            if min(height, width) < 1 or height * width > MAX_PIXELS:
                raise malformed(self.path, COCO, f"{quote(height)} x {quote(width)} pixels in {of}")
            size = height, width
        return ImageRecord(number, path_key(name), size, record.get("exhaustive") is True)

    def _size(self, image: int) -> Size | None:
        """Return the size of an image, from its header where the file does not say it; None where neither does."""
        if image not in self.sizes:
            record = self.records[image]
            try:
                self.sizes[image] = record.size or read_size(self.folder / record.file_name)
            except DataError:  # said when the image is read
                self.sizes[image] = None
        return self.sizes[image]

    # --- annotations -----------------------------------------------------------------------------------------------

    def _annotation(self, place: int, record: Any) -> None:
        of = f"annotation {place}"
        try:
            image = require_field(record, "image_id", int, self.path, COCO, of=of)
        except DataError as error:
            self.say(error)
            return
        if image in self.lost_images:
            return  # said already
        if image not in self.same:
            self.say(f"the unknown image {image} in {of}")
            return
        image, name = self.same[image], None
        try:
            name = self._category(record, of)
            annotation = self._checked(record, image, name, of)
        except DataError as error:
            self._leave_out(record, image, name, error)
            return
        if annotation is not None:
            self.content.annotations[image].append(annotation)

    def _category(self, record: Any, of: str) -> str | None:
        """Return the name of an annotation; None where its category has several."""
        category = require_field(record, "category_id", int, self.path, COCO, of=of)
        if category not in self.content.names and category not in self.ambiguous_categories:
            raise malformed(self.path, COCO, f"the unknown category {category} in {of}")
        return self.content.names.get(category)

    def _checked(self, record: dict[str, Any], image: int, name: str | None, of: str) -> Annotation | None:
        if name is None:
            self._leave_out(record, image, None, None)
            return None
        crowd = record.get("iscrowd") or 0
        if isinstance(crowd, str) or crowd not in (0, 1):
            raise malformed(self.path, COCO, f"{quote(crowd)} as 'iscrowd' of {of} instead of 0 or 1")
        of = f"annotation {quote(record.get('id', '?'))} ({quote(name, limit=40)})"
        segmentation = record.get("segmentation")
        if self.boxes and not segmentation and not crowd and (image_size := self._size(image)) is not None:
            box = usable_box(record, image_size)
            if box is not None:
                return Annotation(of, name, None, False, box)
        size = self._size(image) if self.skip_bad else None
        if size is not None:
            if segmentation is None and usable_box(record, size) is not None:
                raise malformed(self.path, COCO, f"a box without a mask in {of}", "draw its mask")
            require_pixels(segmentation, size, self.path, of)
        return Annotation(of, name, segmentation, bool(crowd))

    def _leave_out(self, record: dict[str, Any], image: int, name: str | None, error: DataError | None) -> None:
        """List a problem, and keep the place of what is left out: it is no background."""
        if error is not None:
            self.say(error)
        size = self._size(image)
        box = None if size is None else usable_box(record, size)
        self.content.gaps.setdefault(image, []).append(Gap(name, box))
