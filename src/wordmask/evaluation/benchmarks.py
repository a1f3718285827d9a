"""Tasks on any data, and benchmarks by name: one for each table of the papers.

Every one has the preset "original" beside those of its paper: the image's own size and the model's own threshold, which
is what a user of the model gets.
"""

from __future__ import annotations

from dataclasses import replace

from wordmask.data.sets.pascal_splits import PROMPT_NAMES, UNSEEN
from wordmask.errors import PromptError, quote, sentence
from wordmask.evaluation.protocols import Benchmark, Classes, EvaluationProtocol, Resize

__all__ = ["BENCHMARKS", "TASKS", "find_benchmark", "find_task"]

_CLIPSEG = "CLIPSeg, Lüddecke and Ecker, CVPR 2022, arXiv 2112.10003"
_TAS = "TAS, Suo et al., EMNLP Findings 2023, arXiv 2310.18049; Global-Local CLIP, Yu et al., CVPR 2023"
_PMP = "PMP, Li et al., arXiv 2412.10292; its cells are those of OVSeg, SAN, ODISE and FC-CLIP"
_IMSS = "IMSS, Towards Small Target Segmentation under Guidance of Text Prompt in Open Scene"

_MASKS = ("miou", "oiou", "pr@0.5", "boundary_iou_2px")
_PER_IMAGE = ("iou", "dice", "recall", "specificity", "mcc")

_OWN = EvaluationProtocol("masks", _MASKS, "the image's own size, the model's own threshold", absent=True)
_OWN_LABELS = EvaluationProtocol(
    "labels",
    ("miou", "miou_gt", "fwiou", "pixel_accuracy"),
    "the image's own size; no name where none exceeds the model's own threshold",
    decline=True,
)
_SWEEP = EvaluationProtocol(
    "masks",
    ("miou_best", "iou_fg_best", "ap"),
    "the image's own size, 49 thresholds, every prompt a class of its own",
    sweep=True,
    classes="key",
)
_INSTANCES = EvaluationProtocol(
    "instances",
    ("ap", "ap50", "ap75", "boundary_ap"),
    "COCO's average precision of the instances, at most 100 a prompt",
    absent=True,
)
_PROPOSALS = EvaluationProtocol(
    "proposals",
    ("ar", "r50", "r75", "mean_best_iou", "oracle_gap"),
    "the best candidate of a prompt for each target, whatever its score",
)

_BOXES = EvaluationProtocol(
    "boxes",
    ("inside_boxes", "found"),
    "data with boxes and no masks: the fraction of each mask inside the boxes of its name, at the image's own size",
    absent=True,
)


def _swept(threshold: float, resize: Resize, classes: Classes, note: str, ap: str = "ap_2021") -> EvaluationProtocol:
    headline = ("miou@t", "iou_fg@t" if classes == "key" else "iou_bin@t", ap)
    return EvaluationProtocol("masks", headline, note, threshold=threshold, sweep=True, resize=resize, classes=classes)


def _clipseg_presets(threshold: float, resize: Resize, classes: Classes, note: str) -> dict[str, EvaluationProtocol]:
    return {
        "paper": _swept(threshold, resize, classes, f"{note}; Simpson's rule of SciPy before 1.11, as for the paper"),
        "code": _swept(
            threshold, resize, classes, f"{note}; Simpson's rule of SciPy since 1.11, as its code today", "ap"
        ),
        "original": replace(_OWN, absent=False),
    }


_SQUASHED = "image and mask squashed to 352 x 352"
_BOXED = "image at the top left of a black 352 x 352 square, compared at the original's size"

_PHRASECUT = Benchmark(
    "phrasecut", "PhraseCut", f"{_CLIPSEG}, tables 3 and 9", "phrasecut",
    _clipseg_presets(0.3, "squash352", "key", f"{_SQUASHED}, bare phrases, every phrase a class of its own"),
)  # fmt: skip
_PHRASECUT_VISUAL = Benchmark(
    "phrasecut-visual", "PhraseCut, asked by examples", f"{_CLIPSEG}, table 9, visual", "phrasecut-visual",
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
    "PhraseCut, Wu et al., CVPR 2020 (HulaNet, MDETR in CLIPSeg's table 3)", "phrasecut-official",
    {"original": replace(_OWN, headline=("iou", "oiou", "pr@0.5", "pr@0.7", "pr@0.9"), absent=False,
                         note="own size and threshold; iou is their mean_mask_iou, oiou their cum_mask_iou")},
)  # fmt: skip

_ZERO_SHOT_HEADLINE = ("miou_seen", "miou_unseen", "harmonic")
_ZERO_SHOT = Benchmark(
    "pascal-zero-shot", "PASCAL VOC 2012, generalised zero-shot", f"{_CLIPSEG}, table 4", "voc-zero-shot",
    {
        "paper": EvaluationProtocol(
            "labels", _ZERO_SHOT_HEADLINE, f"{_SQUASHED}, highest of the 20 classes, never the background",
            resize="squash352", words=PROMPT_NAMES, background="background"),
        "code": EvaluationProtocol(
            "labels", _ZERO_SHOT_HEADLINE, f'{_SQUASHED}, highest of 21, 3 times the prompt "background"',
            resize="squash352", words=PROMPT_NAMES, background="background", background_weight=3.0),
        "original": replace(_OWN_LABELS, headline=_ZERO_SHOT_HEADLINE, words=PROMPT_NAMES, background="background",
                            note="own size; background where no class exceeds the model's own threshold"),
    },
    unseen={f"unseen{number}": names for number, names in UNSEEN.items()},
)  # fmt: skip

