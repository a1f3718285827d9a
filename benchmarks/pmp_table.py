"""Tables, and a plot of the sweep, from the results of `benchmarks/pmp_experiment.py`.

python benchmarks/pmp_table.py results --plot docs/assets/pmp-queries.png --out benchmarks/results/pmp_experiment.json
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

DRAWS = 1000
SIZES = (("below 1 %", 0.0, 0.01), ("1 to 10 %", 0.01, 0.1), ("above 10 %", 0.1, 1.1))
RECALL, CHOSEN, OWN = 2, 3, 4
WITH_OWN = ("query", "query-pmp", "names-query")
PLOTTED = ("host", "host-on", "pmp", "placebo", "closed", "pmp-tuned", "query", "query-pmp")


def main() -> None:
    """Print the tables, and write the plot."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--seen", action="store_true", help="of runs with unseen names, score those that were trained")
    parser.add_argument("--out", type=Path, help="JSON file for the means of every run")
    asked = parser.parse_args()
    runs: dict[tuple[int, str], list[dict[str, Any]]] = defaultdict(list)
    for path in sorted(asked.folder.glob("*.json")):
        run = json.loads(path.read_text(encoding="utf-8"))
        run["rows"] = run["seen" if asked.seen else "rows"]
        runs[run["queries"], run["arm"]].append(run)
    print("| queries | arm | seeds | recall | chosen | chosen against host trained on | by seed | own query | s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for (queries, arm), found in sorted(runs.items()):
        bases = ("host-inst",) if arm.endswith("-inst") else ("host-on", "host")
        against = next((runs[queries, base] for base in bases if (queries, base) in runs), [])
        print(line(queries, arm, found, against))
    print("\n| queries | arm | " + " | ".join(f"recall {name}" for name, _, _ in SIZES) + " |\n|---|---|---|---|---|")
    for (queries, arm), found in sorted(runs.items()):
        rows = np.concatenate([np.array(run["rows"]) for run in found])
        parts = [rows[(rows[:, 1] >= low) & (rows[:, 1] < high), RECALL].mean() for _, low, high in SIZES]
        print(f"| {queries} | {arm} | " + " | ".join(f"{value:.3f}" for value in parts) + " |")
    if asked.plot:
        plot(runs, asked.plot)
    if asked.out:
        means = [summary(run) for _, found in sorted(runs.items()) for run in found]
        asked.out.write_text("[\n" + ",\n".join(json.dumps(row) for row in means) + "\n]\n", encoding="utf-8")


def summary(run: dict[str, Any]) -> dict[str, Any]:
    """Return the means of one run: recall, IoU of the chosen proposal and of its own query, of seen names, too."""
    recall, chosen, own = np.array(run["rows"])[:, [RECALL, CHOSEN, OWN]].mean(0).round(4).tolist()
    facts = {key: run[key] for key in ("queries", "arm", "seed")} | {
        "recall": recall,
        "chosen": chosen,
        "own": own if run["arm"] in WITH_OWN else None,
        "seconds": round(run["seconds"], 1),
        "pairs": len(run["rows"]),
    }
    if run.get("seen"):
        means = np.array(run["seen"])[:, [RECALL, CHOSEN]].mean(0).round(4).tolist()
        facts |= dict(zip(("seen_recall", "seen_chosen"), means, strict=True))
    return facts


def line(queries: int, arm: str, found: list[dict[str, Any]], against: list[dict[str, Any]]) -> str:
    """Return a row of the table: means over seeds, and paired differences with 95 % intervals over images."""
    recall, chosen, own = (
        np.mean([np.array(run["rows"])[:, k].mean() for run in found]) for k in (RECALL, CHOSEN, OWN)
    )
    difference = by_seed = ""
    pairs = [(run, other) for run in found for other in against if run["seed"] == other["seed"] and run is not other]
    if pairs:
        difference = paired(pairs, CHOSEN) + "; recall " + paired(pairs, RECALL)
        by_seed = ", ".join(f"{gain(run, other):+.3f}" for run, other in pairs)
    seconds = np.mean([run["seconds"] for run in found])
    shown = f"{own:.3f}" if arm in WITH_OWN else ""
    return (
        f"| {queries} | {arm} | {len(found)} | {recall:.3f} | {chosen:.3f} | {difference} | {by_seed} | {shown} "
        f"| {seconds:.0f} |"
    )


def gain(run: dict[str, Any], other: dict[str, Any]) -> float:
    """Return the mean difference of two runs in the IoU of the chosen proposal."""
    return float((np.array(run["rows"]) - np.array(other["rows"]))[:, CHOSEN].mean())


def paired(pairs: list[tuple[dict[str, Any], dict[str, Any]]], column: int) -> str:
    """Return the mean difference of two arms, and its interval: images and seeds are drawn with replacement."""
    sums, counts = [], []
    for run, other in pairs:
        one, two = np.array(run["rows"]), np.array(other["rows"])
        images = int(one[:, 0].max()) + 1
        gained = one[:, column] - two[:, column]
        sums.append(np.bincount(one[:, 0].astype(int), gained, images))
        counts.append(np.bincount(one[:, 0].astype(int), minlength=images))
    totals, numbers = np.array(sums), np.array(counts)  # (seeds, images)
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(DRAWS):
        rows, columns = (random.integers(n, size=n) for n in totals.shape)
        drawn.append(totals[rows][:, columns].sum() / numbers[rows][:, columns].sum())
    low, high = np.percentile(drawn, [2.5, 97.5])
    return f"{totals.sum() / numbers.sum():+.3f} [{low:+.3f}, {high:+.3f}]"


def plot(runs: dict[tuple[int, str], list[dict[str, Any]]], path: Path) -> None:
    """Plot recall and the IoU of the chosen proposal by the number of queries."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(8, 3.2), sharey=True)
    for axis, column, title in zip(axes, (RECALL, CHOSEN), ("best proposal", "chosen proposal"), strict=True):
        for arm in sorted({arm for _, arm in runs}.intersection(PLOTTED)):
            points = sorted(
                (q, [np.array(r["rows"])[:, column].mean() for r in rs]) for (q, a), rs in runs.items() if a == arm
            )
            counts = [q for q, _ in points]
            axis.plot(counts, [np.mean(v) for _, v in points], "o-", label=arm)
            axis.fill_between(counts, [min(v) for _, v in points], [max(v) for _, v in points], alpha=0.15)
        axis.set(title=f"IoU of the {title}", xlabel="queries", xscale="log", xticks=[4, 8, 16, 24, 48])
        axis.set_xticklabels(["4", "8", "16", "24", "48"])
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
