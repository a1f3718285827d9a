"""Measure words of place on real instances: does "the X on the left" choose the right one of two or three?

    python benchmarks/place.py DATA... --split val --model compact

DATA are folders with instances (COCO JSON). Phrases are computed from the ground-truth masks where exactly one instance
fits them: sides, order from a side, largest and smallest. Instances are far apart if at least `--gap` of the image's
width lies between their boxes. The answer is right if the instance with the highest IoU is the one that is meant.
"Found" are the cases where the model's plain answer to the name covers at least half of that instance, or a quarter of
its box where only boxes are annotated. The mirror test asks a mirrored image with left and right swapped and counts
answers that fit the same instance best. `--oracle` chooses among the
ground-truth masks: words of place alone, without a model.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch loads
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import json
from collections import defaultdict
from dataclasses import dataclass
from itertools import chain, combinations, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import wordmask
from wordmask.components.place import RegionGeometry, intended, parse
from wordmask.components.place.settings import PlaceSettings
from wordmask.data.registry import open_data
from wordmask.images import load_image
from wordmask.ops.masks import PackedMask, intersection, iou, pack

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from wordmask.data.sample import Sample

SMALLEST, APART, RATIO = 0.004, 0.15, 1.5
"""Smallest instance and least distance of centres as fractions of the image; least ratio of areas for "largest"."""


@dataclass(frozen=True)
class Case:
    """A phrase about one of several instances.

    Attributes:
        phrase: The phrase.
        kind: "side", "order" or "size".
        target: Position of the instance that is meant.
        masks: All instances of the name.
        name: The name.
        boxes: Whether only boxes are annotated: masks are filled boxes, and answers count by their boxes.
    """

    phrase: str
    kind: str
    target: int
    masks: tuple[PackedMask, ...]
    name: str
    boxes: bool = False

    @property
    def gap(self) -> float:
        """Least horizontal distance between boxes of neighbours, as a fraction of the image's width."""
        sides = sorted((mask.window[0], mask.window[2]) for mask in self.masks)
        between = min(after[0] - before[1] for before, after in pairwise(sides))
        return between / self.masks[0].size[1]


def cases_of(sample: Sample) -> list[Case]:
    """Return phrases about a sample's instances that fit exactly one of them."""
    found: list[Case] = []
    for query in sample.queries:
        masks = tuple(one.mask or filled(one.box, sample.size) for one in query.instances)
        crowd = any(one.crowd for one in query.instances) or not all(mask.area for mask in masks)
        if not crowd and 2 <= len(masks) <= 3 and are_apart(masks, sample.size):
            found += [Case(*said, masks, query.label, query.boxes_only) for said in phrases(query.label, masks)]
    return found


def filled(box: tuple[float, float, float, float], size: tuple[int, int]) -> PackedMask:
    """Return the mask of a box XYXY."""
    mask = np.zeros(size, dtype=np.bool_)
    x0, y0, x1, y1 = (round(side) for side in box)
    mask[max(0, y0) : y1, max(0, x0) : x1] = True
    return pack(mask)


def are_apart(masks: Sequence[PackedMask], size: tuple[int, int]) -> bool:
    """Return whether instances are large enough, side by side and far enough apart for words to tell them."""
    boxes = np.array([mask.window for mask in masks], dtype=float)
    across = (boxes[:, 0] + boxes[:, 2]) / 2 / size[1]
    wide = all(abs(across[i] - across[j]) >= APART for i, j in combinations(range(len(masks)), 2))
    large = all(mask.area >= SMALLEST * size[0] * size[1] for mask in masks)
    return wide and large and all(box_iou(boxes[i], boxes[j]) < 0.1 for i, j in combinations(range(len(masks)), 2))


def box_iou(first: Any, second: Any) -> float:
    """Return the IoU of two boxes XYXY."""
    sides = np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2])
    joint = float(np.prod(sides.clip(min=0)))
    areas = float(np.prod(first[2:] - first[:2]) + np.prod(second[2:] - second[:2]))
    return joint / (areas - joint)


