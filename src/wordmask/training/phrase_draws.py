"""Data whose phrases are drawn as for PhraseCut+ (arXiv 2112.10003, section 4), over data of any shape."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from wordmask.data.problems import require_sound
from wordmask.data.registry import is_phrasecut
from wordmask.data.sampling.held_out import WithoutClasses, expand
from wordmask.data.sampling.phrase_draws import PhraseDraws
from wordmask.data.sampling.phrase_samples import SamplePhrases
from wordmask.data.sampling.phrases import PREFIXES, ClassFilter, read_wordnet
from wordmask.data.sets.phrasecut_plus import PhraseCutPlus
from wordmask.errors import DataError, quote, sentence
from wordmask.ops.highlight import MODES
from wordmask.settings import Choices, Ranges, Settings
from wordmask.training.augmentation import Augmented, collate
from wordmask.training.data import Subset, TrainingData
from wordmask.training.inspection import inspect
from wordmask.training.opening import open_training_data, open_validation
from wordmask.training.order import Order, epochs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wordmask.batch import Batch, Place
    from wordmask.contracts import Dataset, Trainable
    from wordmask.training.data import DataChoice
    from wordmask.training.schedule import Schedule

__all__ = ["PhraseSet", "PhraseSettings"]

SPOT_CHECKS = 100
"""Samples of PhraseCut that are read before a training."""


@dataclass(frozen=True, kw_only=True)
class PhraseSettings(Settings):
    """Settings of how one phrase an image is drawn, with negatives and examples: the `DataSettings` of PhraseCut.

    Attributes:
        negatives: Probability that a phrase is replaced by another one, whose mask is empty.
        visual: Whether phrases are mixed with examples (PhraseCut+).
        only_visual: Whether phrases that no second sample has, and so no example, are left out.
        engineering: How examples are prepared for the encoder, one of `ops.highlight.MODES` of three channels.
        text_weight: Greatest weight of the phrase in that mixture: 0.5 as in the published training files, 1 as in the
            paper's text.
        prefixes: Sentences around the phrases, one of `data.phrases.PREFIXES`.
        avoid: Synsets of WordNet such as "sofa.n.01" whose phrases are left out, or names of groups of them, see
            `data.held_out.GROUPS`.
        wordnet: Folder of WordNet's database, needed with `avoid`.
        variants: Crops that a phrase has: 0 = a new one in every epoch; n = n fixed ones, that of epoch e being number
            e % n. Negatives, sentences and examples are drawn anew all the same.
        holdout: Part of the images that is held out for validation where there are no others.
        valid_limit: Most images that a validation takes.
        shuffle: Whether the order of the phrases is drawn anew in every epoch.
    """

    negatives: float = 0.0
    visual: bool = False
    only_visual: bool = False
    engineering: str = "crop_blur_highlight352"
    text_weight: float = 0.5
    prefixes: str = "plain"
    avoid: tuple[str, ...] = ()
    wordnet: str = ""
    variants: int = 0
    holdout: float = 0.0
    valid_limit: int = 100
    shuffle: bool = True

    ranges: ClassVar[Ranges] = {
        **dict.fromkeys(("negatives", "text_weight"), (0, 1)),
        "variants": (0, 10**9),
        "valid_limit": (1, 10**9),
        "holdout": (0, 0.9),
    }
    choices: ClassVar[Choices] = {
        "engineering": tuple(mode for mode in MODES if mode != "concat"),  # which has four channels
        "prefixes": tuple(PREFIXES),
    }

    def __post_init__(self) -> None:
        """Check the values, and that they fit together.

        Raises:
            DataError: If they do not.
        """
        super().__post_init__()
        if self.avoid and not self.wordnet:
            remedy = "name the folder of its database with --change wordnet=FOLDER"
            raise DataError(sentence("classes to avoid without wordnet", "WordNet to look them up in", remedy))

    @property
    def repeats(self) -> bool:
        """Whether crops come again in later epochs."""
        return bool(self.variants)

    def open(
        self, choice: DataChoice, model: Trainable, schedule: Schedule, *, skip_bad: bool, scratch: Path
    ) -> TrainingData:
        """Open the data: PhraseCut's own files, or any other ones, of which every sample is then read once.

        Raises:
            DataError: If something is wrong, or no phrase is left.
        """
        if schedule.sizes:
            got = f"sizes={quote(schedule.sizes)} for phrases that are drawn"
            raise DataError(sentence(got, "one size", "leave sizes out, and change size"))
        options = self._options(model.size, schedule.seed)
        validate = bool(schedule.valid_every)
        if choice.path is not None and _is_phrasecut(choice.path, choice.dataset):
            draws: PhraseDraws = PhraseCutPlus(choice.path, split=choice.split, **options)
            problems = inspect(draws, range(0, len(draws), max(1, len(draws) // SPOT_CHECKS))).problems
            validation, more = None, tuple[str, ...]()
            if validate:
                validation, more = open_validation(choice, limit=self.valid_limit, narrowed=self._without_classes)
            left_out = (*problems, *more)
            if not skip_bad:
                require_sound(left_out)
        else:
            opened = open_training_data(
                choice, validate=validate, holdout=self.holdout, limit=self.valid_limit, seed=schedule.seed,
                skip_bad=skip_bad, narrowed=self._without_classes,
            )  # fmt: skip
            phrases = SamplePhrases(opened.train.dataset, opened.train.indices, listed=opened.phrases)
            draws = PhraseDraws(phrases, **options)
            validation, left_out = opened.validation, opened.left_out
        train = PhraseSet(draws, self, model, schedule)
        return TrainingData(train, Subset(draws, tuple(range(len(draws)))), validation, left_out)

    def _without_classes(self, dataset: Dataset) -> Dataset:
        """Return data for validation without the classes that the training does not see: they choose no weights."""
        avoid = expand(self.avoid)
        if not avoid:
            return dataset
        return WithoutClasses(dataset, avoid, ClassFilter(avoid, read_wordnet(Path(self.wordnet))))

    def _options(self, size: int, seed: int) -> dict[str, Any]:
        return {
            "seed": seed,
            "size": size,
            "negatives": self.negatives,
            "visual": self.visual,
            "only_visual": self.only_visual,
            "text_weight": (0.0, self.text_weight),
            "prefixes": self.prefixes,
            "mode": self.engineering,
            "avoid": expand(self.avoid),
            "lexicon": read_wordnet(Path(self.wordnet)) if self.avoid else None,
        }


class PhraseSet:
    """A `TrainingSet` of drawn phrases: each comes once an epoch.

    Args:
        draws: The phrases.
        settings: How examples are prepared, and how often crops come again.
        model: Normalisation of its images.
        schedule: Seed and batches.
    """

    def __init__(self, draws: PhraseDraws, settings: PhraseSettings, model: Trainable, schedule: Schedule) -> None:
        self.draws, self.settings, self.schedule, self.mean, self.std = draws, settings, schedule, model.mean, model.std
        self.name, self.split, self.images = draws.name, draws.split, len(draws)

    @property
    def fingerprint(self) -> str:
        """That of the phrases."""
        return self.draws.fingerprint

    def __len__(self) -> int:
        return len(self.draws)

    def __getitem__(self, place: Place) -> Augmented:
        settings = self.settings
        draw = self.draws.draw(place.item, epoch=place.time, variants=settings.variants)
        support = None
        if draw.support is not None:
            support = draw.support.prompt_image(self.mean, self.std, settings.engineering)
        mask = draw.mask[None]  # (1, S, S)
        return Augmented(draw.task.key, draw.image, (draw.text,), mask, draw.known, support, draw.text_weight)

    def order(self, first: int, last: int) -> Order:
        """Return the places of some steps: every epoch in a random order."""
        place = epochs(len(self), seed=self.schedule.seed, shuffle=self.settings.shuffle)
        return Order(place, self.schedule, first, last)

    def collate(self, samples: list[Augmented]) -> Batch:
        """Put augmented samples together."""
        return collate(samples, self.mean, self.std)

    def phrases(self) -> Iterable[str]:
        """Return every phrase that may be asked, without the sentences around them."""
        return self.draws.phrases()


def _is_phrasecut(path: Path, dataset: str | None) -> bool:
    """Whether data are PhraseCut's own files."""
    return dataset == "phrasecut" or (dataset is None and is_phrasecut(path))
