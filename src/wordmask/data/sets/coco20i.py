"""COCO-20i: one-shot segmentation on COCO 2014, in four folds of twenty classes, 1,000 episodes each.

Nguyen and Todorovic, arXiv 1909.13140; lists and episodes are those of HSNet (arXiv 2104.01538), which CLIPSeg's
table 6 follows.

Licence: COCO's annotations are under CC BY 4.0; its images are under Flickr's terms of use. HSNet's repository says
nothing about its lists and label maps.
Size: `val2014.zip` is about 6 GB, the label maps some 100 MB more. The training images are not needed here.
Where from: images from COCO's home page, section Download, "2014 Val images"; label maps and lists from the
repository of HSNet ("Hypercorrelation Squeeze for Few-Shot Segmentation"): its README links the label maps, the lists
are its folder `data/splits/coco`.

    COCO2014/                              <- the folder to give
    ├── val2014/COCO_val2014_000000000042.jpg
    ├── annotations/val2014/COCO_val2014_000000000042.png   0 nothing, 1 to 80: position of the class + 1
    └── splits/val/fold{0,1,2,3}.pkl       class position -> names of its images; or elsewhere, see `lists`

Without lists, `lists="derived"` makes them from the label maps: in the order of their names, an image stands for a
class that covers at least 2 * 32 * 32 pixels. HSNet's own lists leave small objects out, too, but by what rule is not
published: the episodes are others, and scores are not those of the same 1,000 pairs.

The lists are pickles and are read by `wordmask.data.unpickle`, which runs nothing that is in them. Episodes are drawn
as HSNet's test draws them: with its seed, 0, and its lists, they are the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.data.mask_files import read_labels
from wordmask.data.reading import (
    fingerprint,
    malformed,
    read_image,
    require_choice,
    require_file,
    require_folder,
    require_index,
)
from wordmask.data.sample import Query, Sample
from wordmask.data.sampling.support import PROMPTS, PromptKind, as_phrase, example, require_number, with_example
from wordmask.data.sets.pascal_splits import COCO_20I
from wordmask.data.unpickle import read_pickle
from wordmask.ops.masks import pack

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from wordmask.prompts import VisualPrompt

__all__ = ["CLASSES", "DERIVED", "Coco20i", "draw_episodes"]

CLASSES = tuple(
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,parking meter,"
    "bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,suitcase,frisbee,"
    "skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass,"
    "cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,"
    "potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,cell phone,microwave,oven,toaster,sink,"
    "refrigerator,book,clock,vase,scissors,teddy bear,hair drier,toothbrush".split(",")
)
"""COCO's 80 classes by position."""

DERIVED = "derived"
"""The value of `lists` that makes the lists from the label maps."""

LEAST_AREA = 2 * 32 * 32
"""Pixels that a class must cover in an image for a derived list."""

_REMEDY = "give the folder COCO2014 as HSNet's README lays it out"
_LISTS = "get it from data/splits/coco of HSNet's repository, or pass lists='derived'"


@dataclass(frozen=True)
class Episode:
    """What is asked for once: the position of a class, an image, and the image that is the example."""

    label: int
    query: str
    support: str


