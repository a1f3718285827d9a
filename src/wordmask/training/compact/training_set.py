"""Batches of labelled images as a `TrainingSet` of the training loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from wordmask.errors import TrainingError, sentence
from wordmask.settings import Choices, Ranges, Settings
from wordmask.training.compact.batches import BatchMaker
from wordmask.training.compact.from_dataset import space_of, write_labelled_images
from wordmask.training.compact.labelled_images import load_labelled_images
from wordmask.training.compact.mixing import Mixing
from wordmask.training.compact.phrase_bank import build_bank
from wordmask.training.compact.trainable import CompactTrainable
from wordmask.training.data import TrainingData
from wordmask.training.order import whole_batches
from wordmask.training.several import distinct_names, images_in_batch, joint_fingerprint, open_several

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from wordmask.batch import Place
    from wordmask.contracts import Trainable
    from wordmask.training.compact.label_space import LabelSpace
    from wordmask.training.compact.mixing import CompactBatch
    from wordmask.training.data import DataChoice
    from wordmask.training.order import Order
    from wordmask.training.schedule import Schedule

__all__ = ["CompactData", "CompactSet"]


class CompactSet:
    """A `TrainingSet` that makes whole batches.

    Args:
        maker: of the batches.
        schedule: of the run.
        name, split, fingerprint: what run.json says of the data.
        size: side of the images in pixels where the schedule names none.
    """

    def __init__(
        self, maker: BatchMaker, schedule: Schedule, *, name: str, split: str, fingerprint: str, size: int
    ) -> None:
        self.maker, self.schedule, self.size = maker, schedule, size
        self.name, self.split, self.fingerprint = name, split, fingerprint

    @property
    def images(self) -> int:
        return len(self.maker.data)

    def __getitem__(self, place: Place) -> CompactBatch:
        step = place.time * self.schedule.accumulate + place.item
        return self.maker.make(step, place.size or self.size)

    def order(self, first: int, last: int) -> Order:
        """Return one place for each part of steps `first` to `last - 1`."""
        return whole_batches(self.schedule, first, last)

    def collate(self, samples: list[Any]) -> Any:
        """Return the one batch that a list holds."""
        return samples[0]

    def phrases(self) -> Iterable[str]:
        """Return every name that may be asked for."""
        return self.maker.bank.names


@dataclass(frozen=True, kw_only=True)
class CompactData(Settings):
    """Settings of how a user's data are drawn and augmented for the compact network.

    Attributes:
        also: Further data sets that are mixed in, in any shape that `--data` takes; validation is on the first set.
        weights: Fractions of a batch that come from each set, the first of which is that of `--data`; they need not add
            up to 1. () = the same from each.
        prompts: Phrases asked of each image.
        positives: Most of them that are there.
        crop: Least extent of a window, as a fraction of the image's longer side.
        pasted: How often an object of another image is pasted.
        hidden: How often a rectangle of an image is hidden.
        mixed: How often a rectangle of another image of the set is put on an image, with its labels and boxes (CutMix).
        side: Longer side that images are resized to once, in pixels, at most.
        device: Where batches are made: "cpu" or "cuda".
        holdout: Part of the images that is held out for validation where there are no others.
        valid_limit: Most images that a validation takes.
    """

    also: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    prompts: int = 6
    positives: int = 4
    crop: float = 0.5
    pasted: float = 0.25
    hidden: float = 0.2
    mixed: float = 0.0
    side: int = 384
    device: str = "cpu"
    holdout: float = 0.1
    valid_limit: int = 100

    ranges: ClassVar[Ranges] = {
        "prompts": (1, 64),
        "positives": (1, 64),
        "crop": (0.05, 1),
        **dict.fromkeys(("pasted", "hidden", "mixed"), (0, 1)),
        "side": (32, 4096),
        "holdout": (0, 0.9),
        "valid_limit": (1, 10**6),
    }
    choices: ClassVar[Choices] = {"device": ("cpu", "cuda")}

    @property
    def repeats(self) -> bool:
        return False

    def open(
        self, choice: DataChoice, model: Trainable, schedule: Schedule, *, skip_bad: bool, scratch: Path
    ) -> TrainingData:
        """Open the user's data: read every sample once and keep it resized.

        Raises:
            DataError: If something is wrong, or nothing is left.
            TrainingError: If the model is another than the compact network in training.
        """
        if not isinstance(model, CompactTrainable):
            got = f"the model {type(model).__name__}"
            raise TrainingError(sentence(got, "the compact network", "use the recipe compact with --model left out"))
        opened = open_several(
            choice, self.also, validate=bool(schedule.valid_every), holdout=self.holdout, limit=self.valid_limit,
            seed=schedule.seed, skip_bad=skip_bad, boxes=True,
        )  # fmt: skip
        spaces = [space_of(one.train, name) for one, name in zip(opened, distinct_names(opened), strict=True)]
        folder = scratch.parent / "labelled-images"
        if not (folder / "facts.json.z").is_file():
            sets = [(one.train, space) for one, space in zip(opened, spaces, strict=True)]
            write_labelled_images(sets, folder, side=self.side)
        images = load_labelled_images([folder]).to(self.device)
        bank = build_bank(images.spaces, model.embed, seed=schedule.seed).to(self.device)
        counts = images_in_batch(
            schedule.batch // schedule.accumulate, self.weights or (1.0,) * len(spaces), len(spaces)
        )
        model.prepare(len(bank.names))
        maker = BatchMaker(images, bank, self._mixing(images.spaces, counts), seed=schedule.seed)
        first = opened[0].train.dataset
        train = CompactSet(
            maker, schedule, name="+".join(space.name for space in spaces), split=first.split,
            fingerprint=joint_fingerprint(opened), size=model.size,
        )  # fmt: skip
        left_out = tuple(problem for one in opened for problem in one.left_out)
        return TrainingData(train, opened[0].train, opened[0].validation, left_out)

    def _mixing(self, spaces: Sequence[LabelSpace], counts: Sequence[int]) -> Mixing:
        names = [space.name for space in spaces]
        fewest = min(len(space.names) for space in spaces)
        return Mixing(
            counts=dict(zip(names, counts, strict=True)),
            scales=dict.fromkeys(names, (self.crop, 1.1)),
            prompts=min(max(self.prompts, self.positives), fewest),
            positives=min(self.positives, fewest),
            hidden=self.hidden,
            pasted=dict.fromkeys(names, self.pasted),
            cut_mixed=dict.fromkeys(names, self.mixed),
            open_names=tuple(names),
        )
