"""What a training came to, for people: `report.md` and its sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wordmask.train.forgetting import NAME_FALL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from wordmask.train.forgetting import Change, Difference, Forgetting

__all__ = ["movers", "page", "sentences"]

MOVERS = 5
"""Phrases that are listed on each side."""
NAMES = 20
"""Rows of the table of names."""
LISTED = 3
"""Names of which a summary says that they got worse."""
MUCH = 0.25
"""Share of everyday answers that may vanish before it is said to be a great change."""
AGREES = 0.5
"""Agreement below which it is said as well."""


def sentences(forgetting: Forgetting, *, listed: int = LISTED) -> list[str]:
    """Return what a run says about forgetting: what got worse first, or that nothing did."""
    said: list[str] = []
    calm: list[str] = []
    if forgetting.truth is not None:
        said += _on_names(forgetting, listed)
        for difference, what in ((forgetting.truth.iou, _of_names), (forgetting.truth.alarms, _of_absent)):
            if difference is not None:
                (said if difference.worse() else calm).append(what(difference))
    for difference, what in ((forgetting.change.far, _of_far), (forgetting.change.absent, _of_known_absent)):
        if difference is not None and difference.worse():
            said.append(what(difference))
    much = _is_much(forgetting.change)
    judged = forgetting.truth is not None and forgetting.truth.iou is not None
    none = [] if said or (much and not judged) else ["Nothing that was measured got worse"]
    return [*(f"Worse: {line}" for line in said), *none, *calm, *_on_change(forgetting.change, much)]


def _is_much(change: Change) -> bool:
    return (change.vanished or 0) > MUCH or (change.agreement is not None and change.agreement < AGREES)


def _on_names(forgetting: Forgetting, listed: int) -> list[str]:
    assert forgetting.truth is not None
    names = forgetting.truth.worse_names()
    lines = [f"{name!r} {_fell(forgetting.truth.names[name])}" for name in names[:listed]]
    if len(names) > listed:
        lines.append(f"{len(names) - listed} more of {len(forgetting.truth.names)} names, listed in report.md")
    return lines


def _fell(difference: Difference) -> str:
    moved = f"fell from {difference.before:.2f} to {difference.after:.2f}"
    return f"{moved} ({_number(difference.pictures, 'picture')})"


def _of_names(difference: Difference) -> str:
    way = "fell" if difference.after < difference.before else "went"
    return f"names that were not trained {way} from IoU {_moved(difference)}"


def _of_absent(difference: Difference) -> str:
    return f"absent phrases that got a mask went from {_moved(difference)}"


def _of_far(difference: Difference) -> str:
    return f"words for things that hardly any picture shows got a mask in {_shares(difference)}"


def _of_known_absent(difference: Difference) -> str:
    return f"names known to be absent from the pictures got a mask in {_shares(difference)}"


def _moved(difference: Difference) -> str:
    luck = "" if difference.low is None else f", difference {difference.low:+.3f} to {difference.high:+.3f}"
    asked = _number(difference.asked, "question")
    return f"{difference.before:.3f} to {difference.after:.3f} ({asked} about {_pictures(difference)}{luck})"


def _shares(difference: Difference) -> str:
    return f"{difference.after:.0%} of the answers, {difference.before:.0%} before ({_pictures(difference)})"


def _on_change(change: Change, much: bool) -> list[str]:
    if change.agreement is None:
        return []
    moved = (
        f"answers to everyday words agree with those before by IoU {change.agreement:.2f}, "
        f"{change.vanished:.0%} of the masks vanished ({_number(change.pictures, 'picture')})"
    )
    if much:
        return [f"Changed much: {moved}; whether that is worse, only pictures with masks can tell: --guard"]
    return [f"Changed, for better or worse: {moved}"]


# --- the page --------------------------------------------------------------------------------------------------------


def page(
    record: Mapping[str, Any], forgetting: Forgetting | None, start: Mapping[str, Any], best: Mapping[str, Any]
) -> str:
    """Return `report.md`.

    Args:
        record: What is in run.json.
        forgetting: What the guard found; None where it was off.
        start: Validation by phrase at the start, `[IoU sum, there, alarms, absent]`; {} where there was none.
        best: The same of the best model.
    """
    parts = [["# Training report"], _trained(record), _validation(record, start, best), _forgetting(forgetting)]
    return "\n".join(line for part in parts for line in (*part, "")).rstrip() + "\n"


def _trained(record: Mapping[str, Any]) -> list[str]:
    recipe, data = record["recipe"], record["data"]
    share = recipe["start_share"]
    mixed = [f"- measured and written with a share of {share:g} of the weights at the start"] if share else []
    left = [f"- left out: {_number(len(record['left_out']), 'thing')} that were wrong"] if record["left_out"] else []
    return [
        f"- recipe `{recipe['name']}`: {record['steps']} steps of {recipe['batch']} pictures, rate {recipe['rate']:g}",
        f"- data: {_number(data['pictures'], 'picture')} of {_cell(data['name'])} ({_cell(data['split'])})",
        f"- start: {_cell(record['model']['start'] or 'the embedded model')}; trained parts: "
        f"{', '.join(recipe['parts'])}",
        *mixed,
        *left,
    ]


def _validation(record: Mapping[str, Any], start: Mapping[str, Any], best: Mapping[str, Any]) -> list[str]:
    lines = ["## Validation", ""]
    if not start or not best:
        return [*lines, "Nothing was measured: there are no pictures for validation."]
    step = record["best"]["step"]
    lines += [f"| | start | best (step {step}) |", "|---|---|---|"]
    before, after = _means(start.values()), _means(best.values())
    lines += [f"| {name} | {before[name]:.3f} | {after[name]:.3f} |" for name in before if name in after]
    if not step:
        return [*lines, "", "No step was better than the model that it started from: best is that model, unchanged."]
    rose, fell = movers(start, best)
    for title, moved in (("Rose most", rose), ("Fell most", fell)):
        if moved:
            lines += ["", f"| {title} | start | best | pictures |", "|---|---|---|---|"]
            lines += [f"| {_cell(name)} | {old:.2f} | {new:.2f} | {number} |" for name, old, new, number in moved]
    return lines


def _means(sums: Iterable[Any]) -> dict[str, float]:
    iou, there, alarms, absent = (sum(values) for values in zip(*sums, strict=True))
    scores = {"mean IoU": iou / there} if there else {}
    return scores | ({"false alarms": alarms / absent} if absent else {})


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


def _forgetting(forgetting: Forgetting | None) -> list[str]:
    lines = ["## Forgetting", ""]
    if forgetting is None:
        return [*lines, "Not measured: the guard was off, or the decoder started from random weights."]
    lines += [f"- {_cell(line)}" for line in sentences(forgetting, listed=NAMES)]
    return [*lines, *_truth_table(forgetting), *_change_table(forgetting.change)]


_HEAD = ["| | before | after | difference, 95 % | questions | pictures |", "|---|---|---|---|---|---|"]


def _truth_table(forgetting: Forgetting) -> list[str]:
    truth = forgetting.truth
    if truth is None:
        return []
    title = f"### With truth: {_cell(truth.path)} ({_cell(truth.split)})"
    rows = {"mean IoU of names that were not trained": truth.iou, "absent phrases that got a mask": truth.alarms}
    lines = ["", title, "", *_HEAD, *_rows(rows)]
    if not truth.names:
        return [*lines, "", "It holds no name that was not trained."]
    ordered = sorted(truth.names, key=lambda name: truth.names[name].after - truth.names[name].before)
    shown = ordered if len(ordered) <= NAMES else [*ordered[: NAMES // 2], *ordered[-NAMES // 2 :]]
    few = "" if shown is ordered else f", the {NAMES // 2} that fell and that rose most"
    lines += [
        "",
        f"IoU of {_number(len(ordered), 'name')}{few} (worse: a fall of more than {NAME_FALL[0]}, or of",
        f"more than {NAME_FALL[1]} that is more than luck; run.json has all):",
    ]
    return [*lines, "", *_HEAD, *_rows({name: truth.names[name] for name in shown})]


def _change_table(change: Change) -> list[str]:
    shares = {
        f"agreement with before (IoU, {change.found} of {change.asked} answers)": change.agreement,
        "of these, vanished": change.vanished,
        "of the others, appeared": change.appeared,
    }
    rows = {"words for things that hardly any picture shows": change.far, "names known to be absent": change.absent}
    words = f"{_number(change.words, 'everyday word')} on {_number(change.pictures, 'picture')}"
    return [
        "",
        f"### Without truth: {words} (change, not quality)",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value:.3f} |" for name, value in shares.items() if value is not None),
        "",
        "Share that got a mask of what should get none:",
        "",
        *_HEAD,
        *_rows(rows),
    ]


def _rows(rows: Mapping[str, Difference | None]) -> list[str]:
    return [
        f"| {_cell(name)} | {row.before:.3f} | {row.after:.3f} | "
        f"{'too few pictures' if row.low is None else f'{row.low:+.3f} to {row.high:+.3f}'} | {row.asked} | "
        f"{row.pictures} |"
        for name, row in rows.items()
        if row is not None
    ]


def _pictures(difference: Difference) -> str:
    return _number(difference.pictures, "picture")


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _cell(text: object) -> str:
    """Names from files, on one line of a table."""
    return " ".join(str(text).replace("|", "\\|").split())
