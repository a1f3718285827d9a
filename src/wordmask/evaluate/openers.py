"""How the data of every benchmark are opened: `(folder, split, seed) -> Dataset`. Readers are imported when used."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from wordmask.data.folds import Folds

if TYPE_CHECKING:
    from pathlib import Path

    from wordmask.contracts import Dataset
    from wordmask.data.sampling.support import PromptKind

SHAPES = 200
"""Pictures of the made-up set."""

FOLDS = ("all", "fold0", "fold1", "fold2", "fold3")
UNSEEN = {f"unseen{number}": number for number in (10, 4, 2, 6, 8)}
"""Splits of the zero-shot table; the paper prints the first two."""


def open_plain(folder: Path | None, split: str, seed: int) -> Dataset:
    from wordmask.data.folder import open_files

    return open_files(_given(folder), split)


def open_shapes(folder: Path | None, split: str, seed: int) -> Dataset:
    from wordmask.data.sets.shapes import Shapes

    return Shapes(SHAPES, seed=seed)


def open_phrasecut(folder: Path | None, split: str, seed: int, *, rasteriser: str = "clipseg") -> Dataset:
    from wordmask.data.sets.phrasecut import PhraseCut

    return PhraseCut(_given(folder), split=split, rasteriser=rasteriser)


def open_phrasecut_visual(folder: Path | None, split: str, seed: int) -> Dataset:
    """Open PhraseCut asked by examples alone: phrases that at least two samples share, whole pictures, no negatives."""
    from wordmask.data.sets.phrasecut_plus import PhraseCutPlus

    return PhraseCutPlus(
        _given(folder), split=split, seed=seed, crop=False, negatives=0.0, only_visual=True, text_weight=(0.0, 0.0)
    )


def open_voc(folder: Path | None, split: str, seed: int) -> Dataset:
    from wordmask.data.sets.voc import PascalVoc

    return PascalVoc(_given(folder), unseen=UNSEEN[split])


def open_pascal5i(folder: Path | None, split: str, seed: int, *, prompts: PromptKind) -> Dataset:
    from wordmask.data.sets.pascal5i import Pascal5i

    folds = range(4) if split == "all" else [int(split[-1])]
    return _joined([Pascal5i(_given(folder), fold=fold, seed=seed, prompts=prompts) for fold in folds])


def open_coco20i(folder: Path | None, split: str, seed: int) -> Dataset:
    from wordmask.data.sets.coco20i import Coco20i

    folds = range(4) if split == "all" else [int(split[-1])]
    return _joined([Coco20i(_given(folder), fold=fold, seed=seed, prompts="visual") for fold in folds])


def open_refer(folder: Path | None, split: str, seed: int, *, name: str) -> Dataset:
    """Open a set of referring expressions; a split may name its partition, as in "umd-val"."""
    from wordmask.data.sets.refer import Refer

    partition, _, part = split.rpartition("-")
    return Refer(_given(folder), name=name, split=part, partition=partition or None)


def open_vocabulary(folder: Path | None, split: str, seed: int, *, name: str) -> Dataset:
    from wordmask.data.sets import ade20k, coco_stuff, pas, pascal_context

    readers: dict[str, Any] = {
        "ade20k-150": ade20k.ade20k_150,
        "ade20k-847": ade20k.ade20k_847,
        "pascal-context-59": pascal_context.pascal_context_59,
        "pascal-context-459": pascal_context.pascal_context_459,
        "pas-20": pas.pas20,
        "pas-21": pas.pas21,
        "coco-stuff-171": coco_stuff.coco_stuff,
    }
    opened: Dataset = readers[name](_given(folder), split)
    return opened


def open_celebamask(folder: Path | None, split: str, seed: int, *, eyes: bool = False) -> Dataset:
    from wordmask.data.sets.celebamask import CelebAMask

    return CelebAMask(_given(folder), split, eyes=eyes)


def named(name: str) -> partial[Dataset]:
    """Return the opener of an open-vocabulary set."""
    return partial(open_vocabulary, name=name)


def _given(folder: Path | None) -> Path:
    assert folder is not None  # `Benchmark.dataset` has checked it
    return folder


def _joined(folds: list[Any]) -> Dataset:
    return Folds(folds) if len(folds) > 1 else folds[0]
