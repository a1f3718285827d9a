"""Data sets by name, for the command line: a name -> a function that opens a folder's split.

The functions import what they need when they are called; in Python, import the reader itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from wordmask.errors import DataError, quote, sentence

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wordmask.contracts import Dataset

__all__ = ["DATASETS", "FOLDERLESS", "open_dataset"]

Opener: TypeAlias = "Callable[[Path, str], Dataset]"


def _ade20k_150(folder: Path, split: str) -> Dataset:
    from wordmask.data.ade20k import ade20k_150

    return ade20k_150(folder, split)


def _ade20k_847(folder: Path, split: str) -> Dataset:
    from wordmask.data.ade20k import ade20k_847

    return ade20k_847(folder, split)


def _celebamask(folder: Path, split: str) -> Dataset:
    from wordmask.data.celebamask import CelebAMask

    return CelebAMask(folder, split)


def _celebamask_eyes(folder: Path, split: str) -> Dataset:
    from wordmask.data.celebamask import CelebAMask

    return CelebAMask(folder, split, eyes=True)


def _coco(folder: Path, split: str) -> Dataset:
    from wordmask.data.coco_json import CocoJson
    from wordmask.data.reading import require_choice, require_folder

    part = require_choice(split, ("train", "val"), "split of COCO") + "2017"
    root = require_folder(folder, "COCO 2017 (annotations, train2017, val2017)")
    annotations = root / "annotations" / f"instances_{part}.json"
    return CocoJson(annotations, root / part, exhaustive=True, name="coco", split=split)


def _coco_stuff(folder: Path, split: str) -> Dataset:
    from wordmask.data.coco_stuff import coco_stuff

    return coco_stuff(folder, split)


def _pas20(folder: Path, split: str) -> Dataset:
    from wordmask.data.pas import pas20

    return pas20(folder, split)


def _pas21(folder: Path, split: str) -> Dataset:
    from wordmask.data.pas import pas21

    return pas21(folder, split)


def _pascal_context_59(folder: Path, split: str) -> Dataset:
    from wordmask.data.pascal_context import pascal_context_59

    return pascal_context_59(folder, split)


def _pascal_context_459(folder: Path, split: str) -> Dataset:
    from wordmask.data.pascal_context import pascal_context_459

    return pascal_context_459(folder, split)


def _phrasecut(folder: Path, split: str) -> Dataset:
    from wordmask.data.phrasecut import PhraseCut

    return PhraseCut(folder, split=split)


def _phrasecut_plus(folder: Path, split: str) -> Dataset:
    from wordmask.data.phrasecut_plus import PhraseCutPlus

    return PhraseCutPlus(folder, split=split)


def _plain(folder: Path, split: str) -> Dataset:
    from wordmask.data.plain import plain

    return plain(folder, split)


def _refer(name: str, partition: str | None = None) -> Opener:
    def opened(folder: Path, split: str) -> Dataset:
        from wordmask.data.refer import Refer

        return Refer(folder, name=name, split=split, partition=partition)

    return opened


def _pascal5i(fold: int) -> Opener:
    def opened(folder: Path, split: str) -> Dataset:
        from wordmask.data.pascal5i import Pascal5i

        return Pascal5i(folder, fold=fold)

    return opened


def _coco20i(fold: int) -> Opener:
    def opened(folder: Path, split: str) -> Dataset:
        from wordmask.data.coco20i import Coco20i

        return Coco20i(folder, fold=fold)

    return opened


def _voc(folder: Path, split: str) -> Dataset:
    from wordmask.data.voc import PascalVoc

    return PascalVoc(folder, split=split)


def _shapes(folder: Path, split: str) -> Dataset:
    from wordmask.data.shapes import Shapes

    return Shapes()


DATASETS: dict[str, Opener] = {
    "ade20k-150": _ade20k_150,
    "ade20k-847": _ade20k_847,
    "celebamask": _celebamask,
    "celebamask-eyes": _celebamask_eyes,
    "coco": _coco,
    "coco-stuff": _coco_stuff,
    "pas-20": _pas20,
    "pas-21": _pas21,
    "pascal-context-59": _pascal_context_59,
    "pascal-context-459": _pascal_context_459,
    "phrasecut": _phrasecut,
    "phrasecut+": _phrasecut_plus,
    "plain": _plain,
    "refcoco": _refer("refcoco"),
    "refcoco+": _refer("refcoco+"),
    "refcocog-umd": _refer("refcocog", "umd"),
    "refcocog-google": _refer("refcocog", "google"),
    "shapes": _shapes,
    "voc": _voc,
    **{f"pascal5i-{fold}": _pascal5i(fold) for fold in range(4)},
    **{f"coco20i-{fold}": _coco20i(fold) for fold in range(4)},
}
"""Name -> `(folder, split) -> Dataset`. Sets of one test split (pascal5i, coco20i, shapes) do not look at it."""

FOLDERLESS = frozenset({"shapes"})
"""Sets made on the fly, which need no folder."""


def open_dataset(name: str, folder: Path, split: str) -> Dataset:
    """Open a data set by name.

    Raises:
        DataError: If there is no such name, or whatever its reader finds missing or malformed.
    """
    if name not in DATASETS:
        expected = f"one of {', '.join(sorted(DATASETS))}"
        raise DataError(sentence(f"the data set {quote(name)}", expected, "choose one of these"))
    return DATASETS[name](folder, split)
