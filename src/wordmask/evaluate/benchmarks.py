"""The benchmarks by name: one entry per table of the papers, and the sets that come in a plain layout.

Every one has the preset "original" beside those of its paper: the picture's own size and the model's own threshold,
which is what somebody who uses the model gets.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from wordmask.data.sets.pascal_splits import PROMPT_NAMES, UNSEEN
from wordmask.errors import PromptError, quote, sentence
from wordmask.evaluate import openers
from wordmask.evaluate.protocol import Benchmark, Classes, Resize, Rules

__all__ = ["BENCHMARKS", "find_benchmark"]

_CLIPSEG = "CLIPSeg, Lüddecke and Ecker, CVPR 2022, arXiv 2112.10003"
_TAS = "TAS, Suo et al., EMNLP Findings 2023, arXiv 2310.18049; Global-Local CLIP, Yu et al., CVPR 2023"
_PMP = "PMP, Li et al., arXiv 2412.10292; its cells are those of OVSeg, SAN, ODISE and FC-CLIP"
_IMSS = "IMSS, Towards Small Target Segmentation under Guidance of Text Prompt in Open Scene"

_MASKS = ("miou", "oiou", "pr@0.5", "boundary_iou_2px")
_IMAGES = ("iou", "dice", "recall", "specificity", "mcc")

_OWN = Rules("masks", _MASKS, "the picture's own size, the model's own threshold", absent=True)
_OWN_LABELS = Rules(
    "labels",
    ("miou", "miou_truth", "fwiou", "pixel_accuracy"),
    "the picture's own size; no name where none exceeds the model's own threshold",
    decline=True,
)
_SWEEP = Rules(
    "masks",
    ("miou_best", "iou_fg_best", "ap"),
    "the picture's own size, 49 thresholds, every prompt a class of its own",
    sweep=True,
    classes="key",
)


def _swept(threshold: float, resize: Resize, classes: Classes, note: str, ap: str = "ap_2021") -> Rules:
    headline = ("miou@t", "iou_fg@t" if classes == "key" else "iou_bin@t", ap)
    return Rules("masks", headline, note, threshold=threshold, sweep=True, resize=resize, classes=classes)


def _clipseg_presets(threshold: float, resize: Resize, classes: Classes, note: str) -> dict[str, Rules]:
    return {
        "paper": _swept(threshold, resize, classes, f"{note}; Simpson's rule of SciPy before 1.11, as for the paper"),
        "code": _swept(
            threshold, resize, classes, f"{note}; Simpson's rule of SciPy since 1.11, as its code today", "ap"
        ),
        "original": replace(_OWN, absent=False),
    }


_SQUASHED = "picture and mask squashed to 352 x 352"
_BOXED = "picture at the top left of a black 352 x 352 square, compared at the original's size"

_PHRASECUT = Benchmark(
    "phrasecut", "PhraseCut", f"{_CLIPSEG}, tables 3 and 9", "VGPhraseCut_v0", openers.open_phrasecut,
    ("test", "val", "miniv"),
    _clipseg_presets(0.3, "squash352", "key", f"{_SQUASHED}, bare phrases, every phrase a class of its own"),
)  # fmt: skip
_PHRASECUT_VISUAL = Benchmark(
    "phrasecut-visual", "PhraseCut, asked by examples", f"{_CLIPSEG}, table 9, visual", "VGPhraseCut_v0",
    openers.open_phrasecut_visual, ("test", "val", "miniv"),
    {
        "paper": replace(
            _clipseg_presets(0.3, "original", "key", "samples of 352 x 352, another sample with the phrase as example")
            ["paper"], threshold=None, headline=("miou_best", "ap_2021"),
        ),
        "original": replace(_OWN, absent=False, note="samples of 352 x 352, the model's own threshold"),
    },
)  # fmt: skip
_PHRASECUT_OFFICIAL = Benchmark(
    "phrasecut-official", "PhraseCut by its authors' evaluator",
    "PhraseCut, Wu et al., CVPR 2020 (HulaNet, MDETR in CLIPSeg's table 3)", "VGPhraseCut_v0",
    partial(openers.open_phrasecut, rasteriser="official"), ("test", "val", "miniv"),
    {"original": replace(_OWN, headline=("iou", "oiou", "pr@0.5", "pr@0.7", "pr@0.9"), absent=False,
                         note="own size and threshold; iou is their mean_mask_iou, oiou their cum_mask_iou")},
)  # fmt: skip

_ZERO_SHOT_HEADLINE = ("miou_seen", "miou_unseen", "harmonic")
_ZERO_SHOT = Benchmark(
    "pascal-zero-shot", "PASCAL VOC 2012, generalised zero-shot", f"{_CLIPSEG}, table 4", "VOCdevkit/VOC2012",
    openers.open_voc, tuple(openers.UNSEEN),
    {
        "paper": Rules("labels", _ZERO_SHOT_HEADLINE, f"{_SQUASHED}, highest of the 20 classes, never the background",
                       resize="squash352", words=PROMPT_NAMES, background="background"),
        "code": Rules("labels", _ZERO_SHOT_HEADLINE, f'{_SQUASHED}, highest of 21, 3 times the prompt "background"',
                      resize="squash352", words=PROMPT_NAMES, background="background", weight=3.0),
        "original": replace(_OWN_LABELS, headline=_ZERO_SHOT_HEADLINE, words=PROMPT_NAMES, background="background",
                            note="own size; background where no class exceeds the model's own threshold"),
    },
    unseen={split: UNSEEN[number] for split, number in openers.UNSEEN.items()},
)  # fmt: skip

_PASCAL5I = Benchmark(
    "pascal5i", "PASCAL-5i, one-shot", f"{_CLIPSEG}, table 5", "VOCdevkit/VOC2012",
    partial(openers.open_pascal5i, prompts="visual"), openers.FOLDS,
    _clipseg_presets(0.3, "letterbox352", "label", f"{_BOXED}, one example, mean over four folds"),
)  # fmt: skip
_PASCAL5I_TEXT = Benchmark(
    "pascal5i-text", "PASCAL-5i, zero-shot", f"{_CLIPSEG}, table 7", "VOCdevkit/VOC2012",
    partial(openers.open_pascal5i, prompts="text"), openers.FOLDS,
    _clipseg_presets(0.3, "letterbox352", "label", f'{_BOXED}, "a photo of a {{}}.", mean over four folds'),
)  # fmt: skip
_COCO20I = Benchmark(
    "coco20i", "COCO-20i, one-shot", f"{_CLIPSEG}, table 6", "COCO2014 as HSNet lays it out",
    openers.open_coco20i, openers.FOLDS,
    _clipseg_presets(0.1, "squash352", "label", f"{_SQUASHED}, 1,000 episodes a fold, one example, mean over folds"),
)  # fmt: skip

_REFERRING = replace(_OWN, headline=("oiou", "miou", "pr@0.5", "pr@0.7", "pr@0.9"), absent=False)


def _referring(name: str, splits: tuple[str, ...]) -> Benchmark:
    return Benchmark(
        name, {"refcoco": "RefCOCO", "refcoco+": "RefCOCO+", "refcocog": "RefCOCOg"}[name], _TAS,
        "a folder with refcoco, refcoco+, refcocog and images", partial(openers.open_refer, name=name), splits,
        {"paper": replace(_REFERRING, note="own size, every sentence a sample, the mask that the model returns"),
         "original": _REFERRING},
    )  # fmt: skip


_HOST = Rules(
    "labels",
    ("miou", "miou_truth", "fwiou", "pixel_accuracy"),
    'own size, every pixel gets the highest of all names, one template "a photo of a {}." where hosts average many',
    template="a photo of a {}.",
)


def _vocabulary(name: str, title: str, layout: str, *, background: str | None = None) -> Benchmark:
    presets = {"paper": _HOST, "original": replace(_OWN_LABELS, background=background)}
    return Benchmark(name, title, _PMP, layout, openers.named(name), ("val", "train"), presets)


_EYES = replace(
    _OWN, headline=_IMAGES, only=("left eye", "right eye"), note="left and right eye, mean ± deviation over pictures"
)
_CELEBAMASK_SPLITS = ("test", "val", "train", "all")

_ALL = (
    Benchmark(
        "plain", "A set in the plain layout", "wordmask.data.plain", "images, labels or instances.json, splits.json",
        openers.open_plain, ("val", "train"), {"original": _OWN, "sweep": _SWEEP}, free_split=True,
    ),
    Benchmark(
        "shapes", "Shapes, made as they are asked for", "wordmask.data.sets.shapes", "no folder",
        openers.open_shapes, ("all",), {"original": _OWN, "sweep": _SWEEP}, needs_folder=False,
    ),
    _PHRASECUT, _PHRASECUT_OFFICIAL, _PHRASECUT_VISUAL, _ZERO_SHOT, _PASCAL5I, _PASCAL5I_TEXT, _COCO20I,
    _referring("refcoco", ("val", "testA", "testB")),
    _referring("refcoco+", ("val", "testA", "testB")),
    _referring("refcocog", ("umd-val", "umd-test", "google-val")),
    _vocabulary("ade20k-150", "ADE20K, 150 names", "ADEChallengeData2016"),
    _vocabulary("ade20k-847", "ADE20K, 847 names", "ADE20K_2021_17_01"),
    _vocabulary("pascal-context-59", "Pascal-Context, 59 names", "VOC2010 with Pascal-Context's trainval"),
    _vocabulary("pascal-context-459", "Pascal-Context, 459 names", "VOC2010 with Pascal-Context's trainval"),
    _vocabulary("pas-20", "PASCAL VOC 2012, 20 names", "VOCdevkit/VOC2012"),
    _vocabulary("pas-21", "PASCAL VOC 2012, 20 names and background", "VOCdevkit/VOC2012", background="background"),
    _vocabulary("coco-stuff-171", "COCO-Stuff, 171 names", "COCO 2017 with COCO-Stuff's label maps"),
    Benchmark(
        "celebamask-eyes", "CelebAMask-HQ, eyes", f"{_IMSS}, table of CelebAMask-HQ", "CelebAMask-HQ",
        openers.open_celebamask, _CELEBAMASK_SPLITS, {"paper": replace(_EYES, absent=False), "original": _EYES},
    ),
    Benchmark(
        "celebamask", "CelebAMask-HQ, all parts", f"{_IMSS}, other parts", "CelebAMask-HQ",
        partial(openers.open_celebamask, eyes=True), _CELEBAMASK_SPLITS, {"original": replace(_OWN, headline=_IMAGES)},
    ),
)  # fmt: skip

BENCHMARKS: dict[str, Benchmark] = {benchmark.name: benchmark for benchmark in _ALL}


def find_benchmark(name: str) -> Benchmark:
    """Return a benchmark by its name.

    Raises:
        PromptError: If there is none of that name.
    """
    if name not in BENCHMARKS:
        got = f"the benchmark {quote(name)}"
        raise PromptError(sentence(got, f"one of {', '.join(BENCHMARKS)}", "choose one with --benchmark"))
    return BENCHMARKS[name]
