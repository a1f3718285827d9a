"""The training set of the crop network: crops of a user's images with the trunk's coarse maps."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from wordmask.batch import Batch
from wordmask.errors import DataError, TrainingError, sentence
from wordmask.images import load_image
from wordmask.ops.probability import logit
from wordmask.prompts import TextPrompt
from wordmask.prompts.left_right import swap_left_right
from wordmask.settings import Ranges, Settings
from wordmask.training.data import TrainingData
from wordmask.training.imss.crops import Crop, CropSettings, LabelledImage, draw_crop
from wordmask.training.imss.trainable import CropTrainable
from wordmask.training.inspection import phrase_of
from wordmask.training.order import Order, draws, epochs
from wordmask.training.several import joint_fingerprint, open_several

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

    from wordmask.batch import Place
    from wordmask.contracts import Segmenter, Trainable
    from wordmask.data.sample import Sample
    from wordmask.data.sampling.phrase_samples import PhraseList
    from wordmask.training.data import DataChoice, Subset
    from wordmask.training.opening import Opened
    from wordmask.training.schedule import Schedule

__all__ = ["CropData", "CropSet", "MixedCrops", "coarse_maps"]


@dataclass(frozen=True, kw_only=True)
class CropData(Settings):
    """Settings of how crops of a user's data are drawn: see `training.imss.crops.CropSettings`.

    Attributes:
        segmenter: Fraction of coarse maps that are the trunk's own.
        box: Fraction of coarse maps that are a jittered box; the others are blurred ground truth.
        wrong: Fraction of crops round another part than the one that is asked for, most of them by its box.
        wide: Fraction of crops of a box much larger than what is asked for, up to the whole image.
        absent: Fraction of crops that ask for a name that is known not to be in the image.
        phrase: Fraction of crops with their phrase.
        mirror: Fraction of crops that are mirrored, with left and right exchanged in the phrase.
        border: Weight added to pixels within 3 px of the mask's border.
        smaller: Exponent of 1 / area with which one of an image's names is drawn; 0: all alike.
        often: Names that are drawn more often than by their size, each with a factor: "left eye:3,right eye:3".
        unlabelled: Whether objects may be in an image that are not marked ...
        unlabelled_in: ... or of which sets of `also`, by the names of their folders.
        also: Folders of further sets, each with how often it is drawn for one draw of the set that --data names:
            "sets/carparts:0.5,sets/coco:0.3".
        holdout: Part of the images that is held out for validation where there are no others.
        valid_limit: Most images that a validation takes.
    """

    segmenter: float = 0.55
    box: float = 0.2
    wrong: float = 0.2
    wide: float = 0.06
    absent: float = 0.04
    phrase: float = 0.6
    mirror: float = 0.5
    border: float = 2.0
    smaller: float = 0.3
    often: tuple[tuple[str, float], ...] = ()
    unlabelled: bool = False
    unlabelled_in: tuple[str, ...] = ()
    also: tuple[tuple[str, float], ...] = ()
    holdout: float = 0.1
    valid_limit: int = 100

    ranges: ClassVar[Ranges] = {
        **dict.fromkeys(("segmenter", "box", "wrong", "wide", "absent", "phrase", "mirror"), (0, 1)),
        "border": (0, 100), "smaller": (0, 2), "holdout": (0, 0.9), "valid_limit": (1, 10**6),
    }  # fmt: skip

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            DataError: If one does not fit.
        """
        super().__post_init__()
        for name, values in (("also", self.also), ("often", self.often)):
            if any(weight <= 0 for _, weight in values):
                raise DataError(sentence(f"{name}={values}", "weights above 0", "leave out what is not drawn"))
        known = {Path(path).name for path, _ in self.also}
        if set(self.unlabelled_in) - known:
            got = f"unlabelled_in={','.join(self.unlabelled_in)}"
            raise DataError(sentence(got, f"folders of also ({', '.join(sorted(known)) or 'none'})", "correct it"))

    @property
    def repeats(self) -> bool:
        """Crops are drawn anew in every epoch."""
        return False

    def open(
        self, choice: DataChoice, model: Trainable, schedule: Schedule, *, skip_bad: bool, scratch: Path
    ) -> TrainingData:
        """Open the user's data, and keep the trunk's map of every name in the folders `coarse`.

        Raises:
            DataError: If something is wrong, or nothing is left.
            TrainingError: If the model is another than the crop network in training.
        """
        if not isinstance(model, CropTrainable):
            got = f"the model {type(model).__name__}"
            raise TrainingError(sentence(got, "the crop network", "use the recipe imss with --model left out"))
        opened = open_several(
            choice, [path for path, _ in self.also], validate=bool(schedule.valid_every), holdout=self.holdout,
            limit=self.valid_limit, seed=schedule.seed, skip_bad=skip_bad,
        )  # fmt: skip
        sets = [self._crops(one, model, schedule, scratch.parent, place) for place, one in enumerate(opened)]
        crops: CropSet | MixedCrops = sets[0]
        if self.also:
            weights = [1.0, *(weight for _, weight in self.also)]
            crops = MixedCrops(sets, weights, schedule, fingerprint=joint_fingerprint(opened))
        if model.vocabulary is not None:
            model.vocabulary.update(crops.phrases())
        left_out = tuple(problem for one in opened for problem in one.left_out)
        return TrainingData(crops, opened[0].train, opened[0].validation, left_out)

    def _crops(self, opened: Opened, model: CropTrainable, schedule: Schedule, parent: Path, place: int) -> CropSet:
        """The crops of one set; the trunk's maps of its images are written to a folder of its own first."""
        folder = parent / (f"coarse-{place}" if place else "coarse")
        if self.segmenter:
            coarse_maps(opened.train, model.trunk, folder)
        unlabelled = self.unlabelled or (bool(place) and Path(self.also[place - 1][0]).name in self.unlabelled_in)
        settings = replace(self, unlabelled=unlabelled)
        return CropSet(opened.train, settings, schedule, folder, side=model.size, phrases=opened.phrases)


