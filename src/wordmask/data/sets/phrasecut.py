"""PhraseCut (VGPhraseCut v0): phrases for regions of Visual Genome's images, all instances of each marked.

Wu et al., "PhraseCut: Language-based Image Segmentation in the Wild", CVPR 2020. Phrases join names, attributes and
relations, such as "wooden chair by the window"; a phrase's ground truth is the union of all instances' polygons.

Licence: none is stated with the annotations; Visual Genome, whose images they are on, is under CC BY 4.0.
Size: about 11 GB with all images, 0.5 GB of annotations.
Where from: the repository `ChenyunWu/PhraseCutDataset`, whose `download_dataset.py` fetches all of it, or its home page
"PhraseCut" at UMass Amherst; images may also be taken from Visual Genome 1.2, parts 1 and 2.

    VGPhraseCut_v0/                        <- the folder to give
    ├── image_data_split.json              id, size and split of every image
    ├── refer_{train,val,test,miniv}.json  phrases and polygons
    └── images/{image_id}.jpg

    split      train    val   test  miniv
    images  71,746  2,971  2,545    100
    phrases  310,816 20,316 14,354    821

The authors keep "miniv" out of the files of "val"; `split="val_miniv"` reads both, as in their own loader.

17 images are of another size than their annotations say, so that polygons and pixels do not fit. They are left out,
as CLIPSeg does.

Polygons become pixels in one of two ways, which differ by at most a pixel along the border: "clipseg" (scikit-image's
filled polygons) and "official" (PhraseCut's own evaluator: Pillow's filled polygons with their outline, coordinates
cut to whole numbers).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw

from wordmask.data.reading import (
    fingerprint,
    malformed,
    read_bytes,
    read_image,
    require_choice,
    require_field,
    require_folder,
    require_index,
)
from wordmask.data.sample import GroundTruthInstance, Query, Sample
from wordmask.errors import PromptError, quote
from wordmask.ops.masks import empty, pack, union
from wordmask.prompts import TextPrompt

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from wordmask.images import RgbImage

    Polygons = tuple[NDArray[np.float64], ...]

__all__ = ["EXCLUDED", "RASTERISERS", "PhraseCut", "PhraseCutFiles", "Task"]

EXCLUDED = frozenset(
    {
        61530, 61564, 150333, 150344, 150417, 150516, 285665, 285743, 285761, 285814, 286065, 286093, 498010, 498042,
        498187, 498246, 498269,
    }
)  # fmt: skip
"""Ids of the images whose size is not the one in their annotations."""

SPLITS = ("train", "val", "test", "miniv")

_TASKS = "phrases with their polygons"
_IMAGES = "ids and sizes of the images"
_REMEDY = "give the folder VGPhraseCut_v0, or download the file again with download_dataset.py of PhraseCut's authors"
_BLANKS = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, eq=False)
class Task:
    """One phrase for one image: what PhraseCut's authors call a task.

    Attributes:
        key: Its id, unique in the whole set.
        image: Id of the image.
        phrase: The words.
        instances: Polygons of every instance, float64 `(N, 2)` each, x and y in pixels.
    """

    key: str
    image: int
    phrase: TextPrompt
    instances: tuple[Polygons, ...]


class PhraseCut:
    """PhraseCut for evaluation: one sample per image, one query per phrase, labelled with the phrase's id."""

    name = "phrasecut"
    names: tuple[str, ...] = ()
    exhaustive = False

    def __init__(self, folder: str | os.PathLike[str], *, split: str = "test", rasteriser: str = "clipseg") -> None:
        """Read a split's annotations; no image is read.

        Args:
            folder: VGPhraseCut_v0.
            split: "train", "val", "test" or "miniv", or some of them joined by "_".
            rasteriser: How polygons become pixels: "clipseg" or "official".

        Raises:
            DataError: If a file is missing or malformed, or an argument has another value.
        """
        self.split = split
        self._files = PhraseCutFiles(folder, split=split, rasteriser=rasteriser)
        tasks: dict[int, list[Task]] = {}
        for task in self._files.tasks:
            tasks.setdefault(task.image, []).append(task)
        self._tasks = [tuple(of_image) for of_image in tasks.values()]

    @property
    def fingerprint(self) -> str:
        """Short hash of the annotation files and the options."""
        return self._files.fingerprint

    def __len__(self) -> int:
        return len(self._tasks)

    def __getitem__(self, index: int) -> Sample:
        """Return an image with all its phrases, in the order of the file.

        Raises:
            IndexError: outside 0 to `len - 1`.
            DataError: If the image is missing or of another size.
        """
        tasks = self._tasks[require_index(index, len(self))]
        return Sample(
            key=str(tasks[0].image),
            image=self._files.read_image(tasks[0].image),
            size=self._files.sizes[tasks[0].image],
            queries=tuple(self._query(task) for task in tasks),
        )

    def _query(self, task: Task) -> Query:
        masks = [pack(mask) for mask in self._files.instance_masks(task)]
        instances = tuple(GroundTruthInstance.of_mask(mask) for mask in masks if mask.area)
        return Query(task.phrase, union([empty(self._files.sizes[task.image]), *masks]), task.key, instances)


