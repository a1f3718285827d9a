"""CelebAMask-HQ: faces with a mask for each of 18 parts.

Licence: non-commercial research and education only; the images are not to be passed on. Size: 30,000 images of
1024 x 1024, masks of 512 x 512. Obtain `CelebAMask-HQ.zip` from the links in
https://github.com/switchablenorms/CelebAMask-HQ. Lee et al.: MaskGAN: Towards Diverse and Interactive Facial Image
Manipulation, CVPR 2020 (arXiv 1907.11922).

    CelebAMask-HQ/
      CelebA-HQ-img/0.jpg … 29999.jpg
      CelebAMask-HQ-mask-anno/0/00000_skin.png, 00000_l_eye.png, …     2,000 faces a folder, 0 to 14
      CelebA-HQ-to-CelebA-mapping.txt                                  idx, orig_idx, orig_file

A part that is not to be seen has no file. The files overlap (hair lies over skin); they are merged in the order in
which the authors' own script paints them, later parts over earlier ones, so that a pixel has one name. Masks are
enlarged to the image's size by repeating pixels. "left" and "right" are the authors' `l_` and `r_`, which mean the
person's own: the left eye lies on the right of the image. Not always: in a public subset, 55 of 820 faces with both
eyes are named the other way round, which bounds any score that tells the two apart.

Splits are CelebA's own, found through the mapping file: CelebA's images 1 to 162770 are "train", up to 182637 "val",
the rest "test". Papers report 24,183, 2,993 and 2,824 images. (The authors' script compares the numbers from 0 in
`orig_idx` with these borders, which would move an image that lies right on one.) Without the mapping file there is the
split "all" only.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wordmask.data.label_maps import semantic_sample
from wordmask.data.mask_files import read_mask
from wordmask.data.reading import (
    fingerprint,
    malformed,
    read_image,
    read_lines,
    read_size,
    require_choice,
    require_folder,
    require_index,
    show,
)
from wordmask.data.sample import UNKNOWN, Query, Sample
from wordmask.errors import DataError, quote, sentence
from wordmask.ops.masks import pack
from wordmask.prompts import TextPrompt

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["PARTS", "CelebAMask"]

PARTS = {
    "skin": "skin",
    "nose": "nose",
    "eye_g": "eyeglasses",
    "l_eye": "left eye",
    "r_eye": "right eye",
    "l_brow": "left eyebrow",
    "r_brow": "right eyebrow",
    "l_ear": "left ear",
    "r_ear": "right ear",
    "mouth": "mouth",
    "u_lip": "upper lip",
    "l_lip": "lower lip",
    "hair": "hair",
    "hat": "hat",
    "ear_r": "earring",
    "neck_l": "necklace",
    "neck": "neck",
    "cloth": "clothing",
}
"""Part in a file's name -> its words, in the order of labels 1 to 18, which is that of painting."""

EYES = ("left eye", "right eye")
SPLITS = ("train", "val", "test", "all")
MAPPING = "CelebA-HQ-to-CelebA-mapping.txt"
_FIRST_VAL, _FIRST_TEST = 162_771, 182_638  # CelebA's image numbers, from 1
_PER_FOLDER = 2000


