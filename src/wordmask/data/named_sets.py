"""Table of the published data sets: title, licence, splits, reader. Readers are imported when a set is opened."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wordmask.contracts import Dataset
    from wordmask.data.sampling.support import PromptKind

__all__ = ["NAMED_SETS", "NamedSet"]

Reader: TypeAlias = "Callable[[Path, str, int], Dataset]"
"""`(folder, split, seed) -> Dataset`; the seed matters only to sets that draw their samples."""

SHAPES = {"all": (200, 0), "train": (2000, 1_000_000), "val": (200, 2_000_000)}
"""Parts of the generated set -> number of images, and what is added to the seed so that no two parts share an image."""
FOLDS = ("all", "fold0", "fold1", "fold2", "fold3")
UNSEEN = tuple(f"unseen{number}" for number in (10, 4, 2, 6, 8))
"""Splits of the generalised zero-shot set by the number of unseen classes; the paper prints the first two."""

_FLICKR = "annotations for research, images under Flickr's terms"
_COCO_TERMS = "annotations CC BY 4.0, images under Flickr's terms"


@dataclass(frozen=True)
class NamedSet:
    """A published data set that is opened by name.

    Attributes:
        name: What the user types.
        title: One line for people.
        licence: Terms of use, in short; the reader's module says more.
        size: Number of images.
        layout: The folder that is read, as its authors lay it out.
        splits: What can be opened; the first is the default.
        read: Opens the set.
        needs_folder: False for sets that are generated.
    """

    name: str
    title: str
    licence: str
    size: str
    layout: str
    splits: tuple[str, ...]
    read: Reader
    needs_folder: bool = True


def _ade20k_150(folder: Path, split: str, seed: int) -> Dataset:
    from wordmask.data.sets.ade20k import ade20k_150

    return ade20k_150(folder, split)


def _ade20k_847(folder: Path, split: str, seed: int) -> Dataset:
    from wordmask.data.sets.ade20k import ade20k_847

    return ade20k_847(folder, split)


def _celebamask(folder: Path, split: str, seed: int, *, eyes: bool) -> Dataset:
    from wordmask.data.sets.celebamask import CelebAMask

    return CelebAMask(folder, split, eyes=eyes)


def _coco(folder: Path, split: str, seed: int) -> Dataset:
    from wordmask.data.coco_json import CocoJson
    from wordmask.data.reading import require_folder

    root, part = require_folder(folder, "COCO 2017 (annotations, train2017, val2017)"), f"{split}2017"
    annotations = root / "annotations" / f"instances_{part}.json"
    return CocoJson(annotations, root / part, exhaustive=True, as_stored=True, name="coco", split=split)


def _coco20i(folder: Path, split: str, seed: int) -> Dataset:
    from wordmask.data.folds import joined
    from wordmask.data.sets.coco20i import Coco20i

    return joined([Coco20i(folder, fold=fold, seed=seed, prompts="visual") for fold in _folds(split)])


def _coco_stuff(folder: Path, split: str, seed: int) -> Dataset:
    from wordmask.data.sets.coco_stuff import coco_stuff

    return coco_stuff(folder, split)


def _pascal5i(folder: Path, split: str, seed: int, *, prompts: PromptKind) -> Dataset:
    from wordmask.data.folds import joined
    from wordmask.data.sets.pascal5i import Pascal5i

    return joined([Pascal5i(folder, fold=fold, seed=seed, prompts=prompts) for fold in _folds(split)])


def _pascal_context_59(folder: Path, split: str, seed: int) -> Dataset:
    from wordmask.data.sets.pascal_context import pascal_context_59

    return pascal_context_59(folder, split)


def _pascal_context_459(folder: Path, split: str, seed: int) -> Dataset:
    from wordmask.data.sets.pascal_context import pascal_context_459

    return pascal_context_459(folder, split)


def _phrasecut(folder: Path, split: str, seed: int, *, rasteriser: str) -> Dataset:
    from wordmask.data.sets.phrasecut import PhraseCut

    return PhraseCut(folder, split=split, rasteriser=rasteriser)


def _phrasecut_plus(folder: Path, split: str, seed: int) -> Dataset:
    from wordmask.data.sets.phrasecut_plus import PhraseCutPlus

    return PhraseCutPlus(folder, split=split, seed=seed)


def _phrasecut_visual(folder: Path, split: str, seed: int) -> Dataset:
    """Open PhraseCut asked by examples alone: phrases of two samples or more, whole images, no negatives."""
    from wordmask.data.sets.phrasecut_plus import PhraseCutPlus

    return PhraseCutPlus(
        folder, split=split, seed=seed, crop=False, negatives=0.0, only_visual=True, text_weight=(0.0, 0.0)
    )


def _refer(folder: Path, split: str, seed: int, *, name: str) -> Dataset:
    """Open a set of referring expressions; a split may name its partition, as in "umd-val"."""
    from wordmask.data.sets.refer import Refer

    partition, _, part = split.rpartition("-")
    return Refer(folder, name=name, split=part, partition=partition or None)


def _shapes(folder: Path, split: str, seed: int) -> Dataset:
    from wordmask.data.sets.shapes import Shapes

    count, first_seed = SHAPES[split]
    return Shapes(count, seed=first_seed + seed)


def _voc(folder: Path, split: str, seed: int, *, name: str, background: bool = True) -> Dataset:
    from wordmask.data.sets.voc import pascal_voc

    return pascal_voc(folder, split, name=name, background=background)


def _voc_zero_shot(folder: Path, split: str, seed: int) -> Dataset:
    """Open the validation images; the number of unseen classes in the split's name matters to the scores alone."""
    from wordmask.data.sets.voc import pascal_voc

    return pascal_voc(folder)