class PhraseCutFiles:
    """The folder of PhraseCut: what evaluation and training both read.

    Attributes:
        tasks: Every phrase of the split, in the order of the files, without those of excluded images.
        sizes: `(H, W)` by image id.
    """

    def __init__(self, folder: str | os.PathLike[str], *, split: str, rasteriser: str) -> None:
        """Read the annotations.

        Raises:
            DataError: If a file is missing or malformed, or an argument has another value.
        """
        self._splits = tuple(require_choice(part, SPLITS, "split of PhraseCut") for part in split.split("_"))
        self._rasteriser = require_choice(rasteriser, tuple(RASTERISERS), "rasteriser")
        self._folder = require_folder(folder, "PhraseCut", _REMEDY)
        self._image_file = self._folder / "image_data_split.json"
        self._task_files = [self._folder / f"refer_{part}.json" for part in self._splits]
        self.tasks = [task for path in self._task_files for task in _tasks(path) if task.image not in EXCLUDED]
        self.sizes = self._sizes({task.image for task in self.tasks})

    @cached_property
    def fingerprint(self) -> str:
        """Short hash of the annotation files and the options."""
        files = [*self._task_files, self._image_file]
        return fingerprint(files, splits=self._splits, rasteriser=self._rasteriser)

    def read_image(self, image: int) -> Path | RgbImage:
        """Return where an image is, or the image itself if it must not be turned.

        Raises:
            DataError: If it is missing or of another size than its annotations say.
        """
        path = self._folder / "images" / f"{image}.jpg"
        return read_image(path, self.sizes[image], "an image of Visual Genome", _REMEDY, as_stored=True)

    def mask(self, task: Task) -> NDArray[np.bool_]:
        """Return the union of a phrase's polygons, bool `(H, W)`; all False if there is none."""
        mask = np.zeros(self.sizes[task.image], dtype=np.bool_)
        for instance in self.instance_masks(task):
            mask |= instance
        return mask

    def instance_masks(self, task: Task) -> Iterator[NDArray[np.bool_]]:
        """Yield the mask of each of a phrase's instances, bool `(H, W)`."""
        size, fill = self.sizes[task.image], RASTERISERS[self._rasteriser]
        for polygons in task.instances:
            mask = np.zeros(size, dtype=np.bool_)
            for polygon in polygons:
                mask |= fill(polygon, size)
            yield mask

    def _sizes(self, wanted: set[int]) -> dict[int, tuple[int, int]]:
        sizes = {}
        for place, record in enumerate(_records(self._image_file, _IMAGES)):
            of = f"entry {place}"
            image = require_field(record, "image_id", int, self._image_file, _IMAGES, of=of)
            if image in wanted:
                height, width = (
                    require_field(record, side, int, self._image_file, _IMAGES, of=of) for side in ("height", "width")
                )
                sizes[image] = (height, width)
        missing = sorted(wanted - sizes.keys())
        if missing:
            raise malformed(self._image_file, _IMAGES, f"no entry for image {missing[0]}", _REMEDY)
        return sizes


