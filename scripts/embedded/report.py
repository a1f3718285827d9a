"""Calibrate a compact network on the val parts, and write its card from what `wordmask evaluate` measured there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from safetensors.torch import load_file
from sets import SETS, EmbeddedData
from sklearn.linear_model import LogisticRegression

from wordmask.methods.compact import load_compact
from wordmask.training.compact.label_space import UNKNOWN

CELLS = 100
"""Cells sampled from each mask for the calibration of masks."""
EXHAUSTIVE = ("celebamask", "camvid", "coco", "pascal")
"""Sets with names that are known to be absent from images."""
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
    adders = {"coco": data.add_coco, "pascal": data.add_pascal, "people": data.add_people}
    if source in SETS:
        data.add_set(rows, source, 0)
    else:
        adders[source](rows, 0)
    result: list[Row] = rows.rows
    return result


def calibration(folder: Path, data: EmbeddedData, *, limit: int | None = None) -> dict[str, float]:
    """Fit scales and shifts of masks and presence on the val parts."""
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
    return fit(answers, spaces)


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


HEAD = """# wordmask-compact

A small network that segments what a phrase, an example image or both name. {parameters:.1f} M parameters, {size:.1f} MB
in fp16; it ships with the package. Trained from random weights on the images below, beside its text encoder, which was
trained towards CLIP ViT-B/32 text vectors and stays as it was in the edition before.

How: `scripts/embedded/make_embedded.py`, two runs on one H100 (one seed): 4,061 steps of 224 images from random weights
in 558 s, then 3,733 further steps in 655 s with more everyday images, half of them mixed from two (CutMix; `train
--start`). Teachers: the edition before each run (masks of faces, clothes, cars, streets, facades),
DeepLabV3-MobileNetV2 and MobileNetV2 by Google (features, label maps of 20 names; Apache-2.0). No weight of theirs is
in this file. The presence of garments on fashion images was then raised (stage `garments`), and four small heads of
presence were trained on 3,546 whole training images asked for whole vocabularies, the rest frozen (stage `presence`).
The runs used images in WebP of quality 50, schedules by the clock and a batched Muon, and the second trained the
teachers' heads alone in its first 60 steps; the same commands make weights of the same kind, not the same bits.

Left and right of faces and cars are the subject's own.

## Data and terms
The images are not part of this package. Because several sets are for **non-commercial research only**, so are these
weights: use your own or published weights where that does not fit.

| set | what | terms |
|---|---|---|
{sources}

## Measured
On the val parts, never trained on, by `wordmask evaluate` as the package answers (presence threshold {gate}); commands
and intervals are in docs/ledger.md. mIoU: mean over names of summed intersection over summed union. IoU: mean over
images and names. Absent names with a mask, and AUROC of presence, where the data say what is absent.

| set | mIoU | IoU | names | AUROC of presence | absent names with a mask |
|---|---|---|---|---|---|
{rows}

Masks were calibrated, and how much of a mask's strongest part a part must reach was chosen, on these same parts; the
presence threshold was computed on changed views of training images; two rules before it were given up after their
figures here were seen. That flatters the figures a little.

## Limits
Names that no label, caption or tag of these images had are found less often. Small objects are cut roughly: masks are
decided on every fourth pixel of a canvas of {side} pixels. Relations, counts and text are beyond it.
"""


def write_card(folder: Path, ledger: Path) -> None:
    """Write README.md and card.json beside the weights.

    Args:
        folder: of the weights.
        ledger: results of `wordmask evaluate`, a JSON file for each set.
    """
    settings = json.loads((folder / "config.json").read_text())["settings"]
    size = (folder / "model.safetensors").stat().st_size / 1e6
    parameters = sum(tensor.numel() for tensor in load_file(folder / "model.safetensors").values()) / 1e6
    rows, quality = [], {}
    for name in (row[0] for row in SOURCES if (ledger / f"{row[0]}.json").is_file()):
        result = json.loads((ledger / f"{name}.json").read_text())
        scores, presence = result["scores"], result["presence"]
        quality[f"{name} mIoU"] = round(scores["class_miou"]["value"], 3)
        told = [f"{presence[k]['value']:.3f}" if presence.get(k) else "" for k in ("auroc", "absent_with_mask")]
        rows.append(
            f"| {name} | {scores['class_miou']['value']:.3f} | {scores['miou']['value']:.3f} | "
            f"{len(result['by_name'])} | {' | '.join(told)} |"
        )
    sources = "\n".join(f"| {a} | {b} | {c} |" for a, b, c in SOURCES)
    facts = {"gate": settings["presence_threshold"], "side": settings["long_side"], "rows": "\n".join(rows)}
    text = HEAD.format(parameters=parameters, size=size, sources=sources, **facts)
    (folder / "README.md").write_text(text, encoding="utf-8")
    card = {
        "trained_on": [f"{what} ({terms})" for _, what, terms in SOURCES],
        "quality": quality,
        "terms": "non-commercial research only",
    }
    (folder / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
