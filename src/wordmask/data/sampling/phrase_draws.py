"""Random training samples as in CLIPSeg's PhraseCut+, from PhraseCut or any other data set.

Lüddecke and Ecker, "Image Segmentation Using Text and Image Prompts" (arXiv 2112.10003), section 4, and its published
training code. A draw is one phrase for one image:

1. Crop: a square whose side is the image's shorter one, at a random place; the first of up to 50 places where the
   object covers more than 5 % of the area of the whole image, or else the best of them. Then it is resized.
2. Negative: with some probability the phrase is replaced by a negative, and the ground-truth mask is empty. Where the
   data list absent names for the image, it is one of these; otherwise any phrase of the set that the image is not
   labelled with, which may be a false negative if the labels are not exhaustive.
3. Example: any sample of the same phrase, cropped by the same rule; it may be the same sample. A phrase that no other
   sample has gets none.
4. Words: put into one of some prompt templates; their weight in the mixture with the example is drawn, too.

The published code draws from torch's global generator; here a draw depends on seed, epoch and index alone, so that any
sample can be made again, in any order and in any process. Images and masks are read when they are drawn.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from wordmask.data.reading import fingerprint, require_choice, require_index
from wordmask.data.sample import Query, Sample
from wordmask.data.sampling.phrase_crops import cut_crop, find_crop
from wordmask.data.sampling.phrases import PREFIXES, ClassFilter
from wordmask.errors import DataError, quote, sentence
from wordmask.images import RgbImage
from wordmask.ops.highlight import MODES, engineer_prompt
from wordmask.ops.masks import pack
from wordmask.prompts import MixedPrompt, TextPrompt, VisualPrompt

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from numpy.typing import NDArray

    from wordmask.data.sampling.phrases import Lexicon
    from wordmask.prompts import Prompt

    Pixels = NDArray[np.uint8]
    Mask = NDArray[np.bool_]

__all__ = ["Draw", "PhraseDraws", "PhraseSource", "PhraseTask", "TaskImage", "Support"]

_REST, _PAINT = 1, 2
"""What follows seed, epoch and index in the seeds of streams of their own."""


class PhraseTask(Protocol):
    """One phrase for one image.

    Attributes:
        key: Unique in the set.
        phrase: The words.
    """

    @property
    def key(self) -> str: ...
    @property
    def phrase(self) -> TextPrompt: ...


class TaskImage(NamedTuple):
    """Image and mask of a task.

    Attributes:
        pixels: uint8 `(H, W, 3)`.
        mask: Bool `(H, W)`: where the object is.
        known: Bool `(H, W)`: where the mask says something; None = everywhere.
    """

    pixels: Pixels
    mask: Mask
    known: Mask | None = None


class PhraseSource(Protocol):
    """Tasks and their images.

    Attributes:
        name, split, fingerprint: As of a `Dataset`.
        tasks: In a fixed order.
    """

    @property
    def name(self) -> str: ...
    @property
    def split(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def tasks(self) -> Sequence[PhraseTask]: ...

    def read(self, task: Any) -> TaskImage:
        """Read a task's image and mask.

        Raises:
            DataError: If a file is missing or damaged.
        """
        ...

    def present(self, task: Any) -> Collection[str]:
        """Return the phrases that are no negatives for the task's image."""
        ...

    def absent(self, task: Any) -> tuple[str, ...]:
        """Return the phrases that the task's image is known not to show; () = nothing is known."""
        ...