def phrases(name: str, masks: Sequence[PackedMask]) -> Iterator[tuple[str, str, int]]:
    """Yield phrase, kind and the instance that is meant."""
    order = sorted(range(len(masks)), key=lambda i: masks[i].window[0] + masks[i].window[2])
    yield f"the {name} on the left", "side", order[0]
    yield f"the {name} on the right", "side", order[-1]
    yield f"the second {name} from the left", "order", order[1]
    yield f"the second {name} from the right", "order", order[-2]
    by_area = sorted(range(len(masks)), key=lambda i: -masks[i].area)
    if masks[by_area[0]].area >= RATIO * masks[by_area[1]].area:
        yield f"the largest {name}", "size", by_area[0]
    if masks[by_area[-2]].area >= RATIO * masks[by_area[-1]].area:
        yield f"the smallest {name}", "size", by_area[-1]


def fitted(answer: PackedMask, case: Case) -> int | None:
    """Return the instance that an answer fits best; None if it fits none."""
    shape = filled(answer.box, answer.size) if case.boxes and answer.box else answer
    scores = [iou(shape, mask) for mask in case.masks]
    return int(np.argmax(scores)) if max(scores) > 0 else None


def is_right(answer: PackedMask, case: Case) -> bool:
    """Return whether an answer fits the instance that is meant best."""
    return fitted(answer, case) == case.target


def swapped(phrase: str) -> str:
    """Return a phrase with left and right exchanged."""
    return phrase.replace("left", "\0").replace("right", "left").replace("\0", "right")


def measure(segmenter: Any, images: Iterable[tuple[str, Any, list[Case]]], gap: float) -> Iterator[dict[str, Any]]:
    """Yield one row for each phrase about images; without a segmenter the ground truth is chosen from."""
    for key, image, every in images:
        cases = [case for case in every if case.gap >= gap]
        if cases:
            yield from (row | {"set": key.split("/")[0], "key": key} for row in _rows(segmenter, image, cases))


def images_of(path: str, split: str, boxes: dict[str, Any]) -> Iterator[tuple[str, Any, list[Case]]]:
    """Yield key, image and phrases of a data set; of one that `boxes` knows, phrases about the boxes there."""
    name = Path(path).name
    if name not in boxes:
        data = open_data(path, split=split)
        for index in range(len(data)):
            sample = data[index]
            yield f"{name}/{sample.key}", sample.image, cases_of(sample)
        return
    for key in json.loads((Path(path) / "splits.json").read_text())[split]:
        if key in boxes[name]:
            yield f"{name}/{key}", Path(path) / "images" / f"{key}.jpg", boxed_cases(boxes[name][key])


def boxed_cases(labels: dict[str, Any]) -> list[Case]:
    """Return phrases about the boxes of an image, [name, x0, y0, x1, y1] each, exhaustive for their names."""
    size, groups, found = (labels["size"][1], labels["size"][0]), defaultdict(list), list[Case]()
    for name, *box in labels["boxes"]:
        groups[name].append(filled(tuple(box), size))
    for name, masks in groups.items():
        if 2 <= len(masks) <= 3 and all(mask.area for mask in masks) and are_apart(masks, size):
            found += [Case(*said, tuple(masks), name, True) for said in phrases(name, masks)]
    return found


def _rows(segmenter: Any, source: Any, cases: Sequence[Case]) -> Iterator[dict[str, Any]]:
    phrases = [case.phrase for case in cases]
    others = [swapped(phrase) for phrase in phrases]
    names = [case.name for case in cases]
    if segmenter is None:
        answers = [choose(case, phrase) for case, phrase in zip(cases, phrases, strict=True)]
        mirrored = [choose(case, phrase, mirror=True) for case, phrase in zip(cases, others, strict=True)]
        plain = [case.masks[case.target] for case in cases]
    else:
        image = load_image(source).pixels
        founds = segmenter.segment(image, [*phrases, *names])
        answers, plain = ([found.packed for found in part] for part in (founds[: len(cases)], founds[len(cases) :]))
        again = segmenter.segment(np.ascontiguousarray(image[:, ::-1]), others)
        mirrored = [pack(np.ascontiguousarray(found.mask[:, ::-1])) for found in again]
    for case, answer, other, whole in zip(cases, answers, mirrored, plain, strict=True):
        target = case.masks[case.target]
        yield {
            "phrase": case.phrase,
            "kind": case.kind,
            "boxes": case.boxes,
            "answered": bool(answer.area),
            "found": intersection(whole, target) >= (0.25 if case.boxes else 0.5) * target.area,
            "right": is_right(answer, case),
            "iou": iou(answer, target) if answer.area else 0.0,
            "same": None if not (answer.area and other.area) else fitted(answer, case) == fitted(other, case),
        }