class CropSet:
    """A `TrainingSet` of crops: one crop of each image an epoch.

    Args:
        samples: What is trained on.
        settings: How crops are drawn.
        schedule: Seed, batches and sizes.
        folder: Of the trunk's maps, one file a sample.
        side: Of the crops in pixels, where the schedule names none.
        phrases: Phrases of the samples by index.
    """

    def __init__(
        self, samples: Subset, settings: CropData, schedule: Schedule, folder: Path, *, side: int,
        phrases: Mapping[int, PhraseList],
    ) -> None:  # fmt: skip
        self.samples, self.settings, self.schedule, self.folder, self.side = samples, settings, schedule, folder, side
        dataset = samples.dataset
        self.name, self.split, self.fingerprint = dataset.name, dataset.split, dataset.fingerprint
        self._phrases = dict(phrases)
        with_masks = [place for place, index in enumerate(samples.indices) if self._phrases[index].present]
        self._places = tuple(with_masks)

    @property
    def images(self) -> int:
        """Number of images that are trained on."""
        return len(self._places)

    def __getitem__(self, place: Place) -> Crop:
        epoch, number, size = place
        return self.crop(number, np.random.default_rng([self.schedule.seed, epoch, self._places[number]]), size=size)

    def crop(self, number: int, draw: Generator, *, size: int | None = None) -> Crop:
        """Draw a crop of an image.

        Args:
            number: Of the image, below `images`.
            draw: Source of random numbers.
            size: Side in pixels; None: the set's.
        """
        image = self._image(self._places[number])
        values = {f.name: getattr(self.settings, f.name) for f in fields(CropSettings) if f.name != "side"}
        return draw_crop(image, draw, CropSettings(side=size or self.side, **values))

    def order(self, first: int, last: int) -> Order:
        """Return the places of some steps: every epoch in a random order."""
        return Order(epochs(self.images, seed=self.schedule.seed), self.schedule, first, last)

    def collate(self, samples: list[Crop]) -> Batch:
        """Put crops together."""
        parts: dict[str, Any] = {
            name: torch.from_numpy(np.stack([getattr(crop, name) for crop in samples]))
            for name in ("pixels", "coarse", "target", "weight")
        }
        keys, phrases = [""] * len(samples), [crop.phrase for crop in samples]
        return Batch(keys, parts["pixels"], phrases, parts["target"], parts["weight"], coarse=parts["coarse"])

    def phrases(self) -> Iterable[str]:
        """Return every phrase that may be asked, mirrored ones too."""
        names = {phrase for listed in self._phrases.values() for _, phrase in listed.present}
        return names | {swap_left_right(name) for name in names}

    def _image(self, index: int) -> LabelledImage:
        position = self.samples.indices[index]
        sample = self.samples.dataset[position]
        path = self.folder / f"{position}.npz"
        coarse = np.load(path)["logits"].astype(np.float32) if path.is_file() else None
        absent = self._phrases[position].absent
        return labelled_image(sample, coarse, unlabelled=self.settings.unlabelled, absent=absent)


