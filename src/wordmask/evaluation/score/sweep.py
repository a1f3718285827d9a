"""CLIPSeg's scores at 49 thresholds, with intervals over images; see `wordmask.metrics.thresholds`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from wordmask.evaluation.score.intervals import over_images, score_json
from wordmask.metrics.bootstrap import Interval, interval
from wordmask.metrics.means import quotient
from wordmask.metrics.thresholds import THRESHOLDS, ap, counts, iou_bin, iou_fg, position, step_ap

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from wordmask.evaluation.score.rows import Rows

    Values = NDArray[Any]
    Curve = Callable[[Values], Values]

__all__ = ["sweep_scores"]


def sweep_scores(
    rows: Rows,
    classes: Literal["label", "key"],
    threshold: float | None,
    *,
    folds: Mapping[str, str] | None,
    draws: int,
    seed: int,
) -> dict[str, Any]:
    """Compute every IoU at the protocol's threshold and at its best, and AP in three definitions.

    With folds a score is the mean over folds, and a threshold is the best if it is so for that mean.

    Args:
        rows: With histograms; one query per image where `classes` is "label".
        classes: The classes of mIoU.
        threshold: One of the 49; None: only the best.
        folds: Label -> fold.
        draws: Of the intervals.
        seed: Of the intervals.

    Raises:
        DataError: If the threshold is not one of the 49.
    """
    if rows.histograms is None:
        return {}
    at = {} if threshold is None else {f"@{threshold:g}": position(threshold)}
    if classes == "key":
        return _by_key(rows, rows.histograms, at, draws, seed)
    labels = sorted(set(rows.labels.tolist()))
    by_fold = _folds(labels, folds)
    flat = rows.histograms.reshape(len(rows), 100)

    def measured(statistic: Curve) -> Interval:
        return interval(flat, statistic, groups=rows.labels.tolist(), draws=draws, seed=seed)

    curves = {
        "miou": _class_curve(by_fold),
        "iou_fg": _fold_curve(by_fold, iou_fg),
        "iou_bin": _fold_curve(by_fold, iou_bin),
    }
    scores = {
        f"{name}{end}": measured(_at(curve, place)) for name, curve in curves.items() for end, place in at.items()
    }
    scores |= {f"{name}_best": measured(_best(curve)) for name, curve in curves.items()}
    scores |= {name: measured(_fold_curve(by_fold, rule)) for name, rule in _APS.items()}
    return _json(scores) | {
        f"{name}_best_t": _best_t(flat, rows.labels, labels, curve) for name, curve in curves.items()
    }


def _by_key(rows: Rows, histograms: NDArray[np.int64], at: dict[str, int], draws: int, seed: int) -> dict[str, Any]:
    """Every prompt is a class of its own, so mIoU is a mean over prompts."""
    flat = histograms.reshape(len(rows), 100)
    own = np.concatenate([iou_fg(counts(histograms)), np.ones((len(rows), 1))], axis=1)

    def measured(values: NDArray[Any], statistic: Curve) -> Interval | None:
        return over_images(values, rows.image, rows.images, statistic, draws=draws, seed=seed)

    curves: dict[str, tuple[NDArray[Any], Curve]] = {
        "miou": (own, lambda sums: quotient(sums[..., :49], np.broadcast_to(sums[..., 49:], (*sums.shape[:-1], 49)),
                                            otherwise=np.nan)),
        "iou_fg": (flat, lambda sums: iou_fg(_counted(sums))),
        "iou_bin": (flat, lambda sums: iou_bin(_counted(sums))),
    }  # fmt: skip
    scores = {
        f"{name}{end}": measured(values, _at(curve, place))
        for name, (values, curve) in curves.items()
        for end, place in at.items()
    }
    scores |= {f"{name}_best": measured(values, _best(curve)) for name, (values, curve) in curves.items()}
    scores |= {name: measured(flat, _whole(rule)) for name, rule in _APS.items()}
    best = {
        f"{name}_best_t": {"value": round(float(THRESHOLDS[curve(values.sum(axis=0)[None])[0].argmax()]), 2)}
        for name, (values, curve) in curves.items()
    }
    return _json(scores) | best


def _counted(sums: Values) -> NDArray[Any]:
    """Return TP, FP, FN, TN `(..., 4, 49)` of summed histograms `(..., 100)`."""
    return counts(sums.reshape(*sums.shape[:-1], 2, 50))


def _whole(rule: Curve) -> Curve:
    """Return a rule for counts as one for summed histograms."""
    return lambda sums: rule(_counted(sums))


def _each(rule: Callable[[NDArray[Any]], float]) -> Curve:
    """Return a rule for one set of counts `(4, 49)` as one for many, `(..., 4, 49)` to `(...)`."""

    def values(counted: Values) -> Values:
        flat = counted.reshape(-1, *counted.shape[-2:])
        return np.array([rule(one) for one in flat], dtype=np.float64).reshape(counted.shape[:-2])

    return values


def _step(counted: NDArray[Any]) -> float:
    """Return `step_ap` from counts: the histogram is what cumulated counts differ by."""
    tp, fp, fn, tn = counted
    below = np.stack([tn, fn])
    total = np.stack([fp[:1] + tn[:1], tp[:1] + fn[:1]])
    return step_ap(np.diff(np.concatenate([np.zeros((2, 1)), below, total], axis=1), axis=1))


_APS: dict[str, Curve] = {
    "ap": _each(ap),
    "ap_2021": _each(lambda counted: ap(counted, rule="2021")),
    "step_ap": _each(_step),
}


def _folds(labels: list[str], folds: Mapping[str, str] | None) -> list[NDArray[np.int64]]:
    """Return the positions of the labels of every fold."""
    names = [folds.get(label, "") if folds else "" for label in labels]
    return [np.array([place for place, own in enumerate(names) if own == name]) for name in sorted(set(names))]


def _fold_curve(folds: list[NDArray[np.int64]], rule: Curve) -> Curve:
    """Return the mean over folds of a rule on counts summed within a fold, for sums `(B, G, 100)`."""

    def values(sums: Values) -> Values:
        known = np.nan_to_num(sums)
        return np.asarray(np.mean([rule(_counted(known[:, fold].sum(axis=1))) for fold in folds], axis=0))

    return values


def _class_curve(folds: list[NDArray[np.int64]]) -> Curve:
    """Return the mean over folds of the mean over classes of IoU_FG; a class that a draw misses is left out."""

    def values(sums: Values) -> Values:
        known = ~np.isnan(sums[..., :1])  # (B, G, 1)
        by_class = np.where(known, iou_fg(_counted(np.nan_to_num(sums))), 0.0)
        means = []
        for fold in folds:
            number = known[:, fold].sum(axis=1)
            total = by_class[:, fold].sum(axis=1)
            means.append(quotient(total, np.broadcast_to(number, total.shape), otherwise=np.nan))
        return np.asarray(np.mean(means, axis=0))

    return values


def _at(curve: Curve, place: int) -> Curve:
    return lambda sums: curve(sums)[..., place]


def _best(curve: Curve) -> Curve:
    return lambda sums: curve(sums).max(axis=-1)


def _best_t(flat: NDArray[np.int64], held: NDArray[Any], labels: list[str], curve: Curve) -> dict[str, float]:
    sums = np.stack([flat[held == label].sum(axis=0) for label in labels])[None].astype(np.float64)
    return {"value": round(float(THRESHOLDS[curve(sums)[0].argmax()]), 2)}


def _json(scores: Mapping[str, Interval | None]) -> dict[str, Any]:
    return {name: score_json(score) for name, score in scores.items() if score is not None}
