"""Measure the eyes of CelebAMask-HQ faces: from words alone, from boxes good and bad, and what is not there.

    python benchmarks/eyes.py SETS/celebamask --split val --out eyes.json

The bundle (--weights) is asked for "left eye" and "right eye". Pooled IoU is summed over images, the published
convention; the other scores are means over images.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask import load
from wordmask.data.registry import open_data
from wordmask.evaluation.score.counting import COUNTED, count_packed
from wordmask.methods.imss.refinement import EMBEDDED
from wordmask.metrics.binary import binary_scores
from wordmask.ops.masks import intersection

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

    from wordmask.contracts import Encoded
    from wordmask.data.sample import Sample
    from wordmask.methods.imss.embedded import EmbeddedImss
    from wordmask.ops.masks import PackedMask
    from wordmask.results.region import Box

EYES = ("left eye", "right eye")
PARTS = ("mouth", "lower lip", "upper lip")
ASKED_EYE = "eye asked, box of a lip or the mouth: IoU with the box's part"
ASKED_LIP = "lip or mouth asked, box of an eye: IoU with the eye"
WORDS_LIP = "lip or mouth from words: part of an eye that is covered"
ABSENT = ("elephant", "bicycle", "traffic light")


def jittered(box: Box, amount: float, draw: Generator, size: tuple[int, int]) -> Box:
    """Return a box each side of which moved by up to `amount` of its length, inside the image."""
    x0, y0, x1, y1 = box
    shift = draw.uniform(-amount, amount, 4) * np.array([x1 - x0, y1 - y0, x1 - x0, y1 - y0])
    moved = np.clip(np.array(box) + shift, 0, [size[1], size[0], size[1], size[0]])
    return float(moved[0]), float(moved[1]), float(moved[2]), float(moved[3])


def masks_from_words(
    model: EmbeddedImss, encoded: Encoded, plain: PackedMask, name: str
) -> Iterator[tuple[str, PackedMask]]:
    """Yield the masks of one eye that is asked for by its name alone."""
    image: Any = encoded.image
    coarse = model.segment(encoded, [name], refine=False)[0]
    yield "words, map alone", plain
    yield "words, map with the other side", coarse.packed
    yield "words", model.refiner.refine(coarse, image).packed
    yield "words, no phrase for the crop", model.refiner.refine(coarse, image, told=False).packed


def masks_from_boxes(
    model: EmbeddedImss, encoded: Encoded, name: str, box: Box, draw: Generator
) -> Iterator[tuple[str, PackedMask]]:
    """Yield the masks of one eye that is asked for by its name and a box, good or bad."""
    height, width = encoded.size
    yield "box", model.draw_boxes(encoded, name, [box]).packed
    moved = jittered(box, 0.25, draw, encoded.size)
    yield "box, jitter 25 %", model.draw_boxes(encoded, name, [moved]).packed
    yield "whole image as box", model.draw_boxes(encoded, name, [(0.0, 0.0, float(width), float(height))]).packed


def wrong_parts(model: EmbeddedImss, encoded: Encoded, sample: Sample) -> dict[str, list[float]]:
    """Return overlaps of what is answer when the box shows another part than the phrase names."""
    marked = {query.label: query.packed for query in sample.queries if query.packed.area}
    eyes = [marked[name] for name in EYES if name in marked]
    rows: dict[str, list[float]] = {}
    for part in PARTS:
        if part not in marked or not eyes:
            continue
        answer = model.draw_boxes(encoded, "left eye", [_box(marked[part])])
        rows.setdefault(ASKED_EYE, []).append(_iou(answer.packed, marked[part]))
        lip = model.draw_boxes(encoded, part, [_box(eyes[0])])
        rows.setdefault(ASKED_LIP, []).append(_iou(lip.packed, eyes[0]))
    return rows


def other_words(model: EmbeddedImss, encoded: Encoded, sample: Sample) -> dict[str, list[float]]:
    """Return how much of an eye is covered when a lip or the mouth is asked, and whether absent things are empty."""
    marked = {query.label: query.packed for query in sample.queries if query.packed.area}
    eyes = [marked[name] for name in EYES if name in marked]
    asked = [part for part in PARTS if part in marked and eyes]
    answers = dict(zip([*asked, *ABSENT], model.segment(encoded, [*asked, *ABSENT]), strict=True))
    rows = {f"{word!r} is empty": [float(answers[word].area == 0)] for word in ABSENT}
    covered = [max(intersection(answers[part].packed, eye) / eye.area for eye in eyes) for part in asked]
    return rows | ({WORDS_LIP: covered} if covered else {})


def _box(mask: PackedMask) -> Box:
    assert mask.box is not None
    return mask.box


def _iou(first: PackedMask, second: PackedMask) -> float:
    joint = intersection(first, second)
    return joint / max(first.area + second.area - joint, 1)


def scores(counts: Sequence[Sequence[int]]) -> dict[str, float]:
    """Return pooled IoU and means over images of rows of counts."""
    rows = np.array(counts, float)
    column = {name: rows[:, index] for index, name in enumerate(COUNTED)}
    union = column["tp"] + column["fp"] + column["fn"]
    each: dict[str, NDArray[np.float64]] = binary_scores(rows[:, 2:6])
    table = {"faces": len(rows), "pooled_iou": float(column["tp"].sum() / max(union.sum(), 1))}
    table |= {name: float(each[name].mean()) for name in ("iou", "dice", "mcc", "recall", "specificity")}
    table["boundary_iou_2px"] = float((column["ni"] / np.maximum(column["nu"], 1)).mean())
    return table | {"missed": float(((column["tp"] + column["fp"]) == 0).mean())}


def _tables(
    counts: dict[str, dict[str, dict[int, list[int]]]], left_out: frozenset[int]
) -> dict[str, dict[str, dict[str, float]]]:
    """Scores by way and eye of the faces that are not left out."""
    return {
        way: {eye: scores([row for face, row in rows.items() if face not in left_out]) for eye, rows in eyes.items()}
        for way, eyes in counts.items()
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--weights", type=Path, default=EMBEDDED)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--boxes", type=int, default=1000, help="faces that are asked with boxes, too")
    parser.add_argument("--without", type=int, nargs="*", default=[], help="places of faces with wrong labels: all "
                        "scores are given without them, too")  # fmt: skip
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    model: Any = load(options.weights)
    compact, data, draw = (
        load("compact", refine=False),
        open_data(options.data, split=options.split),
        np.random.default_rng(0),
    )
    counts: dict[str, dict[str, dict[int, list[int]]]] = {}
    others: dict[str, list[float]] = {}
    for index in range(min(len(data), options.limit or len(data))):
        sample = data[index]
        encoded = model.encode(sample.image)
        plain = dict(zip(EYES, compact.segment(sample.image, list(EYES)), strict=True))
        for query in sample.queries:
            name, marked = query.label, query.packed
            if name not in EYES or not marked.area:
                continue
            answers = [*masks_from_words(model, encoded, plain[name].packed, name)]
            if index < options.boxes:
                answers += masks_from_boxes(model, encoded, name, _box(marked), draw)
            for way, mask in answers:
                counts.setdefault(way, {}).setdefault(name, {})[index] = count_packed(mask, marked, None)
        measured = [other_words(model, encoded, sample)]
        if index < options.boxes:
            measured.append(wrong_parts(model, encoded, sample))
        for title, values in (item for part in measured for item in part.items()):
            others.setdefault(title, []).extend(values)
    everything, cleaned = (_tables(counts, left_out) for left_out in (frozenset[int](), frozenset(options.without)))
    overlaps = {
        name: {"mean": float(np.mean(v)), "largest": float(np.max(v)), "cases": len(v)} for name, v in others.items()
    }
    lines = {f"{way}, {eye}": row for way, ways in everything.items() for eye, row in ways.items()} | overlaps
    for title, line in lines.items():
        print(f"{title:48}", "  ".join(f"{key} {value:.3f}" for key, value in line.items()))
    if options.out:
        content = {"eyes": everything, "overlaps": overlaps} | ({"eyes_without": cleaned} if options.without else {})
        options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
