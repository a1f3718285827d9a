"""What a training reads: the set it is trained on, and samples that it is measured on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from wordmask.batch import Batch, Place
    from wordmask.contracts import Dataset, Trainable
    from wordmask.training.inspection import InstanceCounts
    from wordmask.training.order import Order
    from wordmask.training.schedule import Schedule

__all__ = ["DataChoice", "DataSettings", "Subset", "TrainingData", "TrainingSet"]


@dataclass(frozen=True)
class DataChoice:
    """Which data the user named.

    Attributes:
        path: A table, an annotation file or a folder: see `wordmask.data.registry.open_data`; None for
            a data set that is generated.
        dataset: Name of a data set that the registry knows; None = look at the files.
        split: Part that is trained on, of sets that have parts.
        valid: Data for validation, in one of the same shapes; None = the set's own part, or samples that are held out.
        valid_split: Part that is validated on.
        images: Folder that the file names in a COCO JSON file start from; None = `images` beside the file, or the
            file's folder.
        exhaustive: Whether everything that has a name is marked in every image: the other names are then known to be
            absent.
    """

    path: Path | None
    dataset: str | None = None
    split: str = "train"
    valid: Path | None = None
    valid_split: str = "val"
    images: Path | None = None
    exhaustive: bool = False


@dataclass(frozen=True)
class Subset:
    """Some samples of a data set.

    Attributes:
        dataset: The data set.
        indices: Of its samples.
    """

    dataset: Dataset
    indices: tuple[int, ...]


class TrainingSet(Protocol):
    """Augmented samples for torch's `DataLoader`, addressed by `Place`.

    Every random draw depends on the seed and the place alone: any sample can be made again, in any order and in any
    process, so that a resumed run sees what an uninterrupted one sees.

    Attributes:
        name, split, fingerprint: What run.json says of the data.
        images: Number of images that are trained on.
    """

    @property
    def name(self) -> str: ...
    @property
    def split(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def images(self) -> int: ...

    def __getitem__(self, place: Place) -> Any:
        """Return one augmented sample."""
        ...

    def order(self, first: int, last: int) -> Order:
        """Return the places of steps `first` to `last - 1`: see `training.order`."""
        ...

    def collate(self, samples: list[Any]) -> Batch:
        """Put augmented samples together."""
        ...

    def phrases(self) -> Iterable[str]:
        """Return every phrase that the training may ask for."""
        ...


@dataclass(frozen=True)
class TrainingData:
    """What is trained on, and what it is measured on.

    Attributes:
        train: The training set.
        sample: Samples of it, for questions without ground truth where there is no validation.
        validation: Samples that are not trained on; None where there are none.
        left_out: Sentences about what was wrong and is left out.
        counts: How many instances have masks and boxes alone; None where nobody has to know.
    """

    train: TrainingSet
    sample: Subset
    validation: Subset | None
    left_out: tuple[str, ...] = ()
    counts: InstanceCounts | None = None


class DataSettings(Protocol):
    """The part of a recipe that says how samples are drawn and augmented: a `Settings`."""

    def open(
        self, choice: DataChoice, model: Trainable, schedule: Schedule, *, skip_bad: bool, scratch: Path
    ) -> TrainingData:
        """Open the data.

        Args:
            choice: Which data.
            model: What is trained on them: size and normalisation of its images.
            schedule: Seed, batches and sizes.
            skip_bad: Whether what is wrong is left out; otherwise it is an error.
            scratch: Folder for files that are made from the data, where any are.
        """
        ...

    @property
    def repeats(self) -> bool:
        """Whether augmented images come again in later epochs, so that their features are worth keeping."""
        ...

    def to_json(self) -> dict[str, Any]:
        """Return the plain values."""
        ...
