"""What instances of `pmp` could reach: COCO's mask AP with parts of the answer replaced by what only the truth tells.

    python benchmarks/instance_bounds.py --data ../shared/data --out bounds.json

Masks, all made of the dense mask of `compact` unless said otherwise:
    parts        its connected parts
    pmp          the instances of `pmp`
    nearest      divided by the nearest true instance; connected parts that touch none stay as they are
    inside       its pixels inside each true instance: no division or removal of its pixels does better
    candidate    for each true instance the best of `found.candidates`
"refined": of the mask that `refine` redraws at the image's resolution. Presence:
    product      the model's own
    spared       names that are known to be absent are not drawn
    known        the same, and all names that are present are drawn
Score: that of the product (of the others mean probability times presence), or "iou", the best IoU with a true instance.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np

import wordmask
from wordmask.components.place.prompts import names_as_given
from wordmask.data.registry import open_data
from wordmask.evaluation.benchmarks import find_task
from wordmask.evaluation.prompting import queries_of
from wordmask.evaluation.score.ground_truth import ground_truth_instances
from wordmask.methods.imss.refinement import embedded_refiner
from wordmask.metrics.detection import ClassInstances, average_precision, mask_ious

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from wordmask.data.sample import Sample
    from wordmask.results import Found

    Mask = NDArray[np.bool_]

MASKS = ("parts", "pmp", "nearest", "inside", "candidate", "parts refined", "nearest refined", "inside refined")
PRESENCES = ("product", "spared", "known")


class Asked(NamedTuple):
    """A query with its true instances (mask, crowd), its answer whatever the presence, and pixels that do not count."""

    label: str
    true: list[tuple[Mask, bool]]
    found: Found
    present: bool
    ignored: Mask | None

    @property
    def whole(self) -> Found:
        """The answer of `compact`, whose instances are the connected parts of the mask."""
        return replace(self.found, regions=None, candidates=())


Scored = list[tuple["Mask", float]]


def main() -> None:
    """Write AP by set, kind of mask, redrawing, presence and score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="pmp")
    parser.add_argument("--sets", default="coco,windows,carparts")
    parser.add_argument("--limit", type=int, default=10_000, help="images of a set")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    segmenter: Any = wordmask.load(given.model, device="cpu")
    found = {}
    for name in given.sets.split(","):
        samples = open_data(given.data / name, split="val")
        entries: dict[str, list[ClassInstances]] = defaultdict(list)
        for place in range(min(given.limit, len(samples))):
            for key, entry in entries_of(samples[place], f"{place:09d}", segmenter):
                entries[key].append(entry)
        found[name] = {key: round(average_precision(rows)["ap"], 4) for key, rows in entries.items()}
        given.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(table(found))


def entries_of(sample: Sample, image: str, segmenter: Any) -> Iterator[tuple[str, ClassInstances]]:
    """Yield the instances of every query of an image by mask, redrawing, presence and score."""
    pixels, labels = sample.size[0] * sample.size[1], set[str]()
    for number, asked in enumerate(answers(sample, segmenter)):
        own = f"{image}/{number}" if asked.label in labels else image
        labels.add(asked.label)
        for mask, scored in masks_of(asked, sample.image).items():
            for kind, entry in entries_of_masks(scored, asked, own, pixels):
                nothing = replace(entry, scores=[], areas=[], ious=entry.ious[:0])
                for presence in PRESENCES:
                    wanted = bool(asked.true) if presence == "known" else asked.present
                    shown = wanted and (presence == "product" or bool(asked.true))
                    yield f"{mask}, {presence}, {kind}", entry if shown else nothing


def answers(sample: Sample, segmenter: Any) -> Iterator[Asked]:
    """Yield the queries of an image as the task "instances" asks for them."""
    _, protocol = find_task("instances").protocol()
    queries = [query for query, _ in queries_of(sample, protocol)]
    least, options = segmenter.model.presence_threshold, names_as_given(segmenter)
    ignored = None if sample.ignored is None else sample.ignored.full()
    prompts = [query.prompt for query in queries]
    founds = segmenter.segment(sample.image, prompts, presence_threshold=0.0, **options) if prompts else ()
    for query, found in zip(queries, founds, strict=True):
        true = ground_truth_instances(query, ignored) if query.packed.area else []
        yield Asked(query.label, true, found, found.presence >= least, ignored)


