"""PhraseCut+: PhraseCut as CLIPSeg was trained on it, with phrases that are not there and examples beside the words.

Lüddecke and Ecker, "Image Segmentation Using Text and Image Prompts" (arXiv 2112.10003), section 4, and its published
training code. Licence, size, source and folder layout are those of `wordmask.data.phrasecut`; no other file is needed
but, for leaving out classes, WordNet (`wordmask.data.phrases`).

A sample is one phrase for one picture, drawn anew in every epoch:

1. Crop: a square whose side is the picture's shorter one, at a random place; the first of up to 50 places where the
   thing covers more than 5 % of the area of the whole picture, or else the best of them. Then it is resized.
2. Negative: with probability 0.2 the phrase is replaced by another one of the set and the true mask is empty.
3. Example: any sample of the same phrase, cropped by the same rule; it may be the very sample. A phrase that no other
   sample has stands alone.
4. Words: put into one of nine sentences; their share in the mixture with the example is drawn between 0 and 0.5.

The published code draws from torch's global generator; here a draw depends on seed, epoch and index alone, so that
any sample can be made again, in any order and in any process.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.data.phrasecut import PhraseCutFiles, Task
from wordmask.data.phrases import PREFIXES, ClassFilter
from wordmask.data.reading import fingerprint, malformed, require_choice, require_index
from wordmask.errors import DataError, ImageError, quote, sentence
from wordmask.images import Picture, load_image
from wordmask.ops.highlight import engineer_prompt
from wordmask.ops.masks import pack
from wordmask.prompts import MixedPrompt, TextPrompt, VisualPrompt
from wordmask.samples import Query, Sample

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wordmask.data.phrases import Lexicon
    from wordmask.prompts import Prompt

    Pixels = NDArray[np.uint8]
    Mask = NDArray[np.bool_]

__all__ = ["LEAST_SHARE", "TRIES", "Draw", "PhraseCutPlus", "Support", "find_crop"]

TRIES = 50
"""Places tried for a crop."""
LEAST_SHARE = 0.05
"""Share of the whole picture's area that a thing must cover inside a crop to be found at once."""

PROMPT_SIZE = 352
"""Side in pixels of the prompt picture of "crop_blur_highlight352"."""


@dataclass(frozen=True, eq=False)
class Support:
    """An example of a phrase.

    Attributes:
        image: uint8 `(S, S, 3)`; zeros where there is no example.
        mask: Bool `(S, S)`, where the thing is; all False where there is no example.
        valid: Whether there is one. There is none for a phrase that only one sample has, nor (other than in the
            published code, which then shows the encoder a dimmed picture) where resizing lost all of a tiny thing.
    """

    image: Pixels
    mask: Mask
    valid: bool

    def prompt_image(
        self, mean: tuple[float, float, float], std: tuple[float, float, float], mode: str
    ) -> NDArray[np.float32]:
        """Return what the image encoder sees, float32 `(3, h, w)`: all zeros where there is no example.

        Args:
            mean: Of the encoder's RGB normalisation, for pixels in [0, 1].
            std: Of the encoder's RGB normalisation.
            mode: One of `ops.highlight.MODES`.
        """
        if not self.valid:
            side = PROMPT_SIZE if mode == "crop_blur_highlight352" else self.image.shape[0]
            return np.zeros((3, side, side), dtype=np.float32)
        centre, spread = np.asarray(mean, dtype=np.float32), np.asarray(std, dtype=np.float32)
        pixels = (self.image.astype(np.float32) / np.float32(255) - centre) / spread
        return engineer_prompt(pixels.transpose(2, 0, 1), self.mask, mode)


@dataclass(frozen=True, eq=False)
class Draw:
    """One training sample as it was drawn.

    Attributes:
        task: The phrase and picture that it was made from.
        image: uint8 `(S, S, 3)`.
        mask: Bool `(S, S)`: where what is asked for is; all False in a negative.
        phrase: What is asked for, bare.
        text: The same in its sentence.
        negative: Whether the phrase was replaced by one that belongs to another sample.
        support: The example; None where none is wanted.
        text_weight: Share of the words in the mixture, 0 to 1; 1 without a valid example.
    """

    task: Task
    image: Pixels
    mask: Mask
    phrase: str
    text: str
    negative: bool
    support: Support | None
    text_weight: float


