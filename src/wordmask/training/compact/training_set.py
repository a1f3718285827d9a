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
from wordmask.training.opening import open_training_data
from wordmask.training.order import whole_batches

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from wordmask.batch import Place
    from wordmask.contracts import Trainable
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
        prompts: Asked of each image.
        positives: Of them that are there, at most.
        crop: Least extent of a window, as a fraction of the image's longer side.
        pasted: How often an object of another image is pasted.
        hidden: How often a rectangle of an image is hidden.
        side: Longer side that images are resized to once, in pixels, at most.
        device: Where batches are made: "cpu" or "cuda".
        holdout: Part of the images that is held out for validation where there are no others.
        valid_limit: Most images that a validation takes.
    """

    prompts: int = 6
    positives: int = 4
    crop: float = 0.5
    pasted: float = 0.25
    hidden: float = 0.2
    side: int = 384
    device: str = "cpu"
    holdout: float = 0.1
    valid_limit: int = 100

    ranges: ClassVar[Ranges] = {
        "prompts": (1, 64),
        "positives": (1, 64),
        "crop": (0.05, 1),
        **dict.fromkeys(("pasted", "hidden"), (0, 1)),
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
        opened = open_training_data(
            choice, validate=bool(schedule.valid_every), holdout=self.holdout, limit=self.valid_limit,
            seed=schedule.seed, skip_bad=skip_bad,
        )  # fmt: skip
        dataset = opened.train.dataset
        folder = scratch.parent / "labelled-images"
        space = space_of(opened.train, dataset.name)
        if not (folder / "facts.json.z").is_file():
            write_labelled_images(opened.train, space, folder, side=self.side)
        images = load_labelled_images([folder]).to(self.device)
        bank = build_bank(images.spaces, model.embed, seed=schedule.seed).to(self.device)
        mixing = Mixing(
            counts={space.name: schedule.batch // schedule.accumulate},
            scales={space.name: (self.crop, 1.1)},
            prompts=min(max(self.prompts, self.positives), len(space.names)),
            positives=min(self.positives, len(space.names)),
            hidden=self.hidden,
            pasted={space.name: self.pasted},
            open_names=(space.name,),
        )
        model.prepare(len(bank.names))
        maker = BatchMaker(images, bank, mixing, seed=schedule.seed)
        train = CompactSet(
            maker, schedule, name=dataset.name, split=dataset.split, fingerprint=dataset.fingerprint, size=model.size
        )
        return TrainingData(train, opened.train, opened.validation, opened.left_out)