class Coco20i:
    """One fold of COCO-20i; one sample and one query per episode.

    Attributes:
        fold: 0 to 3.
        names: The fold's twenty classes.
        episodes: What was drawn.
    """

    name = "coco20i"
    exhaustive = False
    split: str

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        fold: int,
        seed: int = 0,
        count: int = 1000,
        lists: str | os.PathLike[str] | None = None,
        prompts: PromptKind = "mixed",
        weight: float = 0.5,
        template: str = "{}",
        mode: str = "crop_blur_highlight352",
    ) -> None:
        """Open the fold and draw the episodes; no image is read.

        Args:
            folder: COCO2014.
            fold: 0 to 3.
            seed: Which episodes are drawn.
            count: Number of episodes.
            lists: Folder with `fold0.pkl` to `fold3.pkl`; None for `splits/val` in `folder`; "derived" to make the
                lists from the label maps, which reads them all and takes minutes.
            prompts: "text" (zero-shot), "visual" (one-shot) or "mixed".
            weight: Share of the words in a mixed prompt.
            template: What the class name is put into.
            mode: How the example is prepared for an image encoder.

        Raises:
            DataError: If a list or label map is missing or malformed, or an argument has another value.
        """
        require_number(fold, range(len(COCO_20I)), "fold")
        require_choice(prompts, PROMPTS, "kind of prompts")
        self.fold, self.split = fold, f"fold{fold}"
        self.names = tuple(CLASSES[label] for label in COCO_20I[fold])
        self._prompts, self._weight, self._mode = prompts, weight, mode
        self._phrases = {name: as_phrase(template, name) for name in self.names}
        self._folder = require_folder(folder, "COCO 2014", _REMEDY)
        self._template = template
        images = _lists(self._folder, fold, lists)
        self.episodes = draw_episodes(images, COCO_20I[fold], count=count, seed=seed)

    @cached_property
    def fingerprint(self) -> str:
        """Short hash of the episodes, their label maps and the options."""
        drawn = [(episode.label, episode.query, episode.support) for episode in self.episodes]
        images = sorted({image for _, query, support in drawn for image in (query, support)})
        files = [_label_file(self._folder, image) for image in images]
        prompt = [self._prompts, self._weight, self._template, self._mode]
        return fingerprint(files, fold=self.fold, episodes=drawn, prompt=prompt)

    def __len__(self) -> int:
        return len(self.episodes)

    def __getitem__(self, index: int) -> Sample:
        """Read an episode.

        Raises:
            IndexError: outside 0 to `len - 1`.
            DataError: If an image or label map is missing or malformed.
        """
        episode = self.episodes[require_index(index, len(self))]
        name = CLASSES[episode.label]
        visual = None if self._prompts == "text" else self._example(episode, name)
        mask = self._mask(episode.query, episode.label)
        size = (mask.shape[0], mask.shape[1])
        prompt = with_example(self._prompts, self._phrases[name], visual, self._weight)
        return Sample(
            key=f"{index}-{Path(episode.query).stem}",  # an image may be drawn more than once
            image=read_image(self._folder / episode.query, size, as_stored=True),
            size=size,
            queries=(Query(prompt, pack(mask), name),),
        )

    def _example(self, episode: Episode, name: str) -> VisualPrompt:
        mask = self._mask(episode.support, episode.label)
        if not mask.any():
            path = _label_file(self._folder, episode.support)
            raise malformed(path, f"label values with {episode.label + 1} ({name}) among them", "none", _REMEDY)
        return example(self._folder / episode.support, mask, name=name, mode=self._mode)

    def _mask(self, image: str, label: int) -> NDArray[np.bool_]:
        values = read_labels(_label_file(self._folder, image), "label values from 0 to 80", remedy=_REMEDY)
        return np.asarray(values == label + 1)


def draw_episodes(
    images: Mapping[int, Sequence[str]], labels: Sequence[int], *, count: int, seed: int
) -> tuple[Episode, ...]:
    """Draw class, image and example, in turn, each uniformly; the example is another image than the one asked.

    The numbers are those of NumPy's old global generator after `numpy.random.seed(seed)`, one episode after another,
    because that is what HSNet's test uses; NumPy promises that they will never change.

    Args:
        images: Names of the images of every class position.
        labels: Positions of the fold's classes.
        count: Number of episodes.
        seed: 0 in HSNet's test.
    """
    random = np.random.RandomState(seed)
    episodes = []
    for _ in range(count):
        label = labels[_random_index(random, len(labels))]
        listed = images[label]
        query = listed[_random_index(random, len(listed))]
        support = query
        while support == query:
            support = listed[_random_index(random, len(listed))]
        episodes.append(Episode(label, query, support))
    return tuple(episodes)


def _random_index(random: np.random.RandomState, length: int) -> int:
    return int(random.choice(length, 1, replace=False)[0])


def _lists(folder: Path, fold: int, lists: str | os.PathLike[str] | None) -> Mapping[int, Sequence[str]]:
    """Return the names of the images of every class position of the fold."""
    if lists == DERIVED:
        source = folder / "annotations" / "val2014"
        images = _derived(source, COCO_20I[fold])
    else:
        source = Path(lists or folder / "splits" / "val") / f"fold{fold}.pkl"
        images = _read_lists(source, COCO_20I[fold])
    for label, names in images.items():
        if len(set(names)) < 2:
            what = f"at least two images of class {label} ({CLASSES[label]})"
            raise malformed(source, what, f"{len(set(names))}", _LISTS)
    return images


def _read_lists(path: Path, labels: Sequence[int]) -> dict[int, list[str]]:
    what = "names of images by class position"
    value: dict[Any, Any] = read_pickle(path, what, dict, _LISTS)
    for label in labels:
        listed = value.get(label)
        if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
            raise malformed(path, what, f"no list of names for class {label}", _LISTS)
        if any(name.startswith("/") or ".." in Path(name).parts for name in listed):
            raise malformed(path, what, f"a name outside the folder for class {label}", _LISTS)
    return {label: value[label] for label in labels}


def _derived(folder: Path, labels: Sequence[int]) -> dict[int, list[str]]:
    images: dict[int, list[str]] = {label: [] for label in labels}
    for file in sorted(require_folder(folder, "label maps", _REMEDY).glob("[!.]*.png")):
        values = read_labels(file, "label values from 0 to 80", remedy=_REMEDY)
        counts = np.bincount(values.ravel(), minlength=len(CLASSES) + 1)
        for label in labels:
            if counts[label + 1] >= LEAST_AREA:
                images[label].append(f"val2014/{file.stem}.jpg")
    return images


def _label_file(folder: Path, image: str) -> Path:
    return require_file((folder / "annotations" / image).with_suffix(".png"), "the label map of an image", _REMEDY)
