"""Differences by name, of results of `benchmarks/pmp_experiment.py` with `--unseen`: are they those of a few names?

    python benchmarks/pmp_by_name.py unseen --valid val.pt --unseen 4 --against host-on

Prints, for every arm, its difference to another arm in the IoU of the chosen proposal and in recall: the mean over
pairs of an image and a name, and the mean over names, each with a 95 % interval from draws of names and seeds.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pmp_experiment import Data
from pmp_table import CHOSEN, DRAWS, RECALL

if TYPE_CHECKING:
    from numpy.typing import NDArray


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--valid", type=Path, required=True)
    parser.add_argument("--unseen", type=int, required=True, metavar="N")
    parser.add_argument("--against", default="host-on")
    asked = parser.parse_args()
    data = Data(asked.valid, every=asked.unseen, held_out=True)
    names, of = np.unique([name for row in data.rows for name in row["names"]], return_inverse=True)
    runs: dict[tuple[int, str], dict[int, NDArray[Any]]] = defaultdict(dict)
    for path in sorted(asked.folder.glob("*.json")):
        run = json.loads(path.read_text(encoding="utf-8"))
        runs[run["queries"], run["arm"]][run["seed"]] = np.array(run["rows"])
    print("| queries | arm | seeds | value | mean of pairs | mean of names | names ahead | largest shares |")
    print("|---|---|---|---|---|---|---|---|")
    for (queries, arm), found in sorted(runs.items()):
        base = runs.get((queries, asked.against), {})
        shared = sorted(found.keys() & base.keys())
        if not shared or arm == asked.against:
            continue
        for value, column in (("chosen", CHOSEN), ("recall", RECALL)):
            gained = np.stack([(found[seed] - base[seed])[:, column] for seed in shared])  # (seeds, pairs)
            sums = np.stack([np.bincount(of, row, len(names)) for row in gained])
            print(f"| {queries} | {arm} | {len(shared)} | {value} | {by_name(sums, names, np.bincount(of))} |")


def by_name(sums: NDArray[Any], names: NDArray[Any], counts: NDArray[Any]) -> str:
    """Return the last four columns, from sums `(seeds, names)` and the pairs that each name has."""
    random, means = np.random.default_rng(0), sums / counts
    pairs: list[float] = []
    each: list[float] = []
    for _ in range(DRAWS):
        rows, columns = (random.integers(n, size=n) for n in sums.shape)
        pairs.append(sums[rows][:, columns].sum() / (len(sums) * counts[columns].sum()))
        each.append(means[rows][:, columns].mean())
    total = sums.sum() / (len(sums) * counts.sum())
    shares = sums.mean(0) / counts.sum()
    largest = ", ".join(f"{names[k]} {shares[k]:+.3f}" for k in np.abs(shares).argsort()[::-1][:3])
    ahead = f"{(means.mean(0) > 0).sum()} of {len(names)}"
    return f"{total:+.3f} {interval(pairs)} | {means.mean():+.3f} {interval(each)} | {ahead} | {largest}"


def interval(values: list[float]) -> str:
    """Return the 95 % interval of drawn means."""
    low, high = np.percentile(values, [2.5, 97.5])
    return f"[{low:+.3f}, {high:+.3f}]"


if __name__ == "__main__":
    main()
