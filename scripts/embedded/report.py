"""Calibrate a compact network on the val parts, measure it there and write its card: no figure is typed by hand."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from sets import SETS, EmbeddedData
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from wordmask.methods.compact import load_compact
from wordmask.ops.probability import sigmoid
from wordmask.training.compact.label_space import UNKNOWN

CELLS = 100
"""Cells that are drawn from each mask for the calibration of masks."""
EXHAUSTIVE = ("celebamask", "camvid", "coco", "pascal")
"""Sets with images of which it is known what they do not hold."""
SOURCES = json.loads(Path(__file__).with_name("sources.json").read_text())
"""Name, what it is, terms: of every set and teacher."""


class Row(NamedTuple):
    """One image of a set: what `EmbeddedData` adds."""

    space: str
    pixels: np.ndarray
    labels: np.ndarray
    absent: dict[str, float]
    boxes: list[tuple[str, float, float, float, float]]


class Rows:
    """Takes the place of a `LabelledImageWriter` and keeps what is added."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def add(self, space: str, pixels: Any, labels: Any, *, absent: Any = None, boxes: Any = (), **_: Any) -> None:
        self.rows.append(Row(space, pixels, labels, dict(absent or {}), list(boxes)))


def rows_of(data: EmbeddedData, source: str) -> list[Row]:
    """The val images of a set."""
    rows: Any = Rows()
    adders = {"coco": data._add_coco, "pascal": data._add_pascal, "people": data._add_people}
    if source in SETS:
        data.add_set(rows, source, 0)
    else:
        adders[source](rows, 0)
    result: list[Row] = rows.rows
    return result


def measure(folder: Path, data: EmbeddedData, *, gate: float, limit: int | None = None) -> dict[str, Any]:
    """Fit the calibration, then count with it and a presence threshold of `gate`.

    Returns:
        "calibration": scales and shifts of masks and presence; "sets": for each set mIoU over its names (with and
        without the gate), and where absent names are known AUROC, `found` and `absent drawn`.
    """
    segmenter: Any = load_compact(folder)
    model = segmenter.model
    answers: dict[str, list[tuple[Row, list[str], int, torch.Tensor, torch.Tensor]]] = {}
    spaces = {s.name: s for s in data.spaces}
    for source in (*SETS, "coco", "people", "pascal"):
        space = spaces[source if source in SETS else "everyday"]
        answers[source] = []
        for row in rows_of(data, source)[:limit]:
            values = [v for v in np.unique(row.labels) if 0 < v < UNKNOWN]
            there = [space.labels[v - 1] for v in values if source != "people" or space.labels[v - 1] == "person"]
            whole = source in EXHAUSTIVE and (source != "coco" or list(row.absent.values()).count(1.0) > 60)
            absent = [n for n, sure in row.absent.items() if whole and sure == 1 and n not in there]
            if not there + absent:
                continue
            with torch.inference_mode():
                features = segmenter.encode(row.pixels).features
                logits, presence = model.answer(features, model.embed_texts(there + absent).unsqueeze(0))
            answers[source].append((row, there + absent, len(there), logits[0].float(), presence[0].float()))
        print(source, len(answers[source]), flush=True)
    calibration = fit(answers, spaces)
    counts = {s: count(rows, spaces, calibration, gate) for s, rows in answers.items()}
    return {"calibration": calibration, "gate": gate, "sets": counts}


def fit(answers: dict[str, Any], spaces: dict[str, Any]) -> dict[str, float]:
    """Platt scaling: sets weigh the same; of presence, so do present and absent names."""
    cells, presences = [], []
    for rows in answers.values():
        rng, some, told = np.random.default_rng(0), [], []
        for row, names, number, logits, presence in rows:
            known = (row.labels != UNKNOWN).astype(np.float32)
            for i, name in enumerate(names[:number]):
                value = value_of(spaces[row.space], name)
                size = (logits.shape[2], logits.shape[1])
                covered = cv2.resize((row.labels == value).astype(np.float32), size, interpolation=cv2.INTER_AREA)
                sure = cv2.resize(known, size, interpolation=cv2.INTER_AREA).ravel()
                chosen = rng.integers(0, sure.size, CELLS)
                some.append(np.stack([logits[i].numpy().ravel(), covered.ravel(), sure])[:, chosen])
            if len(names) > number:
                told.append(np.stack([presence.numpy(), np.arange(len(names)) < number]))
        cells.append(np.concatenate(some, 1))
        if told:
            z, there = np.concatenate(told, 1)
            weight = np.where(there == 1, 0.5 / there.sum(), 0.5 / (1 - there).sum())
            presences.append(np.stack([z, there, weight]))
    mask, there = platt(cells), platt(presences)
    names = ("mask_scale", "mask_shift", "presence_scale", "presence_shift")
    return dict(zip(names, (*mask, *there), strict=True))