@dataclass(frozen=True, eq=False)
class Support:
    """An example of a phrase.

    Attributes:
        image: uint8 `(S, S, 3)`; zeros where there is no example.
        mask: Bool `(S, S)`, where the object is; all False where there is no example.
        valid: Whether there is one. There is none for a phrase that only one sample has, nor (other than in the
            published code, which then shows the encoder a dimmed image) where resizing lost all of a tiny object.
        seed: What modes with a random part draw from.
    """

    image: Pixels
    mask: Mask
    valid: bool
    seed: tuple[int, ...] = ()

    def prompt_image(
        self, mean: tuple[float, float, float], std: tuple[float, float, float], mode: str
    ) -> NDArray[np.float32]:
        """Return what the image encoder sees, float32 `(3, h, w)`: all zeros where there is no example.

        The side is the mode's own (352 for "crop_blur_highlight352"), or else the example's.

        Args:
            mean: Of the encoder's RGB normalisation, for pixels in [0, 1].
            std: Of the encoder's RGB normalisation.
            mode: One of `ops.highlight.MODES`.
        """
        size = len(self.image)
        if not self.valid:
            side = MODES[mode].size or size
            return np.zeros((3, side, side), dtype=np.float32)
        centre, spread = np.asarray(mean, dtype=np.float32), np.asarray(std, dtype=np.float32)
        pixels = (self.image.astype(np.float32) / np.float32(255) - centre) / spread
        random = np.random.default_rng(self.seed)
        return engineer_prompt(pixels.transpose(2, 0, 1), self.mask, mode, size=size, random=random)


@dataclass(frozen=True, eq=False)
class Draw:
    """One training sample as it was drawn.

    Attributes:
        task: The phrase and image that it was made from.
        image: uint8 `(S, S, 3)`.
        mask: Bool `(S, S)`: where what is asked for is; all False in a negative.
        known: Bool `(S, S)`: where the mask says something.
        phrase: What is asked for, bare.
        text: The same in its prompt template.
        negative: Whether the phrase was replaced by one that belongs to another sample.
        support: The example; None where none is wanted.
        text_weight: Weight of the words in the mixture, 0 to 1; 1 without a valid example.
    """

    task: PhraseTask
    image: Pixels
    mask: Mask
    known: Mask
    phrase: str
    text: str
    negative: bool
    support: Support | None
    text_weight: float