# --- polygons to pixels --------------------------------------------------------------------------------------------


def _fill_clipseg(polygon: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.bool_]:
    from skimage.draw import polygon2mask

    return np.asarray(polygon2mask(size, polygon[:, ::-1]), dtype=np.bool_)


def _fill_official(polygon: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.bool_]:
    canvas = Image.new("L", (size[1], size[0]), 0)
    points = [(int(x), int(y)) for x, y in polygon.tolist()]
    if len(points) > 1:  # the evaluator skips single points
        ImageDraw.Draw(canvas).polygon(points, outline=1, fill=1)
    return np.asarray(canvas) > 0


RASTERISERS: Mapping[str, Callable[[NDArray[np.float64], tuple[int, int]], NDArray[np.bool_]]] = {
    "clipseg": _fill_clipseg,
    "official": _fill_official,
}
"""The ways to fill a polygon, float64 `(N, 2)`, in an image of size `(H, W)`."""


# --- annotations ---------------------------------------------------------------------------------------------------


def _tasks(path: Path) -> Iterator[Task]:
    for place, record in enumerate(_records(path, _TASKS)):
        of = f"task {place}"
        key = record.get("task_id") if isinstance(record, dict) else None
        if not isinstance(key, str | int) or isinstance(key, bool):
            raise malformed(path, _TASKS, f"no field 'task_id' in {of}", _REMEDY)
        image = require_field(record, "image_id", int, path, _TASKS, of=of)
        phrase = require_field(record, "phrase", str, path, _TASKS, of=of)
        try:
            prompt = TextPrompt(phrase)
            instances = tuple(_polygons(one) for one in require_field(record, "Polygons", list, path, _TASKS, of=of))
        except PromptError as error:
            raise malformed(path, _TASKS, f"the phrase {quote(phrase)} in {of}", _REMEDY) from error
        except (TypeError, ValueError) as error:
            raise malformed(path, _TASKS, f"a polygon that is no list of points [x, y] in {of}", _REMEDY) from error
        yield Task(str(key), image, prompt, instances)


def _polygons(instance: Sequence[Any]) -> Polygons:
    """Return the polygons of an instance as arrays, which take a tenth of the memory of lists."""
    polygons = [np.array(polygon, dtype=np.float64) for polygon in instance if polygon]
    if any(polygon.ndim != 2 or polygon.shape[1] != 2 or not np.isfinite(polygon).all() for polygon in polygons):
        raise ValueError("not a list of points")
    return tuple(polygons)


def _records(path: Path, what: str) -> Iterator[Any]:
    """Yield the members of a JSON list one by one: the lists of the training split would fill several gigabytes."""
    decoder = json.JSONDecoder()
    try:
        text = read_bytes(path, what, _REMEDY).decode("utf-8")
        place = _past(text, 0, "[")
        while text[place : place + 1] != "]":
            record, place = decoder.raw_decode(text, place)
            yield record
            place = _past(text, place, ",]")
            if text[place - 1] == "]":
                return
    except (ValueError, RecursionError) as error:
        raise malformed(path, what, f"damaged JSON ({quote(error, limit=100)})", _REMEDY) from error


def _past(text: str, place: int, signs: str) -> int:
    """Return the place of the next value after one of `signs` and the blanks around it."""
    place = _end_of_blanks(text, place)
    if place >= len(text) or text[place] not in signs:
        raise ValueError(f"no {' or '.join(signs)} at character {place}")
    return place + 1 if text[place] == "]" else _end_of_blanks(text, place + 1)


def _end_of_blanks(text: str, place: int) -> int:
    blanks = _BLANKS.match(text, place)
    return blanks.end() if blanks else place
