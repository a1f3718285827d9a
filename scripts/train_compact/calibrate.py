"""Fit what turns presence logits and mask logits into probabilities (Platt scaling); write it to config.json.

    python scripts/train_compact/calibrate.py --data DATA --cache CACHE --model src/wordmask/weights/compact

Presence: on exhaustive pictures. Sets weigh the same, and so do "there" and "absent". The threshold is the probability
that keeps a share of what is there, the mean over the sets.
Masks: on all pictures, for the names that are there. Sets weigh the same, so do a set's (picture, name) pairs. Each
mask is cut at its own level from then on.
What is printed as held out is fitted on every other picture and measured on the rest.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import json
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from evaluate import never_there, truth_of
from pictures import IGNORE, Shot, load_pictures
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from vocabulary import SETS, set_names

import wordmask
from wordmask.ops.probability import sigmoid

ABSENCES_KNOWN = ("celebamask", "camvid", "coco")
"""Sets with pictures of which it is known what they do not hold."""
CELLS = 400
"""Cells that are drawn from each mask."""
GATES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5)
"""Presence thresholds of which is told what they keep and let in."""


class Rows(NamedTuple):
    """What a set's pictures tell, a row an answer or a cell.

    Attributes:
        picture: number of the picture.
        truth: 1 there, 0 absent; for cells, the share that the thing covers.
        logit: what the network said.
        weight: how much the row counts.
    """

    picture: np.ndarray
    truth: np.ndarray
    logit: np.ndarray
    weight: np.ndarray

    def half(self, odd: int) -> Rows:
        """The rows of every other picture."""
        return Rows(*(column[self.picture % 2 == odd] for column in self))


def collect(folder: Path, data: Path, cache: Path) -> tuple[dict[str, Rows], dict[str, Rows]]:
    """Presences and cells of masks, by set."""
    segmenter = wordmask.load(folder, device="cpu", dtype="float32")
    model = segmenter.model  # type: ignore[attr-defined]
    names, rng = set_names(data), np.random.default_rng(0)
    presences, cells = {}, {}
    for source, shots in load_pictures(data, cache, "val", side=4096, sets=SETS).items():
        answers: list[tuple[int, float, float]] = []
        masks: list[np.ndarray] = []
        number = 0
        for shot in shots:
            whole = source in ABSENCES_KNOWN and shot.exhaustive
            asked = [*names[source], *never_there(source)] if whole else sorted(set(shot.atoms.values()))
            if not asked:
                continue
            with torch.inference_mode():
                answer = model.answer(segmenter.encode(shot.pixels).features, model.embed_texts(asked).unsqueeze(0))
            logits, presence = (part[0].numpy() for part in answer)
            there = [bool(shot.values(name)) for name in asked]
            if whole:
                answers += [(number, float(t), z) for t, z in zip(there, presence.tolist(), strict=True)]
            masks += [sample(number, shot, name, logits[i], rng) for i, name in enumerate(asked) if there[i]]
            number += 1
        cells[source] = Rows(*np.concatenate(masks, 1))
        if answers:
            picture, truth, logit = np.array(answers).T
            presences[source] = evened(Rows(picture, truth, logit, truth))
        print(f"{source}: {number} pictures", flush=True)
    return presences, cells


def evened(rows: Rows) -> Rows:
    """Rows of which "there" and "absent" weigh the same."""
    there = rows.truth.sum()
    return rows._replace(weight=np.where(rows.truth == 1, 0.5 / there, 0.5 / (len(rows.truth) - there)))


def sample(number: int, shot: Shot, name: str, logits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Some cells of a mask, (4, CELLS): picture, covered share, logit, and a weight by the known share, 1 in all."""
    known = (shot.labels != IGNORE).astype(np.float32)
    covered = truth_of(shot, name).astype(np.float32) * known
    size = (logits.shape[1], logits.shape[0])
    known, covered = (cv2.resize(x, size, interpolation=cv2.INTER_AREA).ravel() for x in (known, covered))
    chosen = rng.integers(0, logits.size, CELLS)
    known, covered = known[chosen], covered[chosen]
    share = np.divide(covered, known, out=np.zeros_like(covered), where=known > 0).clip(0, 1)
    return np.stack([np.full(CELLS, number), share, logits.ravel()[chosen], known / max(known.sum(), 1e-9)])