def masks_of(asked: Asked, image: Any) -> dict[str, Scored]:
    """Return scored masks by their kind; all are empty for an absent name that is not drawn."""
    if not (asked.true or asked.present):
        return {key: [] for key in MASKS}
    products = {"parts": instances(asked.whole, asked.ignored), "pmp": instances(asked.found, asked.ignored)}
    refined = embedded_refiner().refine(asked.whole, wordmask.images.load_image(image))
    return {
        **products,
        "nearest": nearest(asked, asked.whole),
        "inside": inside(asked, asked.whole),
        "candidate": best_candidates(asked) if asked.true else products["pmp"],
        "parts refined": instances(refined, asked.ignored),
        "nearest refined": nearest(asked, refined),
        "inside refined": inside(asked, refined),
    }


def instances(found: Found, ignored: Mask | None) -> Scored:
    """Return the instances of an answer with their scores, at most 100."""
    kept = sorted(found.instances, key=lambda one: -one.score)[:100]
    return [(one.mask if ignored is None else one.mask & ~ignored, one.score) for one in kept]


def nearest(asked: Asked, whole: Found) -> Scored:
    """Divide a mask: each pixel goes to the nearest true instance, but for connected parts that touch none."""
    mask = whole.mask if asked.ignored is None else whole.mask & ~asked.ignored
    number, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    if asked.true:
        far = [cv2.distanceTransform((~true).astype(np.uint8), cv2.DIST_L2, 5) for true, _ in asked.true]
        touching = np.unique(labels[mask & np.any([true for true, _ in asked.true], 0)])
        labels = np.where(mask & np.isin(labels, touching), number + np.argmin(far, 0), labels)
    return with_scores([labels == label for label in np.unique(labels[mask])], whole)


def inside(asked: Asked, whole: Found) -> Scored:
    """Return the pixels of a mask in each true instance, or the parts of the mask of an absent name."""
    if not asked.true:
        return instances(whole, asked.ignored)
    return with_scores([part for true, _ in asked.true if (part := whole.mask & true).any()], whole)


def with_scores(masks: list[Mask], whole: Found) -> Scored:
    """Return masks with mean probability times presence, the best 100."""
    assert whole.heatmap_logits is not None
    heat = whole.heatmap_logits.probabilities()
    scored = [(mask, float(heat[mask].mean()) * whole.presence) for mask in masks]
    return sorted(scored, key=lambda pair: -pair[1])[:100]


def best_candidates(asked: Asked) -> Scored:
    """Return for each true instance the candidate of the highest IoU, each candidate once."""
    regions = [candidate.region for candidate in asked.found.candidates]
    masks = [region.packed(asked.found.threshold).full() for region in regions]
    ious = mask_ious(masks, [true for true, _ in asked.true], [crowd for _, crowd in asked.true])
    plain = ious[:, [not crowd for _, crowd in asked.true]]
    chosen = [regions[place] for place in np.unique(plain.argmax(0))] if plain.size else []
    return instances(replace(asked.found, regions=tuple(chosen), candidates=()), asked.ignored)


def entries_of_masks(scored: Scored, asked: Asked, image: str, pixels: int) -> Iterator[tuple[str, ClassInstances]]:
    """Yield masks of a query with the product's score and with their true IoU."""
    masks, crowds = [mask for mask, _ in scored], [crowd for _, crowd in asked.true]
    ious = mask_ious(masks, [true for true, _ in asked.true], crowds)
    areas, sizes = ([int(np.count_nonzero(m)) for m in group] for group in (masks, [true for true, _ in asked.true]))
    for kind, scores in (("product", [score for _, score in scored]), ("iou", ious.max(1, initial=0.0).tolist())):
        yield kind, ClassInstances(image, asked.label, pixels, scores, areas, sizes, crowds, ious)


def table(found: dict[str, dict[str, float]]) -> str:
    """Return a table with a row for each kind of mask, presence and score; in parentheses against connected parts."""
    lines = [f"| masks, presence, score | {' | '.join(found)} |", "|---" * (1 + len(found)) + "|"]
    for key in next(iter(found.values())):
        cells = [f"{own[key]:.3f} ({own[key] / own['parts, product, product']:.2f})" for own in found.values()]
        lines.append(f"| {key} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