def _folds(split: str) -> tuple[int, ...]:
    return (0, 1, 2, 3) if split == "all" else (int(split.removeprefix("fold")),)


_VOC_SIZE, _VOC_FOLDER, _VOC_SPLITS = "1,464 train, 1,449 val", "VOCdevkit/VOC2012", ("val", "train", "trainval")
_CONTEXT_SIZE, _CONTEXT_FOLDER = "4,998 train, 5,105 val", "VOC2010 with Pascal-Context's trainval"
_PHRASECUT_TERMS, _PHRASECUT_SPLITS = "none stated; images CC BY 4.0", ("test", "val", "miniv", "val_miniv", "train")
_PHRASECUT_SIZE, _PHRASECUT_FOLDER = "71,746 train, 2,971 val, 2,545 test", "VGPhraseCut_v0"
_REFER_TERMS, _REFER_FOLDER = "none stated; images under Flickr's terms", "refcoco, refcoco+, refcocog and images"
_FACE_TERMS, _FACE_SPLITS = "non-commercial research and education", ("test", "val", "train", "all")

_ALL = (
    NamedSet("ade20k-150", "ADE20K, 150 names", "annotations BSD-3-Clause, images for research",
             "20,210 train, 2,000 val", "ADEChallengeData2016", ("val", "train"), _ade20k_150),
    NamedSet("ade20k-847", "ADE20K, 847 names", "annotations BSD-3-Clause, images for research",
             "25,574 train, 2,000 val", "ADE20K_2021_17_01", ("val", "train"), _ade20k_847),
    NamedSet("celebamask", "CelebAMask-HQ, 18 parts of faces", _FACE_TERMS,
             "24,183 train, 2,993 val, 2,824 test", "CelebAMask-HQ", _FACE_SPLITS, partial(_celebamask, eyes=False)),
    NamedSet("celebamask-eyes", "CelebAMask-HQ, and both eyes as one name", _FACE_TERMS,
             "24,183 train, 2,993 val, 2,824 test", "CelebAMask-HQ", _FACE_SPLITS, partial(_celebamask, eyes=True)),
    NamedSet("coco", "COCO 2017, 80 names", _COCO_TERMS, "118,287 train, 5,000 val",
             "annotations, train2017 and val2017", ("val", "train"), _coco),
    NamedSet("coco20i", "COCO-20i, one-shot", _COCO_TERMS, "1,000 episodes a fold",
             "COCO2014 as HSNet lays it out", FOLDS, _coco20i),
    NamedSet("coco-stuff-171", "COCO-Stuff, 171 names", _COCO_TERMS, "118,287 train, 5,000 val",
             "COCO 2017 with COCO-Stuff's label maps", ("val", "train"), _coco_stuff),
    NamedSet("pas-20", "PASCAL VOC 2012, 20 names", _FLICKR, _VOC_SIZE, _VOC_FOLDER, _VOC_SPLITS,
             partial(_voc, name="pas-20", background=False)),
    NamedSet("pas-21", "PASCAL VOC 2012, 20 names and background", _FLICKR, _VOC_SIZE, _VOC_FOLDER, _VOC_SPLITS,
             partial(_voc, name="pas-21")),
    NamedSet("pascal5i", "PASCAL-5i, one-shot", _FLICKR, "1,449 val in four folds", _VOC_FOLDER, FOLDS,
             partial(_pascal5i, prompts="visual")),
    NamedSet("pascal5i-text", "PASCAL-5i, zero-shot", _FLICKR, "1,449 val in four folds", _VOC_FOLDER, FOLDS,
             partial(_pascal5i, prompts="text")),
    NamedSet("pascal-context-59", "Pascal-Context, 59 names", _FLICKR, _CONTEXT_SIZE, _CONTEXT_FOLDER,
             ("val", "train"), _pascal_context_59),
    NamedSet("pascal-context-459", "Pascal-Context, 459 names", _FLICKR, _CONTEXT_SIZE, _CONTEXT_FOLDER,
             ("val", "train"), _pascal_context_459),
    NamedSet("phrasecut", "PhraseCut", _PHRASECUT_TERMS, _PHRASECUT_SIZE, _PHRASECUT_FOLDER, _PHRASECUT_SPLITS,
             partial(_phrasecut, rasteriser="clipseg")),
    NamedSet("phrasecut-official", "PhraseCut, polygons filled as by its authors", _PHRASECUT_TERMS, _PHRASECUT_SIZE,
             _PHRASECUT_FOLDER, _PHRASECUT_SPLITS, partial(_phrasecut, rasteriser="official")),
    NamedSet("phrasecut-plus", "PhraseCut with negatives and examples, as CLIPSeg was trained on it", _PHRASECUT_TERMS,
             _PHRASECUT_SIZE, _PHRASECUT_FOLDER, ("train", *_PHRASECUT_SPLITS[:-1]), _phrasecut_plus),
    NamedSet("phrasecut-visual", "PhraseCut, asked by examples", _PHRASECUT_TERMS, _PHRASECUT_SIZE, _PHRASECUT_FOLDER,
             _PHRASECUT_SPLITS, _phrasecut_visual),
    NamedSet("refcoco", "RefCOCO", _REFER_TERMS, "10,834 expressions in val", _REFER_FOLDER,
             ("val", "testA", "testB", "train", "google-train", "google-val", "google-test"),
             partial(_refer, name="refcoco")),
    NamedSet("refcoco+", "RefCOCO+", _REFER_TERMS, "10,758 expressions in val", _REFER_FOLDER,
             ("val", "testA", "testB", "train"), partial(_refer, name="refcoco+")),
    NamedSet("refcocog", "RefCOCOg", _REFER_TERMS, "4,896 expressions in umd-val", _REFER_FOLDER,
             ("umd-val", "umd-test", "umd-train", "google-val", "google-train"), partial(_refer, name="refcocog")),
    NamedSet("shapes", "Shapes, generated as they are asked for", "none needed", "2,000 train, 200 val", "no folder",
             tuple(SHAPES), _shapes, needs_folder=False),
    NamedSet("voc", "PASCAL VOC 2012 with background", _FLICKR, _VOC_SIZE, _VOC_FOLDER, _VOC_SPLITS,
             partial(_voc, name="voc2012")),
    NamedSet("voc-zero-shot", "PASCAL VOC 2012, generalised zero-shot", _FLICKR, _VOC_SIZE, _VOC_FOLDER,
             UNSEEN, _voc_zero_shot),
)  # fmt: skip

NAMED_SETS: dict[str, NamedSet] = {entry.name: entry for entry in _ALL}
"""Name -> set, in the order of listings."""