def fit(rows: dict[str, Rows]) -> tuple[float, float]:
    """Scale and shift of greatest likelihood; sets weigh the same."""
    logits, truth, weights = two_sided(rows)
    model = LogisticRegression(C=1e6).fit(logits[:, None], truth, sample_weight=weights)
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def two_sided(rows: dict[str, Rows]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits, plain answers and weights: a cell that is covered in part counts in part for either."""
    logits = np.concatenate([r.logit for r in rows.values()] * 2)
    share = np.concatenate([r.truth for r in rows.values()])
    weight = np.concatenate([r.weight / r.weight.sum() for r in rows.values()])
    weights = np.concatenate([weight * share, weight * (1 - share)])
    truth = np.repeat([1, 0], len(share))
    real = weights > 0
    return logits[real], truth[real], weights[real] * real.sum() / weights[real].sum()


def keeps(rows: dict[str, Rows], recall: float) -> float:
    """The presence logit from which on that share of what is there is found, the mean over the sets."""
    logits, truth, weights = two_sided(rows)
    logits, weights = logits[truth == 1], weights[truth == 1]
    order = np.argsort(logits)
    lost = np.cumsum(weights[order]) / weights.sum()
    return float(logits[order][np.searchsorted(lost, 1 - recall)])


def probability(logits: np.ndarray | float, scale: float, shift: float) -> np.ndarray:
    return sigmoid(scale * np.asarray(logits) + shift)


def rates(rows: Rows, scale: float, shift: float, threshold: float) -> tuple[float, float]:
    """Share of what is there, and of what is absent, whose presence reaches the threshold."""
    reached, there = probability(rows.logit, scale, shift) >= threshold, rows.truth == 1
    return float(reached[there].mean()), float(reached[~there].mean())


def describe(rows: Rows, scale: float, shift: float, threshold: float) -> str:
    area = roc_auc_score(rows.truth == 1, rows.logit)
    kept, false = rates(rows, scale, shift, threshold)
    return f"AUROC {area:.3f}, at {threshold:.2f}: recall {kept:.3f}, false positives {false:.3f}"


def loss_of(rows: Rows, scale: float, shift: float) -> float:
    """Mean negative log-likelihood of cells."""
    logits, truth, weights = two_sided({"": rows})
    return float(log_loss(truth, probability(logits, scale, shift), sample_weight=weights))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--recall", type=float, default=0.95, help="share of what is there that presence keeps")
    args = parser.parse_args()
    if not 0 < args.recall < 1:
        parser.error(f"--recall is {args.recall}, not between 0 and 1")
    presences, cells = collect(args.model, args.data, args.cache)
    some = {s: evened(r.half(0)) for s, r in presences.items()}
    presence_half = fit(some)
    level = float(probability(keeps(some, args.recall), *presence_half))
    for source, rows in presences.items():
        print(f"presence of {source}, held out: {describe(rows.half(1), *presence_half, level)}")
    masks_half = fit({s: r.half(0) for s, r in cells.items()})
    for source, rows in cells.items():
        before, after = (loss_of(rows.half(1), *pair) for pair in ((1.0, 0.0), masks_half))
        print(f"cells of {source}, held out: log loss {before:.4f} as the network says it, {after:.4f} calibrated")
    scale, shift = fit(presences)
    threshold = float(probability(keeps(presences, args.recall), scale, shift))
    mask_scale, mask_shift = fit(cells)
    if min(scale, mask_scale) <= 0:
        parser.error(f"the scales are {scale:.3f} and {mask_scale:.3f}: what is likelier gets lower logits")
    config = json.loads((args.model / "config.json").read_text())
    config["settings"] |= {
        "threshold": None,  # another one would have to be chosen anew for the calibrated masks
        "mask_scale": round(mask_scale, 4),
        "mask_shift": round(mask_shift, 4),
        "presence_scale": round(scale, 4),
        "presence_shift": round(shift, 4),
        "presence_threshold": round(threshold, 3),
    }
    (args.model / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    for gate in GATES:
        found = {s: rates(r, scale, shift, gate) for s, r in presences.items()}
        print(
            f"gate {gate}: "
            + ", ".join(f"{s} keeps {kept:.3f}, lets in {false:.3f}" for s, (kept, false) in found.items())
        )
    print(f"presence: scale {scale:.3f}, shift {shift:.3f}, threshold {threshold:.3f}")
    print(f"masks: scale {mask_scale:.3f}, shift {mask_shift:.3f}, each cut at its own level")


if __name__ == "__main__":
    main()