def platt(parts: list[np.ndarray]) -> tuple[float, float]:
    """Scale and shift of greatest likelihood from rows of logit, share that is true, weight; parts weigh the same."""
    z, share, weight = np.concatenate([np.stack([p[0], p[1], p[2] / p[2].sum()]) for p in parts], 1)
    z, true = np.concatenate([z, z]), np.repeat([1, 0], len(z))
    weight = np.concatenate([weight * share, weight * (1 - share)])
    model = LogisticRegression(C=1e6).fit(z[:, None], true, sample_weight=weight * len(weight))
    return round(float(model.coef_[0, 0]), 4), round(float(model.intercept_[0]), 4)


def value_of(space: Any, name: str) -> int:
    return int(space.labels.index(name)) + 1


def count(rows: list[Any], spaces: dict[str, Any], settings: dict[str, float], gate: float) -> dict[str, Any]:
    """Scores of one set."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    told = []
    for row, names, number, logits, presence in rows:
        chance = sigmoid(settings["presence_scale"] * presence.numpy() + settings["presence_shift"])
        known = row.labels != UNKNOWN
        if len(names) > number:
            told += [
                (z, float(i < number), p >= gate)
                for i, (z, p) in enumerate(zip(presence.tolist(), chance, strict=True))
            ]
        for i, name in enumerate(names[:number]):
            z = settings["mask_scale"] * logits[i] + settings["mask_shift"]
            probability = torch.nn.functional.interpolate(z[None, None], row.labels.shape, mode="bilinear")[
                0, 0
            ].sigmoid()
            mask = probability.numpy() >= own_threshold(probability.numpy())
            truth = row.labels == value_of(spaces[row.space], name)
            shown = mask & bool(chance[i] >= gate)
            pairs = ((shown & truth), (shown | truth), (mask & truth), (mask | truth))
            sums[name] = [a + int((b & known).sum()) for a, b in zip(sums[name], pairs, strict=True)]
    ious = {n: s[0] / max(s[1], 1) for n, s in sums.items()}
    result: dict[str, Any] = {
        "mIoU": float(np.mean(list(ious.values()))),
        "no gate": float(np.mean([s[2] / max(s[3], 1) for s in sums.values()])),
        "names": {n: round(v, 3) for n, v in sorted(ious.items())},
    }
    if told:
        z, there, drawn = np.array(told).T
        result |= {
            "AUROC": float(roc_auc_score(there, z)),
            "found": float(drawn[there == 1].mean()),
            "absent drawn": float(drawn[there == 0].mean()),
        }
    return result


def own_threshold(probability: np.ndarray) -> float:
    """The threshold of the highest expected IoU, as `components/thresholds.py` has it, on every eighth value."""
    ordered = np.sort(probability.ravel())[::-1][::8].astype(np.float64)
    inside = np.cumsum(ordered)
    expected = inside / (np.arange(1, len(ordered) + 1) + inside[-1] - inside)
    return float(max(ordered[expected.argmax()], 0.05))


HEAD = """# wordmask-compact

A small network that segments what a phrase, an example image or both name. {parameters:.1f} M parameters, {size:.1f} MB
in fp16; it ships with the package. Trained from random weights on the images below, beside its text encoder, which was
trained towards CLIP ViT-B/32 text vectors and stays as it was in the edition before.

How: `scripts/embedded/make_embedded.py` (4,061 steps of 224 images on one H100, 558 s). Teachers: the edition before
(masks of faces, clothes, cars, streets, facades), DeepLabV3-MobileNetV2 and MobileNetV2 by Google (features, label maps
of 20 names; Apache-2.0). No weight of theirs is in this file. The presence of garments on fashion photographs was then
raised (stage `garments`).

Left and right of faces and cars are the subject's own.

## Data and terms
The images are not part of this package. Because several sets are for **non-commercial research only**, so are these
weights: use your own or published weights where that does not fit.

| set | what | terms |
|---|---|---|
{sources}

## Measured
On the val parts, never trained on, presence threshold {gate}. mIoU: mean over names of summed intersection over summed
union. Calibration and threshold were fitted on these same parts, which flatters the figures a little.

| set | mIoU | no gate | names | AUROC of presence | found | absent drawn |
|---|---|---|---|---|---|---|
{rows}
"""


def write_card(folder: Path, config: dict[str, Any], results: dict[str, Any]) -> None:
    """Write README.md and card.json beside the weights."""
    size = (folder / "model.safetensors").stat().st_size / 1e6
    rows = []
    for source, row in results["sets"].items():
        told = [f"{row[k]:.3f}" if k in row else "" for k in ("AUROC", "found", "absent drawn")]
        rows.append(
            f"| {source} | {row['mIoU']:.3f} | {row['no gate']:.3f} | {len(row['names'])} | {' | '.join(told)} |"
        )
    sources = "\n".join(f"| {a} | {b} | {c} |" for a, b, c in SOURCES)
    text = HEAD.format(parameters=size / 2, size=size, sources=sources, gate=results["gate"], rows="\n".join(rows))
    (folder / "README.md").write_text(text, encoding="utf-8")
    (folder / "card.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
