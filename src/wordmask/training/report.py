"""`report.md`: what a training came to, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wordmask.training.forgetting.report import cell, count, forgetting_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from wordmask.training.forgetting.comparison import Forgetting

__all__ = ["movers", "page"]

MOVERS = 5
"""Phrases that are listed on each side."""


def page(
    record: Mapping[str, Any], forgetting: Forgetting | None, start: Mapping[str, Any], best: Mapping[str, Any]
) -> str:
    """Return `report.md`.

    Args:
        record: What is in run.json.
        forgetting: What the forgetting probe found; None where it was off.
        start: Validation by phrase at the start, `[IoU sum, present, false positives, absent]`; {} without validation.
        best: The same of the best model.
    """
    parts = [["# Training report"], _trained(record), _validation(record, start, best), forgetting_lines(forgetting)]
    return "\n".join(line for part in parts for line in (*part, "")).rstrip() + "\n"


def _trained(record: Mapping[str, Any]) -> list[str]:
    recipe, data = record["recipe"], record["data"]
    schedule, model = recipe["schedule"], record["model"]
    weight = schedule["start_weight"]
    mixed = [f"- validated and written with a weight of {weight:g} of the weights at the start"] if weight else []
    of = data.get("instances")
    instances = [f"- instances: {of['masks']} with masks, {of['boxes']} with boxes alone"] if of else []
    left = [f"- left out: {count(len(record['left_out']), 'problem')}"] if record["left_out"] else []
    return [
        f"- recipe `{recipe['name']}`: {record['steps']} steps of {schedule['batch']} images, lr {schedule['lr']:g}",
        f"- data: {count(data['images'], 'image')} of {cell(data['name'])} ({cell(data['split'])})",
        *instances,
        f"- start: {cell(model['start'] or 'the embedded weights')}; trained parts: {', '.join(model['parts'])}",
        *mixed,
        *left,
    ]


def _validation(record: Mapping[str, Any], start: Mapping[str, Any], best: Mapping[str, Any]) -> list[str]:
    lines = ["## Validation", ""]
    if not start or not best:
        return [*lines, "Nothing was measured: there are no images for validation."]
    step = record["best"]["step"]
    lines += [f"| | start | best (step {step}) |", "|---|---|---|"]
    before, after = _means(start.values()), _means(best.values())
    lines += [f"| {name} | {before[name]:.3f} | {after[name]:.3f} |" for name in before if name in after]
    if not step:
        return [*lines, "", "No step was better than the model that it started from: best is that model, unchanged."]
    rose, fell = movers(start, best)
    for title, moved in (("Rose most", rose), ("Fell most", fell)):
        if moved:
            lines += ["", f"| {title} | start | best | images |", "|---|---|---|---|"]
            lines += [f"| {cell(name)} | {old:.2f} | {new:.2f} | {number} |" for name, old, new, number in moved]
    return lines


def _means(sums: Iterable[Any]) -> dict[str, float]:
    iou, present, false_positives, absent = (sum(values) for values in zip(*sums, strict=True))
    scores = {"mean IoU": iou / present} if present else {}
    return scores | ({"false positives": false_positives / absent} if absent else {})


Mover = tuple[str, float, float, int]
"""A phrase, its mean IoU before and after, and how often it was asked."""


def movers(start: Mapping[str, Any], best: Mapping[str, Any]) -> tuple[list[Mover], list[Mover]]:
    """Return the phrases whose mean IoU rose most, and those whose mean fell most, the greatest first."""
    moved = [
        (phrase, start[phrase][0] / start[phrase][1], best[phrase][0] / best[phrase][1], int(start[phrase][1]))
        for phrase in start
        if phrase in best and start[phrase][1] and best[phrase][1]
    ]
    moved.sort(key=lambda mover: mover[1] - mover[2])
    rose = [mover for mover in moved if mover[2] > mover[1]]
    fell = [mover for mover in reversed(moved) if mover[2] < mover[1]]
    return rose[:MOVERS], fell[:MOVERS]
