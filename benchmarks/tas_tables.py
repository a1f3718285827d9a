"""Tables of `tas_experiment.py`: oIoU, mIoU and precision, with intervals over images."""

from __future__ import annotations

from typing import Any

import numpy as np

from wordmask.metrics.bootstrap import interval, pool, ratio_of_sums

__all__ = ["print_tables"]

Row = dict[str, Any]


def scores(rows: list[Row]) -> dict[str, tuple[float, float, float]]:
    """Return value, low and high of oIoU, mIoU, Pr@0.5 and Pr@0.7 in percent."""
    keys = [row["key"] for row in rows]
    joint, union = (np.array([row[name] for row in rows], np.float64) for name in "iu")
    ious = joint / (union + 1e-6)
    columns = {"oIoU": (joint, union)} | {
        name: (np.asarray(values, np.float64), np.ones(len(rows)))
        for name, values in (("mIoU", ious), ("Pr@0.5", ious > 0.5), ("Pr@0.7", ious > 0.7))
    }
    found = {}
    for name, (top, bottom) in columns.items():
        pooled = pool(np.stack([top, bottom], axis=1), keys)
        one = interval(pooled, ratio_of_sums((0,), (1,)))
        found[name] = (100 * one.value, 100 * one.low, 100 * one.high)
    return found


def difference(first: list[Row], second: list[Row]) -> dict[str, tuple[float, float, float]]:
    """Return how far each measure of the first rows is above that of the second, paired by image, in points."""
    sums: dict[str, np.ndarray] = {}
    for start, rows in ((0, first), (4, second)):
        for row in rows:
            value = row["i"] / (row["u"] + 1e-6)
            table = sums.setdefault(row["key"], np.zeros(9))
            table[start : start + 4] += (row["i"], row["u"], value, value > 0.5)
            table[8] += start > 0
    pooled, found = np.stack(list(sums.values())), {}
    for name, (top, bottom, other, under) in {
        "oIoU": (0, 1, 4, 5), "mIoU": (2, 8, 6, 8), "Pr@0.5": (3, 8, 7, 8)
    }.items():  # fmt: skip
        columns = [top, bottom, other, under]
        one = interval(pooled[:, columns], _gap)
        found[name] = (100 * one.value, 100 * one.low, 100 * one.high)
    return found


def _gap(total: np.ndarray) -> np.ndarray:
    return np.asarray(total[..., 0] / total[..., 1] - total[..., 2] / total[..., 3])


def print_tables(rows: list[Row]) -> None:
    """Print every configuration on all expressions with distractors, then kinds, sets and differences."""
    real = [row for row in rows if row["set"] != "shapes"]
    chosen = {
        "photographs, distractors of the same name": [row for row in real if row["others"]],
        "photographs, no distractor": [row for row in real if not row["others"]],
        "shapes": [row for row in rows if row["set"] == "shapes"],
    }
    for title, part in chosen.items():
        if part:
            print(f"\n## {title}: {len({(r['key'], r['text']) for r in part})} expressions")
            _table(part, "way")
    for field in ("kind", "set"):
        print(f"\n## by {field}, oIoU and Pr@0.5 (photographs, distractors)")
        _by(chosen["photographs, distractors of the same name"], field)
    print("\n## differences, points (photographs, distractors)")
    _differences(chosen["photographs, distractors of the same name"])


def _ways(rows: list[Row]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((row["proposals"], row["way"]) for row in rows))


def _table(rows: list[Row], _: str) -> None:
    print("| proposals | configuration | oIoU | mIoU | Pr@0.5 | Pr@0.7 |\n|---|---|---|---|---|---|")
    for proposals, way in _ways(rows):
        part = [row for row in rows if (row["proposals"], row["way"]) == (proposals, way)]
        cells = [f"{value:.1f} [{low:.1f}, {high:.1f}]" for value, low, high in scores(part).values()]
        print(f"| {proposals} | {way} | {' | '.join(cells)} |")


def _by(rows: list[Row], field: str) -> None:
    values = sorted({row[field] for row in rows})
    counts = {value: len({(r["key"], r["text"]) for r in rows if r[field] == value}) for value in values}
    print("| proposals | configuration | " + " | ".join(f"{value} ({counts[value]})" for value in values) + " |")
    print("|---|---|" + "---|" * len(values))
    for proposals, way in _ways(rows):
        part = [row for row in rows if (row["proposals"], row["way"]) == (proposals, way)]
        cells = []
        for value in values:
            rest = [row for row in part if row[field] == value]
            if not rest:
                cells.append("-")
                continue
            found = scores(rest)
            cells.append(f"{found['oIoU'][0]:.1f} / {found['Pr@0.5'][0]:.1f}")
        print(f"| {proposals} | {way} | {' | '.join(cells)} |")


def _differences(rows: list[Row]) -> None:
    names = {way for _, way in _ways(rows)}
    for proposals in dict.fromkeys(row["proposals"] for row in rows):
        for first, second in (
            ("all intended code", "V"), ("all intended paper-refcocog", "V"), ("V+intended", "V"), ("V+P", "V"),
            ("V+N code", "V"), ("V+released", "V"), ("all intended code", "all released code"),
            ("V+intended", "V+released"),
        ):  # fmt: skip
            if {first, second} <= names:
                one, other = (
                    [row for row in rows if (row["proposals"], row["way"]) == (proposals, way)]
                    for way in (first, second)
                )
                gaps = difference(one, other).items() if one and other else ()
                told = ", ".join(f"{name} {value:+.1f} [{low:+.1f}, {high:+.1f}]" for name, (value, low, high) in gaps)
                print(f"{proposals}: {first} - {second}: {told}" if told else "", end="\n" if told else "")