_PASCAL5I = Benchmark(
    "pascal5i", "PASCAL-5i, one-shot", f"{_CLIPSEG}, table 5", "pascal5i",
    _clipseg_presets(0.3, "letterbox352", "label", f"{_BOXED}, one example, mean over four folds"),
)  # fmt: skip
_PASCAL5I_TEXT = Benchmark(
    "pascal5i-text", "PASCAL-5i, zero-shot", f"{_CLIPSEG}, table 7", "pascal5i-text",
    _clipseg_presets(0.3, "letterbox352", "label", f'{_BOXED}, "a photo of a {{}}.", mean over four folds'),
)  # fmt: skip
_COCO20I = Benchmark(
    "coco20i", "COCO-20i, one-shot", f"{_CLIPSEG}, table 6", "coco20i",
    _clipseg_presets(0.1, "squash352", "label", f"{_SQUASHED}, 1,000 episodes a fold, one example, mean over folds"),
)  # fmt: skip

_REFERRING = replace(_OWN, headline=("oiou", "miou", "pr@0.5", "pr@0.7", "pr@0.9"), absent=False, place=True)


def _referring(name: str, title: str) -> Benchmark:
    note = "own size, every sentence a sample, the mask that the model returns"
    return Benchmark(name, title, _TAS, name, {"paper": replace(_REFERRING, note=note), "original": _REFERRING})


_HOST = EvaluationProtocol(
    "labels",
    ("miou", "miou_gt", "fwiou", "pixel_accuracy"),
    'own size, every pixel gets the highest of all names, one template "a photo of a {}." where hosts average many',
    template="a photo of a {}.",
)


def _vocabulary(name: str, title: str, *, background: str | None = None) -> Benchmark:
    presets = {"paper": _HOST, "original": replace(_OWN_LABELS, background=background)}
    return Benchmark(name, title, _PMP, name, presets)


_EYES = replace(
    _OWN,
    headline=_PER_IMAGE,
    only=("left eye", "right eye"),
    note="left and right eye, mean and standard deviation over images",
)

_TABLES = (
    _PHRASECUT, _PHRASECUT_OFFICIAL, _PHRASECUT_VISUAL, _ZERO_SHOT, _PASCAL5I, _PASCAL5I_TEXT, _COCO20I,
    _referring("refcoco", "RefCOCO"),
    _referring("refcoco+", "RefCOCO+"),
    _referring("refcocog", "RefCOCOg"),
    _vocabulary("ade20k-150", "ADE20K, 150 names"),
    _vocabulary("ade20k-847", "ADE20K, 847 names"),
    _vocabulary("pascal-context-59", "Pascal-Context, 59 names"),
    _vocabulary("pascal-context-459", "Pascal-Context, 459 names"),
    _vocabulary("pas-20", "PASCAL VOC 2012, 20 names"),
    _vocabulary("pas-21", "PASCAL VOC 2012, 20 names and background", background="background"),
    _vocabulary("coco-stuff-171", "COCO-Stuff, 171 names"),
    # The table of eyes asks for the left and the right eye, which the plain data set names; the table of all parts also
    # asks for "eyes", which the data set `celebamask-eyes` adds.
    Benchmark(
        "celebamask-eyes", "CelebAMask-HQ, eyes", f"{_IMSS}, table of CelebAMask-HQ", "celebamask",
        {"paper": replace(_EYES, absent=False), "original": _EYES},
    ),
    Benchmark(
        "celebamask", "CelebAMask-HQ, all parts", f"{_IMSS}, other parts", "celebamask-eyes",
        {"original": replace(_OWN, headline=_PER_IMAGE)},
    ),
)  # fmt: skip

BENCHMARKS: dict[str, Benchmark] = {benchmark.name: benchmark for benchmark in _TABLES}
"""Tables of papers by name."""

_BACKGROUND = replace(
    _OWN_LABELS,
    background="background",
    note="the image's own size; background where no name exceeds the model's own threshold",
)
_HIGHEST = EvaluationProtocol(
    "labels", _OWN_LABELS.headline, "the image's own size, every pixel gets the name of the highest probability"
)

_ANY_DATA = (
    Benchmark("masks", "Masks", "one mask per prompt", None, {"original": _OWN, "sweep": _SWEEP}),
    Benchmark("labels", "Label maps", "one name per pixel", None, {"original": _BACKGROUND, "highest": _HIGHEST}),
    Benchmark("instances", "Instances", "COCO's average precision", None, {"original": _INSTANCES}),
    Benchmark("proposals", "Proposals", "recall of the candidates", None, {"original": _PROPOSALS}),
    Benchmark("boxes", "Boxes", "masks and presence against boxes", None, {"original": _BOXES}),
)

TASKS: dict[str, Benchmark] = {benchmark.name: benchmark for benchmark in _ANY_DATA}
"""Tasks on any data by name."""


def find_task(name: str) -> Benchmark:
    """Return a task by its name.

    Raises:
        PromptError: If there is none of that name.
    """
    if name not in TASKS:
        raise PromptError(sentence(f"the task {quote(name)}", f"one of {', '.join(TASKS)}", "choose one with --task"))
    return TASKS[name]


def find_benchmark(name: str) -> Benchmark:
    """Return a benchmark by its name.

    Raises:
        PromptError: If there is none of that name.
    """
    if name not in BENCHMARKS:
        got = f"the benchmark {quote(name)}"
        raise PromptError(sentence(got, f"one of {', '.join(BENCHMARKS)}", "choose one with --benchmark"))
    return BENCHMARKS[name]
