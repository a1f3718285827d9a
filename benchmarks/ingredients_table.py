"""The table of what each ingredient gives, from what `ingredients.py measure` wrote.

    python benchmarks/ingredients_table.py runs/ingredients --json benchmarks/results/ingredients.json

A row is the recipe without one ingredient, less the whole recipe: negative where the ingredient helps (positive for
false positives). Brackets: 95 % interval of a paired bootstrap over val images, seeds averaged within each draw; it
says nothing of other seeds, whose values stand in the JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.metrics.presence import auroc, counts_by_score, fpr_at_recall

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Records = Sequence[dict[str, Any]]

DRAWS = 1000
RECALL = 0.85
"""Share of the present names that are found where false positives are counted."""


def asked_of(records: Records) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Presence logits of every name asked of some images, and which of them are there."""
    scores = np.concatenate([np.array(r["presence"], np.float64) for r in records])
    there = np.concatenate([np.arange(len(r["presence"])) < len(r["there"]) for r in records])
    return scores, there


def ranking(records: Records) -> float:
    """AUROC of presence."""
    return auroc(*counts_by_score(*asked_of(records)))


def false_positives(records: Records) -> float:
    """Share of absent names above the gate that finds `RECALL` of what is there."""
    return fpr_at_recall(*counts_by_score(*asked_of(records)), recall=RECALL)


def overlap(records: Records) -> float:
    """Mean IoU over what is there."""
    return float(np.mean([i / max(u, 1) for r in records for i, u in zip(r["intersection"], r["union"], strict=True)]))


def inside(records: Records) -> float:
    """Mean share of a mask's cells inside boxes of its name."""
    pairs = [(i, d) for r in records for i, d in zip(r["intersection"], r["drawn"], strict=True) if d]
    return float(np.mean([i / d for i, d in pairs])) if pairs else float("nan")


METRICS: dict[str, tuple[Callable[[Records], float], tuple[str, ...]]] = {
    "AUROC, 20 names": (ranking, ("pascal", "voc20")),
    "AUROC, 80 names": (ranking, ("coco80",)),
    "false positives, 20 names": (false_positives, ("pascal", "voc20")),
    "false positives, 80 names": (false_positives, ("coco80",)),
    "inside boxes": (inside, ("voc20", "coco80")),
    "IoU, PASCAL": (overlap, ("pascal",)),
    "IoU, COCO": (overlap, ("coco",)),
}


def chosen(records: Records, kinds: tuple[str, ...]) -> list[dict[str, Any]]:
    """Records of images of these kinds."""
    return [r for r in records if r["kind"] in kinds]


def difference(name: str, arm: list[Records], whole: list[Records]) -> tuple[float, float, float]:
    """Arm less whole recipe, mean over seeds, with its 95 % interval over images."""
    metric, kinds = METRICS[name]
    pairs = [(chosen(a, kinds), chosen(w, kinds)) for a, w in zip(arm, whole, strict=True)]
    draw, count = np.random.default_rng(0), len(pairs[0][0])

    def mean(images: NDArray[np.int64]) -> float:
        return float(np.mean([metric([a[i] for i in images]) - metric([w[i] for i in images]) for a, w in pairs]))

    values = [mean(draw.integers(0, count, count)) for _ in range(DRAWS)]
    low, high = np.nanpercentile(values, (2.5, 97.5))
    return mean(np.arange(count)), float(low), float(high)


def read(folder: Path) -> dict[str, dict[int, dict[str, Any]]]:
    """What was measured, by arm and seed."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for file in sorted((folder / "measured").glob("*.json")):
        record = json.loads(file.read_text())
        found.setdefault(record["arm"], {})[record["seed"]] = record
    return found


def main() -> None:
    """Print the table as Markdown, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = read(options.folder)
    whole, figures = found["all"], dict[str, Any]()
    print(f"| | seeds | {' | '.join(METRICS)} |\n|---{'|---' * (1 + len(METRICS))}|")
    for arm, by_seed in sorted(found.items(), key=lambda item: (item[0] != "all", item[0] != "start", item[0])):
        seeds = sorted(by_seed)
        values = {m: [f(chosen(by_seed[s]["images"], kinds)) for s in seeds] for m, (f, kinds) in METRICS.items()}
        figures[arm] = {"seeds": seeds, "steps": by_seed[seeds[0]]["steps"], "values": values}
        cells = [f"{100 * np.mean(v):.1f}" for v in values.values()]
        common = [s for s in seeds if s in whole]
        if arm != "all" and common:
            rows = [[runs[s]["images"] for s in common] for runs in (by_seed, whole)]
            less = {m: difference(m, rows[0], rows[1]) for m in METRICS}
            figures[arm]["difference"] = less
            cells = [f"{100 * d:+.1f} [{100 * low:.1f}, {100 * high:.1f}]" for d, low, high in less.values()]
        print(f"| {arm} | {len(seeds)} | {' | '.join(cells)} |")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