class CelebAMask:
    """Faces; one query for every part that is to be seen, and the parts without a mask known to be absent.

    Args:
        folder: `CelebAMask-HQ`.
        split: "train", "val", "test" or "all".
        eyes: Whether to ask for "eyes", both of them, too. It is no name of a label.

    Raises:
        DataError: If a folder or the mapping file is missing or malformed.
    """

    name = "celebamask-hq"
    exhaustive = True

    def __init__(self, folder: str | os.PathLike[str], split: str = "test", *, eyes: bool = False) -> None:
        self.split, self.eyes = require_choice(split, SPLITS, "split of CelebAMask-HQ"), eyes
        root = require_folder(folder, "CelebAMask-HQ")
        self._images = require_folder(root / "CelebA-HQ-img", "CelebAMask-HQ's images")
        self._masks = require_folder(root / "CelebAMask-HQ-mask-anno", "CelebAMask-HQ's masks of parts")
        numbers = _images(self._images) if split == "all" else _members(root / MAPPING, split)
        if not numbers:
            got = f"no image of the split {split!r} in {show(root)}"
            raise DataError(sentence(got, "CelebAMask-HQ's images, 0.jpg and so on", "unpack the set again"))
        self._numbers = numbers

    @property
    def names(self) -> tuple[str, ...]:
        """The 18 parts, in the order of `Sample.labels`."""
        return tuple(PARTS.values())

    @cached_property
    def fingerprint(self) -> str:
        """Hash of every mask and of the options; computed when first asked for, since it reads them all."""
        files = [path for number in self._numbers for path in self._parts(number).values()]
        return fingerprint(files, name=self.name, split=self.split, eyes=self.eyes, numbers=self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: int) -> Sample:
        """Return a sample.

        Raises:
            IndexError: outside 0 to `len - 1`.
            DataError: if the image is missing, has no mask at all, or is not a multiple of its masks' size.
        """
        number = self._numbers[require_index(index, len(self))]
        path = self._images / f"{number}.jpg"
        size = read_size(path, "an image of CelebAMask-HQ")
        parts = self._parts(number)
        if not parts:
            got = f"no file {show(self._file(number, 'skin'))} or of any other part"
            raise DataError(sentence(got, f"the masks of {path.name}", "unpack CelebAMask-HQ-mask-anno again"))
        sample = semantic_sample(
            str(number),
            read_image(path, size, "an image of CelebAMask-HQ"),
            _painted(parts, size),
            self.names,
            exhaustive=False,
        )
        absent = tuple(words for part, words in PARTS.items() if part not in parts)
        queries = sample.queries + (_eyes(sample) if self.eyes else ())
        if self.eyes and set(EYES) <= set(absent):
            absent += ("eyes",)
        return Sample(sample.key, sample.image, size, queries, absent, None, sample.labels)

    def _file(self, number: int, part: str) -> Path:
        return self._masks / str(number // _PER_FOLDER) / f"{number:05d}_{part}.png"

    def _parts(self, number: int) -> dict[str, Path]:
        """Return the files of the parts that are to be seen."""
        files = {part: self._file(number, part) for part in PARTS}
        return {part: path for part, path in files.items() if path.is_file()}


def _eyes(sample: Sample) -> tuple[Query, ...]:
    masks = [query.mask for query in sample.queries if query.label in EYES]
    if not masks:
        return ()
    return (Query(TextPrompt("eyes"), pack(np.logical_or.reduce(masks)), "eyes"),)


def _painted(parts: Mapping[str, Path], size: tuple[int, int]) -> NDArray[np.int32]:
    """Return int32 `(H, W)`: position of each pixel's part, `UNKNOWN` where there is none."""
    positions: NDArray[np.int32] | None = None
    for place, part in enumerate(PARTS):
        if part not in parts:
            continue
        mask = read_mask(parts[part], f"the mask of {PARTS[part]!r}")
        if positions is None:
            positions = np.full(mask.shape, UNKNOWN, dtype=np.int32)
        if mask.shape != positions.shape or size[0] % mask.shape[0] or size[1] % mask.shape[1]:
            expected = f"a mask of which the image's {size[0]} x {size[1]} is a multiple, like the other parts'"
            problem = f"{mask.shape[0]} x {mask.shape[1]} pixels (height x width)"
            raise malformed(parts[part], expected, problem)
        positions[mask] = place
    assert positions is not None  # the caller has found a part
    down, across = size[0] // positions.shape[0], size[1] // positions.shape[1]
    return np.ascontiguousarray(positions.repeat(down, axis=0).repeat(across, axis=1))


def _images(folder: Path) -> tuple[int, ...]:
    return tuple(sorted(int(path.stem) for path in folder.glob("*.jpg") if path.stem.isdecimal()))


def _members(path: Path, split: str) -> tuple[int, ...]:
    """Return the numbers of a split's images."""
    what = "CelebAMask-HQ's table of CelebA's image numbers (idx, orig_idx, orig_file)"
    lines = read_lines(path, what, f"add it, or take the split 'all' instead of {split!r}")
    numbers = []
    for line in lines[1:]:
        words = line.split()
        if len(words) != 3 or not words[0].isdecimal() or not Path(words[2]).stem.isdecimal():
            raise malformed(path, what, f"the line {quote(line)}")
        original = int(Path(words[2]).stem)
        part = "test" if original >= _FIRST_TEST else "val" if original >= _FIRST_VAL else "train"
        if part == split:
            numbers.append(int(words[0]))
    return tuple(numbers)
