"""PhraseCut+: PhraseCut with negatives and example images, as CLIPSeg was trained on it.

Lüddecke and Ecker, "Image Segmentation Using Text and Image Prompts" (arXiv 2112.10003), section 4, and its published
training code. Licence, size, source and folder layout are those of `wordmask.data.sets.phrasecut`; no other file is
needed but, for leaving out classes, WordNet (`wordmask.data.sampling.phrases`).

How a sample is drawn is told in `wordmask.data.sampling.phrase_draws`. Here a negative is any other phrase of the set,
with probability 0.2, as in the published code; the words are put into one of nine templates, and their weight in the
mixture with the example is drawn between 0 and 0.5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wordmask.data.reading import malformed
from wordmask.data.sampling.phrase_draws import PhraseDraws, TaskImage
from wordmask.data.sets.phrasecut import PhraseCutFiles, Task
from wordmask.errors import ImageError
from wordmask.images import load_image

if TYPE_CHECKING:
    import os

__all__ = ["PhraseCutPlus"]


class PhraseCutPlus(PhraseDraws):
    """PhraseCut for training; one sample and one query per phrase and image.

    Attributes:
        tasks: The phrases that are left, in the order of the file.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, split: str = "train", rasteriser: str = "clipseg", **options: Any
    ) -> None:
        """Read the annotations and choose the phrases; no image is read.

        Args:
            folder: VGPhraseCut_v0.
            split: As in `PhraseCut`.
            rasteriser: As in `PhraseCut`.
            options: As in `PhraseDraws`.

        Raises:
            DataError: If a file is missing or malformed, an argument is out of range, or no phrase is left.
        """
        super().__init__(_Source(PhraseCutFiles(folder, split=split, rasteriser=rasteriser), split), **options)


class _Source:
    """PhraseCut's files as a `PhraseSource`."""

    name = "phrasecut+"

    def __init__(self, files: PhraseCutFiles, split: str) -> None:
        self._files, self.split, self.tasks = files, split, files.tasks

    @property
    def fingerprint(self) -> str:
        return self._files.fingerprint

    def read(self, task: Task) -> TaskImage:
        source, mask = self._files.read_image(task.image), self._files.mask(task)
        try:
            return TaskImage(load_image(source).pixels, mask)
        except ImageError as error:
            raise malformed(str(source), "an image of Visual Genome", "damage") from error

    def present(self, task: Task) -> tuple[str, ...]:
        return (task.phrase.text,)

    def absent(self, task: Task) -> tuple[str, ...]:
        return ()