def choose(case: Case, phrase: str, *, mirror: bool = False) -> PackedMask:
    """Return the ground-truth instance that a phrase means, in the mirrored image if asked."""
    masks = [pack(np.ascontiguousarray(mask.full()[:, ::-1])) for mask in case.masks] if mirror else case.masks
    scored = intended(parse(phrase), RegionGeometry.of_masks(masks, masks[0].size), np.ones(len(masks)))
    return case.masks[scored.chosen[0]]


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return counts and fractions; intervals are 95 % by resampling images."""
    found = [row for row in rows if row["found"]]
    same = [row["same"] for row in rows if row["same"] is not None]
    by_image: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        by_image[row["key"]].append(row)
    groups, draw = list(by_image.values()), np.random.default_rng(0)
    means = []
    for _ in range(1000 if groups else 0):
        drawn = [row for i in draw.integers(0, len(groups), len(groups)) for row in groups[i]]
        kept = [row["right"] for row in drawn if row["found"]]
        means.append((np.mean([row["right"] for row in drawn]), np.mean(kept) if kept else np.nan))
    low_high = np.nanpercentile(np.array(means).reshape(-1, 2), [2.5, 97.5], axis=0) if means else np.zeros((2, 2))
    return {
        "phrases": len(rows),
        "images": len(groups),
        "found": fraction([row["found"] for row in rows]),
        "right_of_all": fraction([row["right"] for row in rows]),
        "right_of_all_interval": [round(float(value), 3) for value in low_high[:, 0]],
        "right_of_found": fraction([row["right"] for row in found]),
        "right_of_found_interval": [round(float(value), 3) for value in low_high[:, 1]],
        "mean_iou": fraction([row["iou"] for row in rows]),
        "mirror": fraction(same),
    }


def fraction(values: Sequence[Any]) -> float | None:
    """Return the mean, rounded; None of nothing."""
    return round(float(np.mean(values)), 4) if values else None


def main() -> None:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--split", default="val")
    parser.add_argument("--model", default="compact")
    parser.add_argument("--gap", type=float, default=0.1, help="between boxes, as a fraction of the width; -1 for all")
    parser.add_argument("--boxes", type=Path, help="JSON: boxes of images by data set and name, exhaustive")
    parser.add_argument("--oracle", action="store_true", help="choose among the ground truth's instances")
    parser.add_argument("--out", type=Path, help="file of the figures")
    parser.add_argument(
        "--no-mirror", action="store_true", help="ask about the image alone, not about its mirror image"
    )
    args = parser.parse_args()
    segmenter: Any = None if args.oracle else wordmask.load(args.model)
    if segmenter is not None and args.no_mirror:
        segmenter.place_settings = PlaceSettings(mirror=False)
    boxes = json.loads(args.boxes.read_text()) if args.boxes else {}
    images = [images_of(path, args.split, boxes) for path in args.data]
    rows = list(measure(segmenter, chain.from_iterable(images), args.gap))
    tables = {"all": summary(rows)}
    tables |= {name: summary([row for row in rows if row["set"] == name]) for name in sorted({r["set"] for r in rows})}
    tables |= {kind: summary([row for row in rows if row["kind"] == kind]) for kind in ("side", "order", "size")}
    sides = [row for row in rows if row["kind"] == "side"]
    tables |= {f"side {kind}": summary([row for row in sides if row["boxes"] == (kind == "boxes")])
               for kind in ("masks", "boxes")}  # fmt: skip
    for name, table in tables.items():
        print(f"{name:10}", json.dumps(table))
    if args.out:
        model = "ground truth" if args.oracle else args.model
        args.out.write_text(
            json.dumps({"model": model, "split": args.split, "gap": args.gap, "tables": tables, "rows": rows}, indent=1)
        )


if __name__ == "__main__":
    main()
