"""What the forgetting probe found, for people: sentences and tables in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wordmask.training.forgetting.comparison import NAME_FALL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wordmask.training.forgetting.comparison import Change, Difference, Forgetting

__all__ = ["cell", "count", "forgetting_lines", "sentences"]

NAMES = 20
"""Rows of the table of names."""
LISTED = 3
"""Names of which a summary says that they got worse."""
MUCH = 0.25
"""Part of the everyday answers that may vanish before it is called a great change."""
LITTLE_OVERLAP = 0.5
"""Overlap with the answers before, below which it is called one as well."""


def sentences(forgetting: Forgetting, *, listed: int = LISTED) -> list[str]:
    """Return what a run says about forgetting: what got worse first, or that nothing did."""
    said: list[str] = []
    calm: list[str] = []
    if forgetting.labelled is not None:
        said += _on_names(forgetting, listed)
        labelled = forgetting.labelled
        for difference, what in ((labelled.iou, _of_names), (labelled.false_positives, _of_absent)):
            if difference is not None:
                (said if difference.worse() else calm).append(what(difference))
    for difference, what in ((forgetting.change.far, _of_far), (forgetting.change.absent, _of_known_absent)):
        if difference is not None and difference.worse():
            said.append(what(difference))
    much = _is_much(forgetting.change)
    scored = forgetting.labelled is not None and forgetting.labelled.iou is not None
    none = [] if said or (much and not scored) else ["Nothing that was measured got worse"]
    return [*(f"Worse: {line}" for line in said), *none, *calm, *_on_change(forgetting.change, much)]


def _is_much(change: Change) -> bool:
    return (change.vanished or 0) > MUCH or (change.overlap is not None and change.overlap < LITTLE_OVERLAP)


def _on_names(forgetting: Forgetting, listed: int) -> list[str]:
    assert forgetting.labelled is not None
    names = forgetting.labelled.worse_names()
    lines = [f"{name!r} {_fell(forgetting.labelled.names[name])}" for name in names[:listed]]
    if len(names) > listed:
        lines.append(f"{len(names) - listed} more of {len(forgetting.labelled.names)} names, listed in report.md")
    return lines


def _fell(difference: Difference) -> str:
    moved = f"fell from {difference.before:.2f} to {difference.after:.2f}"
    return f"{moved} ({count(difference.images, 'image')})"


def _of_names(difference: Difference) -> str:
    way = "fell" if difference.after < difference.before else "went"
    return f"names that were not trained {way} from IoU {_moved(difference)}"


def _of_absent(difference: Difference) -> str:
    return f"absent phrases that got a mask went from {_moved(difference)}"


def _of_far(difference: Difference) -> str:
    return f"words for things that hardly any image shows got a mask in {_rates(difference)}"


def _of_known_absent(difference: Difference) -> str:
    return f"names known to be absent from the images got a mask in {_rates(difference)}"


def _moved(difference: Difference) -> str:
    chance = "" if difference.low is None else f", difference {difference.low:+.3f} to {difference.high:+.3f}"
    asked = count(difference.asked, "question")
    return f"{difference.before:.3f} to {difference.after:.3f} ({asked} about {_images(difference)}{chance})"


def _rates(difference: Difference) -> str:
    return f"{difference.after:.0%} of the answers, {difference.before:.0%} before ({_images(difference)})"


def _on_change(change: Change, much: bool) -> list[str]:
    if change.overlap is None:
        return []
    moved = (
        f"answers to everyday words agree with those before by IoU {change.overlap:.2f}, "
        f"{change.vanished:.0%} of the masks vanished ({count(change.images, 'image')})"
    )
    if much:
        return [f"Changed much: {moved}; whether that is worse, only labelled images can tell: --probe"]
    return [f"Changed, for better or worse: {moved}"]


def forgetting_lines(forgetting: Forgetting | None) -> list[str]:
    """Return the part of the report about forgetting; None where it was not measured."""
    lines = ["## Forgetting", ""]
    if forgetting is None:
        return [*lines, "Not measured: the probe was off, or the model started from random weights."]
    lines += [f"- {cell(line)}" for line in sentences(forgetting, listed=NAMES)]
    return [*lines, *_labelled_table(forgetting), *_change_table(forgetting.change)]


_HEAD = ["| | before | after | difference, 95 % | questions | images |", "|---|---|---|---|---|---|"]


def _labelled_table(forgetting: Forgetting) -> list[str]:
    labelled = forgetting.labelled
    if labelled is None:
        return []
    title = f"### Labelled images: {cell(labelled.path)} ({cell(labelled.split)})"
    rows = {
        "mean IoU of names that were not trained": labelled.iou,
        "absent phrases that got a mask": labelled.false_positives,
    }
    lines = ["", title, "", *_HEAD, *_rows(rows)]
    if not labelled.names:
        return [*lines, "", "It holds no name that was not trained."]
    ordered = sorted(labelled.names, key=lambda name: labelled.names[name].after - labelled.names[name].before)
    shown = ordered if len(ordered) <= NAMES else [*ordered[: NAMES // 2], *ordered[-NAMES // 2 :]]
    few = "" if shown is ordered else f", the {NAMES // 2} that fell and that rose most"
    lines += [
        "",
        f"IoU of {count(len(ordered), 'name')}{few} (worse: a fall of more than {NAME_FALL[0]}, or of",
        f"more than {NAME_FALL[1]} that is more than chance; run.json has all):",
    ]
    return [*lines, "", *_HEAD, *_rows({name: labelled.names[name] for name in shown})]


def _change_table(change: Change) -> list[str]:
    parts = {
        f"overlap with before (IoU, {change.found} of {change.asked} answers)": change.overlap,
        "of these, vanished": change.vanished,
        "of the others, appeared": change.appeared,
    }
    rows = {"words for things that hardly any image shows": change.far, "names known to be absent": change.absent}
    words = f"{count(change.words, 'everyday word')} on {count(change.images, 'image')}"
    return [
        "",
        f"### Unlabelled images: {words} (change, not quality)",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value:.3f} |" for name, value in parts.items() if value is not None),
        "",
        "Rate of masks for what should get none:",
        "",
        *_HEAD,
        *_rows(rows),
    ]


def _rows(rows: Mapping[str, Difference | None]) -> list[str]:
    return [
        f"| {cell(name)} | {row.before:.3f} | {row.after:.3f} | "
        f"{'too few images' if row.low is None else f'{row.low:+.3f} to {row.high:+.3f}'} | {row.asked} | "
        f"{row.images} |"
        for name, row in rows.items()
        if row is not None
    ]


def _images(difference: Difference) -> str:
    return count(difference.images, "image")


def count(number: int, noun: str) -> str:
    """Return a number of things: "1 image", "2 images"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def cell(text: object) -> str:
    """Return text that may stand in a cell of a table."""
    return " ".join(str(text).replace("|", "\\|").split())