class PhraseCutPlus:
    """PhraseCut for training; one sample and one query per phrase and picture.

    Attributes:
        tasks: The phrases that are left, in the order of the file.
    """

    name = "phrasecut+"
    names: tuple[str, ...] = ()

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        split: str = "train",
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
        rasteriser: str = "clipseg",
    ) -> None:
        """Read the annotations and choose the phrases; no picture is read.

        `negatives=0, visual=False` makes what CLIPSeg's authors call PC: the bare phrases alone.

        Args:
            folder: VGPhraseCut_v0.
            split: As in `PhraseCut`.
            seed: What is drawn.
            size: Side of the samples in pixels.
            crop: Whether pictures are cropped at random; otherwise they are squashed whole.
            negatives: Probability of a phrase that is not there.
            visual: Whether there are examples, and sentences around the phrases.
            only_visual: Whether phrases that only one sample has are left out.
            text_weight: Range of the words' share in the mixture with the example.
            prefixes: Which sentences, one of `phrases.PREFIXES`; bare phrases without `visual`.
            mode: How examples are prepared for an image encoder.
            avoid: Synsets of the classes whose phrases are left out, such as `phrases.pascal_fold_synsets(0)`.
            lexicon: WordNet, needed with `avoid`: `phrases.read_wordnet(folder)`.
            rasteriser: As in `PhraseCut`.

        Raises:
            DataError: If a file is missing or malformed, an argument is out of range, or no phrase is left.
        """
        _check(negatives, text_weight, size)
        self._files = PhraseCutFiles(folder, split=split, rasteriser=rasteriser)
        self._prefixes = PREFIXES[require_choice(prefixes, tuple(PREFIXES), "list of sentences")]
        self.split, self._seed, self._size, self._crop = split, seed, size, crop
        self._negatives, self._visual, self._text_weight, self._mode = negatives, visual, text_weight, mode
        self.tasks = _allowed(self._files.tasks, avoid, lexicon)
        self._sharing: dict[str, list[Task]] = defaultdict(list)
        for task in self.tasks:
            self._sharing[task.phrase.text].append(task)
        self._phrases = tuple(sorted(self._sharing))
        if only_visual:
            self.tasks = [task for task in self.tasks if len(self._sharing[task.phrase.text]) > 1]
        self._check_left()
        self._options: dict[str, Any] = {
            "base": self._files.fingerprint,
            "numbers": [seed, size, negatives, *text_weight],
            "words": [prefixes, mode],
            "switches": [crop, visual, only_visual],
            "phrases": [task.key for task in self.tasks] if avoid else [],  # another lexicon leaves others
        }

    @property
    def fingerprint(self) -> str:
        """Short hash of the annotation files and the options."""
        return fingerprint((), **self._options)

    def __len__(self) -> int:
        return len(self.tasks)

    def __getitem__(self, index: int) -> Sample:
        """Return a sample as it is drawn in epoch 0.

        Raises:
            IndexError: outside 0 to `len - 1`.
            DataError: If a picture is missing, damaged or of another size.
        """
        return self.sample(index, epoch=0)

    def sample(self, index: int, *, epoch: int) -> Sample:
        """Return a sample as it is drawn in an epoch: always the same one.

        Raises:
            IndexError: outside 0 to `len - 1`.
            DataError: If a picture is missing, damaged or of another size.
        """
        draw = self.draw(index, epoch=epoch)
        key = f"{draw.task.key}/{epoch}"
        query = Query(self._prompt(draw), pack(draw.mask), draw.phrase)
        return Sample(key=key, image=Picture(draw.image, f"{key}.png"), size=draw.mask.shape, queries=(query,))

    def draw(self, index: int, *, epoch: int) -> Draw:
        """Return the parts of a sample, for training loops that embed words and example themselves.

        Raises:
            IndexError: outside 0 to `len - 1`.
            DataError: If a picture is missing, damaged or of another size.
        """
        task = self.tasks[require_index(index, len(self))]
        random = np.random.default_rng([self._seed, epoch, index])
        image, mask = self._cropped(task, random)
        phrase, negative = task.phrase.text, bool(random.random() < self._negatives)
        if negative:
            phrase = self._another(phrase, random)
            mask = np.zeros_like(mask)
        support = self._support(phrase, random) if self._visual else None
        sentence_ = self._prefixes[int(random.integers(len(self._prefixes)))] if self._visual else "{}"
        drawn = float(random.uniform(*self._text_weight))
        weight = drawn if support is not None and support.valid else 1.0
        return Draw(task, image, mask, phrase, sentence_.replace("{}", phrase), negative, support, weight)

    def _prompt(self, draw: Draw) -> Prompt:
        words = TextPrompt(draw.text)
        if draw.support is None or not draw.support.valid:
            return words
        example = VisualPrompt(Picture(draw.support.image), draw.support.mask, name=draw.phrase, mode=self._mode)
        return MixedPrompt(words, example, weight=draw.text_weight)

    def _another(self, phrase: str, random: np.random.Generator) -> str:
        """Return any phrase but this one, each with the same probability."""
        chosen = self._phrases[int(random.integers(len(self._phrases)))]
        return chosen if chosen != phrase else self._another(phrase, random)

    def _support(self, phrase: str, random: np.random.Generator) -> Support:
        sharing = self._sharing[phrase]
        if len(sharing) > 1:
            image, mask = self._cropped(sharing[int(random.integers(len(sharing)))], random)
            if mask.any():
                return Support(image, mask, True)
        nothing = np.zeros((self._size, self._size), dtype=np.bool_)
        return Support(np.zeros((*nothing.shape, 3), dtype=np.uint8), nothing, False)

    def _cropped(self, task: Task, random: np.random.Generator) -> tuple[Pixels, Mask]:
        source, mask = self._files.picture(task.image), self._files.mask(task)
        try:
            pixels = load_image(source).pixels
        except ImageError as error:
            raise malformed(str(source), "a picture of Visual Genome", "damage") from error
        if self._crop:
            top, left, side = find_crop(mask, random)
            window = (slice(top, top + side), slice(left, left + side))
            pixels, mask = pixels[window], mask[window]
        return _resized(pixels, self._size), _resized_mask(mask, self._size)

    def _check_left(self) -> None:
        if not self.tasks:
            remedy = "avoid fewer classes, or take another split"
            raise DataError(sentence("no phrase that is left", "at least one", remedy))
        if self._negatives and len(self._phrases) < 2:
            expected = "two different ones for negatives"
            raise DataError(sentence("only one phrase", expected, "set negatives=0, or take another split"))