class MixedCrops:
    """A `TrainingSet` whose crops come from several sets; a place is a step and a number in it.

    Args:
        sets: Where crops come from.
        weights: How often each set is drawn; their sum is arbitrary.
        schedule: Seed, batches and sizes.
        fingerprint: Of the data of all sets.
    """

    def __init__(
        self, sets: Sequence[CropSet], weights: Sequence[float], schedule: Schedule, *, fingerprint: str
    ) -> None:
        self.sets, self.schedule, self.fingerprint = tuple(sets), schedule, fingerprint
        self.name, self.split = "+".join(part.name for part in sets), sets[0].split
        self._chances = np.array(weights, dtype=np.float64) / np.sum(weights)

    @property
    def images(self) -> int:
        """Number of images that are trained on."""
        return sum(part.images for part in self.sets)

    def __getitem__(self, place: Place) -> Crop:
        step, number, size = place
        draw = np.random.default_rng([self.schedule.seed, step, number])
        part = self.sets[int(draw.choice(len(self.sets), p=self._chances))]
        return part.crop(int(draw.integers(part.images)), draw, size=size)

    def order(self, first: int, last: int) -> Order:
        """Return the places of some steps."""
        return Order(draws(self.schedule.batch), self.schedule, first, last)

    def collate(self, samples: list[Crop]) -> Batch:
        """Put crops together."""
        return self.sets[0].collate(samples)

    def phrases(self) -> Iterable[str]:
        """Return every phrase that may be asked."""
        return {phrase for part in self.sets for phrase in part.phrases()}


def labelled_image(
    sample: Sample, coarse: NDArray[np.float32] | None, *, unlabelled: bool = False, absent: tuple[str, ...] = ()
) -> LabelledImage:
    """Return a sample with at least one mask in memory.

    Args:
        sample: The sample.
        coarse: Logits (K, h, w) of its masks that are not empty, in order.
        unlabelled: See `LabelledImage`.
        absent: See `LabelledImage`.
    """
    queries = _present(sample)
    ignored = np.zeros(sample.size, np.bool_) if sample.ignored is None else sample.ignored.full()
    names = tuple(name for name, _ in queries)
    masks = np.stack([mask for _, mask in queries])
    return LabelledImage(load_image(sample.image).pixels, names, masks, coarse, ignored, unlabelled, absent)


def coarse_maps(samples: Subset, trunk: Segmenter, folder: Path) -> None:
    """Write the trunk's logits, less their threshold, for every mask of every sample; files that are there stay."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in samples.indices:
        path = folder / f"{index}.npz"
        if path.is_file():
            continue
        sample = samples.dataset[index]
        names = [name for name, _ in _present(sample)]
        if not names:
            continue
        result = trunk.segment(sample.image, [TextPrompt(name) for name in names])
        maps: list[NDArray[np.float32]] = []
        for found in result:
            assert found.heatmap_logits is not None
            maps.append(found.heatmap_logits.values - np.float32(logit(found.threshold)))
        unfinished = path.with_suffix(".unfinished.npz")
        np.savez(unfinished, logits=np.stack(maps).astype(np.float16))
        unfinished.replace(path)


def _present(sample: Sample) -> list[tuple[str, NDArray[np.bool_]]]:
    """The phrases of a sample with masks that are not empty."""
    return [(phrase_of(q.prompt) or q.label, q.mask) for q in sample.queries if q.packed.area and not q.boxes_only]