class PhraseDraws:
    """A data set whose samples are drawn anew in every epoch: one query per sample.

    Attributes:
        tasks: The phrases that are left, in the order of the source.
    """

    names: tuple[str, ...] = ()
    exhaustive = False

    def __init__(
        self,
        source: PhraseSource,
        *,
        seed: int = 0,
        size: int = 352,
        crop: bool = True,
        negatives: float = 0.2,
        visual: bool = True,
        only_visual: bool = False,
        text_weight: tuple[float, float] = (0.0, 0.5),
        prefixes: str = "shuffle+",
        mode: str = "crop_blur_highlight352",
        avoid: Sequence[str] = (),
        lexicon: Lexicon | None = None,
    ) -> None:
        """Choose the phrases; no image is read.

        `negatives=0, visual=False` makes what CLIPSeg's authors call PC: the bare phrases alone.

        Args:
            source: The phrases and images.
            seed: Of all random draws.
            size: Side of the samples in pixels.
            crop: Whether images are cropped at random; otherwise they are squashed whole.
            negatives: Probability of a phrase that is not there.
            visual: Whether there are examples, and templates around the phrases.
            only_visual: Whether phrases that only one sample has are left out.
            text_weight: Range of the words' weight in the mixture with the example.
            prefixes: Which templates, one of `phrases.PREFIXES`; bare phrases without `visual`.
            mode: How examples are prepared for an image encoder.
            avoid: Synsets of the classes whose phrases are left out, such as `phrases.pascal_fold_synsets(0)`.
            lexicon: WordNet, needed with `avoid`: `phrases.read_wordnet(folder)`.

        Raises:
            DataError: If an argument is out of range, or no phrase is left.
        """
        _check(negatives, text_weight, size)
        self._prefixes = PREFIXES[require_choice(prefixes, tuple(PREFIXES), "list of prompt templates")]
        self._source, self.name, self.split = source, source.name, source.split
        self._seed, self._size, self._crop = seed, size, crop
        self._negatives, self._visual, self._text_weight, self._mode = negatives, visual, text_weight, mode
        self._choose_tasks(_filter(avoid, lexicon), only_visual)
        self._options: dict[str, Any] = {
            "base": source.fingerprint,
            "numbers": [seed, size, negatives, *text_weight],
            "words": [prefixes, mode],
            "switches": [crop, visual, only_visual],
            "phrases": [task.key for task in self.tasks] if avoid else [],  # another lexicon leaves others
        }

    @property
    def fingerprint(self) -> str:
        """Short hash of what the samples depend on: the source and the options."""
        return fingerprint((), **self._options)

    def __len__(self) -> int:
        return len(self.tasks)

    def phrases(self) -> frozenset[str]:
        """Return every phrase that may be drawn, negatives too, without the templates around them."""
        phrases = {task.phrase.text for task in self.tasks}
        if self._negatives:
            phrases.update(self._phrases, *(self._absent(task) for task in self.tasks))
        return frozenset(phrases)

    def __getitem__(self, index: int) -> Sample:
        """Return a sample as it is drawn in epoch 0.

        Raises:
            IndexError: outside 0 to `len - 1`.
            DataError: If an image is missing, damaged or of another size.
        """
        return self.sample(index, epoch=0)

    def sample(self, index: int, *, epoch: int) -> Sample:
        """Return a sample as it is drawn in an epoch: always the same one.

        Raises:
            IndexError: outside 0 to `len - 1`.
            DataError: If an image is missing, damaged or of another size.
        """
        draw = self.draw(index, epoch=epoch)
        key = f"{draw.task.key}/{epoch}"
        query = Query(self._prompt(draw), pack(draw.mask), draw.phrase)
        ignored = None if draw.known.all() else pack(~draw.known)
        image, size = RgbImage(draw.image, f"{key}.png"), (self._size, self._size)
        return Sample(key=key, image=image, size=size, queries=(query,), ignored=ignored)

    def draw(self, index: int, *, epoch: int, variants: int = 0) -> Draw:
        """Return the parts of a sample, for training loops that embed words and example themselves.

        Args:
            index: Of the sample.
            epoch: Number of the epoch, from 0.
            variants: How many crops a sample has: 0 = a new one in every epoch; n = those of epochs 0 to n - 1 over
                and over, in examples as well. Phrases, and which example it is, are drawn anew all the same.

        Raises:
            IndexError: outside 0 to `len - 1`.
            DataError: If an image is missing, damaged or of another size.
        """
        task = self.tasks[require_index(index, len(self))]
        random = np.random.default_rng([self._seed, epoch % variants if variants else epoch, index])
        image, mask, known = self._cropped(task, random)
        if variants:
            random = np.random.default_rng([self._seed, epoch, index, _REST])
        phrase, negative = task.phrase.text, bool(random.random() < self._negatives)
        other = self._another(task, random) if negative else None
        if other is not None:
            phrase, mask = other, np.zeros_like(mask)
        support = self._support(phrase, random, (epoch, index), variants) if self._visual else None
        template = self._prefixes[int(random.integers(len(self._prefixes)))] if self._visual else "{}"
        drawn = float(random.uniform(*self._text_weight))
        weight = drawn if support is not None and support.valid else 1.0
        text = template.replace("{}", phrase)
        return Draw(task, image, mask, known, phrase, text, other is not None, support, weight)

    def _prompt(self, draw: Draw) -> Prompt:
        words = TextPrompt(draw.text)
        if draw.support is None or not draw.support.valid:
            return words
        example = VisualPrompt(RgbImage(draw.support.image), draw.support.mask, name=draw.phrase, mode=self._mode)
        return MixedPrompt(words, example, weight=draw.text_weight)

    def _another(self, task: PhraseTask, random: np.random.Generator) -> str | None:
        """Return a phrase for which the task's image is a negative, each with the same probability."""
        if stated := self._absent(task):
            return stated[int(random.integers(len(stated)))]
        present = self._source.present(task)
        if all(phrase in present for phrase in self._phrases):
            return None
        while (chosen := self._phrases[int(random.integers(len(self._phrases)))]) in present:
            pass
        return chosen

    def _absent(self, task: PhraseTask) -> tuple[str, ...]:
        return tuple(phrase for phrase in self._source.absent(task) if phrase not in self._avoided)

    def _support(self, phrase: str, random: np.random.Generator, place: tuple[int, int], variants: int) -> Support:
        sharing = self._sharing.get(phrase, ())
        if len(sharing) > 1:
            chosen = sharing[int(random.integers(len(sharing)))]
            seed = (self._seed, *place, _PAINT)
            if variants:
                view = (self._seed, int(random.integers(variants)), chosen)
                random, seed = np.random.default_rng(view), (*view, _PAINT)
            image, mask, _ = self._cropped(self._everything[chosen], random)
            if mask.any():
                return Support(image, mask, True, seed)
        nothing = np.zeros((self._size, self._size), dtype=np.bool_)
        return Support(np.zeros((*nothing.shape, 3), dtype=np.uint8), nothing, False)

    def _cropped(self, task: PhraseTask, random: np.random.Generator) -> tuple[Pixels, Mask, Mask]:
        """Image, mask and what is known of it, uint8 `(S, S, 3)` and bool `(S, S)`."""
        seen = self._source.read(task)
        crop = find_crop(seen.mask, random) if self._crop else None
        if seen.known is None:
            pixels, (mask,) = cut_crop(seen.pixels, (seen.mask,), crop, self._size)
            return pixels, mask, np.ones_like(mask)
        pixels, (mask, known) = cut_crop(seen.pixels, (seen.mask, seen.known), crop, self._size)
        return pixels, mask, known

    def _choose_tasks(self, keep: Callable[[str], bool], only_visual: bool) -> None:
        tasks = self._source.tasks
        self._avoided = frozenset(
            phrase for phrase in {name for task in tasks for name in self._source.absent(task)} if not keep(phrase)
        )
        self._everything = [task for task in tasks if keep(task.phrase.text)]
        self._sharing: dict[str, list[int]] = defaultdict(list)
        for place, task in enumerate(self._everything):
            self._sharing[task.phrase.text].append(place)
        self._phrases = tuple(sorted(self._sharing))
        self.tasks = [task for task in self._everything if not only_visual or len(self._sharing[task.phrase.text]) > 1]
        if not self.tasks:
            remedy = "avoid fewer classes, or take another split"
            raise DataError(sentence("no phrase that is left", "at least one", remedy))
        if self._negatives and len(self._phrases) < 2 and not any(self._absent(task) for task in self.tasks):
            expected = "two different ones for negatives"
            raise DataError(sentence("only one phrase", expected, "set negatives=0, or take another split"))


def _filter(avoid: Sequence[str], lexicon: Lexicon | None) -> Callable[[str], bool]:
    """Which phrases stay; the lexicon is not kept, since a data set goes to other processes."""
    if not avoid:
        return lambda phrase: True
    if lexicon is None:
        remedy = "pass lexicon=read_wordnet(folder) from wordmask.data.sampling.phrases"
        raise DataError(sentence("classes to avoid without a lexicon", "WordNet to look them up in", remedy))
    return ClassFilter(avoid, lexicon).keep


def _check(negatives: float, text_weight: tuple[float, float], size: int) -> None:
    if not 0 <= negatives <= 1:
        expected = "a probability from 0 to 1"
        raise DataError(sentence(f"negatives={quote(negatives)}", expected, "write for example negatives=0.2"))
    if not 0 <= text_weight[0] <= text_weight[1] <= 1:
        got, expected = f"text_weight={quote(text_weight)}", "the least and the greatest weight, 0 to 1"
        raise DataError(sentence(got, expected, "write for example text_weight=(0, 0.5)"))
    if size < 1:
        raise DataError(sentence(f"size={size}", "at least one pixel", "write for example size=352"))