def find_crop(mask: Mask, random: np.random.Generator) -> tuple[int, int, int]:
    """Return `(top, left, side)` of a random square crop that shows enough of a thing.

    The side is the mask's shorter one. Up to `TRIES` places are drawn, each with the same probability; the first with
    more than `LEAST_SHARE` of the whole mask's pixels set is taken, or else the first of those with the most.

    Args:
        mask: Bool `(H, W)`.
        random: Where the places are drawn from.
    """
    height, width = mask.shape
    side, enough = min(height, width), LEAST_SHARE * height * width
    along = mask.sum(axis=0 if width > height else 1, dtype=np.int64)  # the crop moves along the longer axis only
    before = np.concatenate([[0], np.cumsum(along)])
    most, best = -1, 0
    for _ in range(TRIES):
        place = int(random.integers(max(height, width) - side + 1))
        shown = int(before[place + side] - before[place])
        if shown > most:
            most, best = shown, place
        if shown > enough:
            break
    return (0, best, side) if width > height else (best, 0, side)


def _resized(pixels: Pixels, size: int) -> Pixels:
    """Resize to `(size, size, 3)`, bilinear between the centres of the corner pixels (torch's `align_corners=True`)."""
    values = pixels.astype(np.float32)
    for axis in (0, 1):
        place = np.linspace(0, values.shape[axis] - 1, size, dtype=np.float64)
        low = np.floor(place).astype(np.intp)
        high = np.minimum(low + 1, values.shape[axis] - 1)
        share = (place - low).astype(np.float32).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        first = values.take(low, axis=axis)
        values = first + (values.take(high, axis=axis) - first) * share
    return np.rint(values).astype(np.uint8)


def _resized_mask(mask: Mask, size: int) -> Mask:
    """Resize to `(size, size)` by the nearest pixel to the left and above (torch's mode "nearest")."""
    rows, columns = (np.arange(size) * side // size for side in mask.shape)
    return np.asarray(mask[rows[:, None], columns])


def _allowed(tasks: list[Task], avoid: Sequence[str], lexicon: Lexicon | None) -> list[Task]:
    if not avoid:
        return tasks
    if lexicon is None:
        remedy = "pass lexicon=read_wordnet(folder) from wordmask.data.phrases"
        raise DataError(sentence("classes to avoid without a lexicon", "WordNet to look them up in", remedy))
    keep = ClassFilter(avoid, lexicon).keep
    return [task for task in tasks if keep(task.phrase.text)]


def _check(negatives: float, text_weight: tuple[float, float], size: int) -> None:
    if not 0 <= negatives <= 1:
        expected = "a probability from 0 to 1"
        raise DataError(sentence(f"negatives={quote(negatives)}", expected, "write for example negatives=0.2"))
    if not 0 <= text_weight[0] <= text_weight[1] <= 1:
        got, expected = f"text_weight={quote(text_weight)}", "the least and the greatest share, 0 to 1"
        raise DataError(sentence(got, expected, "write for example text_weight=(0, 0.5)"))
    if size < 1:
        raise DataError(sentence(f"size={size}", "at least one pixel", "write for example size=352"))
