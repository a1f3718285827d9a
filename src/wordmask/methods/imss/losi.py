"""LOSI, lexical operated spatial isolation: from phrases and a detector's boxes to the regions that are segmented.

The paper realises it by Grounding DINO (ISBI 2024, abstract and system figure). What happens between detector and
segmenter is not published; here it is: lists of phrases are split, boxes are scored by phrase, then thresholds,
non-maximum suppression for each phrase and a filter for boxes round whole groups decide. No region is a normal result.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from wordmask.errors import WordmaskWarning, quote, sentence
from wordmask.ops import boxes as box_ops
from wordmask.settings import Choices, Ranges, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from wordmask.contracts import DetectedBoxes
    from wordmask.prompts import Prompt
    from wordmask.results.region import Box

__all__ = ["Isolation", "RegionPlan", "ScoredBox", "plan_regions", "select_boxes", "split_phrases"]

_SEPARATOR = re.compile(r"\s*[,;]\s*|\s+\.\s+|\.\s+|\s*\n\s*")


@dataclass(frozen=True, kw_only=True)
class Isolation(Settings):
    """How boxes become regions.

    Attributes:
        box_threshold: Score that a box must reach; a presence threshold given with a call replaces it.
        nms: Boxes of one phrase that overlap a better one by more than this IoU are dropped.
        smallest_side: Boxes with a shorter side, in pixels, are dropped.
        group_ratio: A box that contains two other boxes of its phrase or more is dropped where its area is more than
            this times their sum: it encloses a group. 0 = never.
        most: Regions for each phrase, the best ones.
        policy: `"instances"`: a region for each box; `"semantic"`: one region, the union; `"top1"`: the best box alone.
        isolation: `"soft"`: the box is a prompt only; `"hard"`: nothing outside the box, enlarged by `hard_scale`,
            belongs to the mask; `"crop"`: each region is segmented in a window of its own, at its own resolution.
        hard_scale: Scale of the box of hard isolation.
        zoom: `"off"`, `"always"`, or `"auto"`: boxes that cover less than `zoom_below` of the image are segmented again
            in a window of their own, which costs an encoding for each window.
        zoom_below: Fraction of the image.
        zoom_scale: Side of the window, as a multiple of the longer side of the box.
        zoom_side: Shortest side of a window in pixels.
    """

    box_threshold: float = 0.35
    nms: float = 0.7
    smallest_side: float = 2.0
    group_ratio: float = 4.0
    most: int = 100
    policy: str = "instances"
    isolation: str = "soft"
    hard_scale: float = 1.2
    zoom: str = "off"
    zoom_below: float = 0.02
    zoom_scale: float = 1.6
    zoom_side: int = 128

    ranges: ClassVar[Ranges] = {
        "box_threshold": (0, 1), "nms": (0, 1), "smallest_side": (0, 1000), "group_ratio": (0, 1000), "most": (1, 1000),
        "hard_scale": (1, 10), "zoom_below": (0, 1), "zoom_scale": (1, 20), "zoom_side": (8, 4096),
    }  # fmt: skip
    choices: ClassVar[Choices] = {
        "policy": ("instances", "semantic", "top1"),
        "isolation": ("soft", "hard", "crop"),
        "zoom": ("off", "auto", "always"),
    }


class RegionPlan(NamedTuple):
    """What to ask the detector for a list of prompts.

    Attributes:
        prompts: The prompts, in order.
        phrases: Every different phrase, those of negatives too: a box that fits a negative better is not the prompt's.
        own: For each prompt, the indices of its phrases.
    """

    prompts: tuple[Prompt, ...]
    phrases: tuple[str, ...]
    own: tuple[tuple[int, ...], ...]


class ScoredBox(NamedTuple):
    """A box that was scored for a prompt.

    Attributes:
        box: XYXY in input pixels.
        score: The detector's, in [0, 1].
        chosen: Whether it becomes a region.
        facts: Its score, and what it was dropped for, by name.
    """

    box: Box
    score: float
    chosen: bool
    facts: Mapping[str, float]


def split_phrases(text: str) -> tuple[str, ...]:
    """Return the phrases of a list in one string: lower case, split at commas, semicolons, full stops and line breaks.

    `"Eyes, mouth"` asks for eyes and mouth. Detectors read commas as words and find neither.
    """
    parts = (part.strip(" .\t").lower() for part in _SEPARATOR.split(text))
    return tuple(dict.fromkeys(part for part in parts if part)) or (text.strip().lower(),)


def plan_regions(prompts: tuple[Prompt, ...]) -> RegionPlan:
    """Return what to ask a detector; a prompt that is a list of phrases is split, with a `WordmaskWarning`."""
    index: dict[str, int] = {}
    own = []
    for prompt in prompts:
        text = getattr(prompt, "text", prompt.name)
        phrases = split_phrases(text)
        if len(phrases) > 1:
            got = f"the prompt {quote(text, limit=60)}"
            shown = ", ".join(quote(phrase, limit=20) for phrase in phrases)
            remedy = f"it is read as {shown}, in one mask; pass a list for one mask each"
            warnings.warn(sentence(got, "one phrase", remedy), WordmaskWarning, stacklevel=2)
        own.append(tuple(index.setdefault(phrase, len(index)) for phrase in phrases))
        for negative in getattr(prompt, "negatives", ()):
            for phrase in split_phrases(negative):
                index.setdefault(phrase, len(index))
    return RegionPlan(prompts, tuple(index), tuple(own))


def select_boxes(
    found: DetectedBoxes, phrases: tuple[int, ...], settings: Isolation, *, threshold: float
) -> list[ScoredBox]:
    """Choose among the boxes of one prompt; all of them come back, the best first.

    Args:
        found: What the detector returned for all phrases.
        phrases: Indices of the prompt's phrases.
        settings: The rules.
        threshold: Score that a box must reach.
    """
    rows = np.flatnonzero(np.isin(found.phrase_index, phrases))
    rows = rows[np.argsort(-found.scores[rows], kind="stable")]
    boxes, scores = found.boxes[rows].astype(np.float64), found.scores[rows]
    facts: list[dict[str, float]] = [{"detection": float(score)} for score in scores]
    alive = scores >= threshold
    sides = (boxes[:, 2:] - boxes[:, :2]).min(axis=1) if len(boxes) else np.zeros(0)
    alive &= _noted(facts, "short side", sides, sides >= settings.smallest_side)
    alive &= _without_groups(boxes, alive, facts, settings.group_ratio)
    alive &= _without_overlaps(boxes, found.phrase_index[rows], alive, facts, settings.nms)
    limit = 1 if settings.policy == "top1" else settings.most
    alive &= np.cumsum(alive) <= limit
    return [
        ScoredBox(_box(box), float(score), bool(chosen), fact)
        for box, score, chosen, fact in zip(boxes, scores, alive, facts, strict=True)
    ]


def _without_overlaps(
    boxes: NDArray[np.float64], phrases: NDArray[np.int64], alive: NDArray[np.bool_], facts: list[dict[str, float]],
    threshold: float,
) -> NDArray[np.bool_]:  # fmt: skip
    """Greedy non-maximum suppression for each phrase, among boxes in order of their score that are still alive."""
    keep = alive.copy()
    overlaps = box_ops.iou(boxes, boxes) if len(boxes) else np.zeros((0, 0))
    for row in np.flatnonzero(alive):
        better = np.flatnonzero(keep[:row] & (phrases[:row] == phrases[row]))
        overlap = float(overlaps[row, better].max()) if len(better) else 0.0
        if overlap > threshold:
            keep[row] = False
            facts[row]["overlap with a better box"] = overlap
    return keep


def _without_groups(
    boxes: NDArray[np.float64], alive: NDArray[np.bool_], facts: list[dict[str, float]], ratio: float
) -> NDArray[np.bool_]:
    """Drop boxes that enclose two others or more and are more than `ratio` times as large as these together."""
    keep = alive.copy()
    if not ratio:
        return keep
    areas = box_ops.area(boxes)
    for row in np.flatnonzero(alive):
        start, end = boxes[row, :2] - 1, boxes[row, 2:] + 1
        inside = alive & (boxes[:, :2] >= start).all(axis=1) & (boxes[:, 2:] <= end).all(axis=1)
        inside &= areas < areas[row]
        if inside.sum() >= 2 and areas[row] > ratio * areas[inside].sum():
            keep[row] = False
            facts[row]["boxes inside"] = float(inside.sum())
    return keep


def _noted(
    facts: list[dict[str, float]], name: str, values: NDArray[np.float64], good: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    for row in np.flatnonzero(~good):
        facts[row][name] = float(values[row])
    return good


def _box(row: NDArray[np.float64]) -> Box:
    x0, y0, x1, y1 = (float(side) for side in row)
    return x0, y0, x1, y1
