"""Measure what refinement brings on data sets: IoU, mIoU, 2-pixel boundary IoU by size of target, and its time.

    python benchmarks/refinement.py SETS/celebamask SETS/carparts --split val --model compact --out refinement.json

Every image is segmented once; the masks before and after refinement are counted against the same ground truth.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask import load
from wordmask.data.registry import open_data
from wordmask.evaluation.score.counting import COUNTED, count_packed
from wordmask.methods.imss.refinement import EMBEDDED, load_refiner
from wordmask.metrics.sizes import size_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wordmask.components.refiner import CropRefiner
    from wordmask.data.sample import Sample

CHUNK = 16


def measure(segmenter: Any, refiner: CropRefiner, sample: Sample, *, told: bool) -> list[dict[str, Any]]:
    """Return one record for each name that is in a sample: counts before and after, and seconds."""
    encoded = segmenter.encode(sample.image)
    ignored = None if sample.ignored is None else sample.ignored.full()
    queries = [query for query in sample.queries if query.packed.area]
    records = []
    for start in range(0, len(queries), CHUNK):
        part = queries[start : start + CHUNK]
        result = segmenter.segment(encoded, [query.prompt for query in part], refine=False)
        for query, found in zip(part, result, strict=True):
            begin = time.perf_counter()
            refined = refiner.refine(found, encoded.image, told=told)
            seconds = time.perf_counter() - begin
            before, after = (count_packed(one.packed, query.packed, ignored) for one in (found, refined))
            records.append({"label": query.label, "before": before, "after": after, "seconds": seconds})
    return records


def _ratio(inside: NDArray[np.float64], union: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(union > 0, inside / np.maximum(union, 1), 1.0)


def scores(counts: NDArray[np.float64], labels: Sequence[str]) -> dict[str, float]:
    """Return mIoU, mean IoU and mean 2-pixel boundary IoU of rows of counts (N, 10)."""
    column = {name: counts[:, index] for index, name in enumerate(COUNTED)}
    union = column["tp"] + column["fp"] + column["fn"]
    by_name = [[label == name for label in labels] for name in sorted(set(labels))]
    pooled = [column["tp"][rows].sum() / max(union[rows].sum(), 1) for rows in by_name]
    return {
        "miou": float(np.mean(pooled)),
        "iou": float(_ratio(column["tp"], union).mean()),
        "boundary_iou_2px": float(_ratio(column["ni"], column["nu"]).mean()),
    }


def summary(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the scores before and after: of all, by size of target, by name; and the milliseconds a phrase."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        groups["all"].append(record)
        size = size_of(record["before"][0], record["before"][1])
        groups[size].append(record)
        if size in ("tiny", "small"):
            groups["below 1 %"].append(record)
        groups[f"name: {record['label']}"].append(record)
    table: dict[str, Any] = {}
    for group, rows in groups.items():
        labels = [row["label"] for row in rows]
        sides = {side: scores(np.array([row[side] for row in rows], float), labels) for side in ("before", "after")}
        table[group] = {"prompts": len(rows), **sides}
    table["milliseconds"] = 1000 * float(np.mean([record["seconds"] for record in records]))
    return table


def main() -> None:
    """Measure the sets that are named and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--model")
    parser.add_argument("--weights", type=Path, default=EMBEDDED)
    parser.add_argument("--settings", default="refine", help='group of config.json: "draw" as load("imss") draws')
    parser.add_argument("--untold", action="store_true", help="keep the phrase from the crop network")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    segmenter, refiner, tables = load(options.model, refine=False), load_refiner(options.weights, options.settings), {}
    for folder in options.sets:
        data = open_data(folder, split=options.split)
        count = min(len(data), options.limit or len(data))
        records: list[dict[str, Any]] = []
        for index in range(count):
            records += measure(segmenter, refiner, data[index], told=not options.untold)
        tables[folder.name] = table = summary(records)
        before, after = table["all"]["before"], table["all"]["after"]
        changes = "  ".join(f"{name} {before[name]:.3f} -> {after[name]:.3f}" for name in before)
        print(f"{folder.name:11} {changes}  {table['milliseconds']:.0f} ms", flush=True)
    if options.out:
        options.out.write_text(json.dumps(tables, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
