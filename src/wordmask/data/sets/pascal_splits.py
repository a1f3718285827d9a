"""Classes held out in the zero-shot and one-shot protocols on PASCAL VOC and COCO. Constants only.

Generalised zero-shot sets: Baek et al. (JoEm, arXiv 2108.06536). Folds: PASCAL-5i (Shaban et al., arXiv 1709.03410)
and COCO-20i (Nguyen and Todorovic, arXiv 1909.13140).
"""

from __future__ import annotations

CLASSES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
"""VOC 2012's classes in the order of its labels 1 to 20; label 0 is the background."""

BACKGROUND = "background"

PROMPT_NAMES = {"aeroplane": "airplane"}
"""Classes that CLIPSeg's zero-shot evaluation asks for by another word."""

_HELD_OUT_IN_PAIRS = (
    ("cow", "motorbike"),
    ("aeroplane", "sofa"),
    ("cat", "tvmonitor"),
    ("train", "bottle"),
    ("chair", "pottedplant"),
)

UNSEEN = {
    2 * (pairs + 1): frozenset(name for pair in _HELD_OUT_IN_PAIRS[: pairs + 1] for name in pair)
    for pairs in range(len(_HELD_OUT_IN_PAIRS))
}
"""The generalised zero-shot sets by the number of classes held out: 2, 4, 6, 8 or 10."""

PASCAL_5I = tuple(CLASSES[5 * fold : 5 * fold + 5] for fold in range(4))
"""Test classes of the four folds."""

COCO_20I = tuple(tuple(fold + 4 * step for step in range(20)) for fold in range(4))
"""Test classes of the four folds, as positions (from 0) among COCO's 80 classes."""
