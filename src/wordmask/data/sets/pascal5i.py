"""PASCAL-5i: one-shot segmentation on the validation images of PASCAL VOC 2012, in four folds of five classes.

Shaban et al., arXiv 1709.03410; the protocol is the one of PFENet (arXiv 2008.01449) that CLIPSeg's tables 5 and 7
follow. Licence, size, source and folder layout are those of `wordmask.data.sets.voc`; no other file is needed.

    VOC2012/                               <- the folder to give; VOCdevkit or what holds it will do
    ├── JPEGImages/2007_000033.jpg
    ├── SegmentationClass/2007_000033.png
    └── ImageSets/Segmentation/val.txt

An image takes part in a fold where one of the fold's classes covers at least 2 * 32 * 32 pixels of it. Every such
image is asked for once: for one of the fold's classes in it, drawn at random, by an example drawn at random from
the other images in which that class is that large. A class may be drawn that is smaller in the image itself, as
in PFENet's code.

PFENet draws with Python's generator, seeded once for the whole run, so its draws depend on how often it was called
before. Here a draw depends on the seed and the place of the image alone; other pairs come out, by the same rule.

Images, masks and examples have their original size; bringing them to 352 pixels is up to the protocol.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from wordmask.data.reading import fingerprint, malformed, read_image, require_choice, require_index
from wordmask.data.sample import Query, Sample
from wordmask.data.sampling.support import PROMPTS, PromptKind, as_phrase, example, require_number, with_example
from wordmask.data.sets.pascal_splits import PASCAL_5I
from wordmask.data.sets.voc import NAMES, VOID, label_files, read_class_labels, read_image_names, voc_folder
from wordmask.ops.masks import pack

if TYPE_CHECKING:
    import os

    from wordmask.prompts import VisualPrompt

__all__ = ["LEAST_AREA", "Pascal5i"]

LEAST_AREA = 2 * 32 * 32
"""Pixels that a class must cover for an image to take part, or to be an example of it."""

_SPLIT = "val"


class Pascal5i:
    """One fold of PASCAL-5i; one sample per image, one query per sample.

    Attributes:
        fold: 0 to 3.
        names: The fold's five classes.
    """

    name = "pascal5i"
    exhaustive = False

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        fold: int,
        seed: int = 0,
        prompts: PromptKind = "mixed",
        weight: float = 0.5,
        template: str = "a photo of a {}.",
        mode: str = "crop_blur_highlight352",
    ) -> None:
        """Open the fold: reads every label map once, which takes some seconds, and no image.

        Args:
            folder: VOC2012, or VOCdevkit above it.
            fold: 0 to 3.
            seed: Which classes and examples are drawn.
            prompts: "text" (zero-shot), "visual" (one-shot) or "mixed".
            weight: Share of the words in a mixed prompt.
            template: What the class name is put into.
            mode: How the example is prepared for an image encoder.

        Raises:
            DataError: If a list or label map is missing or malformed, or an argument has another value.
        """
        require_number(fold, range(len(PASCAL_5I)), "fold")
        require_choice(prompts, PROMPTS, "kind of prompts")
        self.fold, self.names, self.split = fold, PASCAL_5I[fold], f"fold{fold}"
        self._seed, self._prompts, self._weight, self._mode = seed, prompts, weight, mode
        self._phrases = {name: as_phrase(template, name) for name in self.names}
        self._template = template
        self._folder = voc_folder(folder)
        listed = read_image_names(self._folder, _SPLIT)
        areas = {image: self._areas(image) for image in listed}
        self._examples = {
            name: tuple(image for image in listed if areas[image][name] >= LEAST_AREA) for name in self.names
        }
        self._present = {
            image: tuple(name for name in self.names if areas[image][name])
            for image in listed
            if max(areas[image].values()) >= LEAST_AREA
        }
        self._images = tuple(self._present)
        self._listed = listed

    @cached_property
    def fingerprint(self) -> str:
        """Short hash of the list, the label maps and the options."""
        return fingerprint(
            label_files(self._folder, _SPLIT, self._listed),
            fold=self.fold,
            seed=self._seed,
            prompt=[self._prompts, self._weight, self._template, self._mode],
        )

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Sample:
        """Read a sample and draw its example.

        Raises:
            IndexError: outside 0 to `len - 1`.
            DataError: If an image is missing or malformed, or no other image can be the example.
        """
        image = self._images[require_index(index, len(self))]
        random = np.random.default_rng([self._seed, self.fold, index])
        name = str(random.choice(self._present[image]))
        visual = None if self._prompts == "text" else self._example(image, name, random)
        values = read_class_labels(self._folder, image)
        size = (values.shape[0], values.shape[1])
        prompt = with_example(self._prompts, self._phrases[name], visual, self._weight)
        return Sample(
            key=image,
            image=read_image(self._image_file(image), size, as_stored=True),
            size=size,
            queries=(Query(prompt, pack(values == NAMES.index(name)), name),),
            ignored=pack(values == VOID),
        )

    def _areas(self, image: str) -> dict[str, int]:
        counts = np.bincount(read_class_labels(self._folder, image).ravel(), minlength=VOID + 1)
        return {name: int(counts[NAMES.index(name)]) for name in self.names}

    def _example(self, image: str, name: str, random: np.random.Generator) -> VisualPrompt:
        others = [other for other in self._examples[name] if other != image]
        if not others:
            path = self._folder / "ImageSets" / "Segmentation" / f"{_SPLIT}.txt"
            what = f"at least two images with {LEAST_AREA} pixels of {name}"
            raise malformed(path, what, f"no example of {name} for {image}")
        chosen = others[int(random.integers(len(others)))]
        mask = read_class_labels(self._folder, chosen) == NAMES.index(name)
        return example(self._image_file(chosen), mask, name=name, mode=self._mode)

    def _image_file(self, image: str) -> str:
        return str(self._folder / "JPEGImages" / f"{image}.jpg")
