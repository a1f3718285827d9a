"""The page's tables as markdown, put between its markers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from scripts.experiments.clipseg.modified import MODES
from scripts.experiments.clipseg.orderings import PAPER, PROMPTS
from scripts.experiments.clipseg.results import spread
from scripts.experiments.clipseg.variants import VARIANTS
from wordmask.errors import DataError, sentence
from wordmask.metrics.sizes import SIZES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scripts.experiments.clipseg.intervals import Difference
    from scripts.experiments.clipseg.results import Decided, Scored

NOT_RUN = "not run yet"
SCORES = (("miou_best", "mIoU"), ("miou@0.3", "mIoU at 0.3"), ("iou_fg_best", "IoU_FG"), ("ap", "AP"))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def percent(value: float | None) -> str:
    """Return a fraction in percent with one decimal; a dash for what was not measured."""
    return "–" if value is None else f"{100 * value:.1f}"


def variants_table(found: dict[str, list[Scored]]) -> str:
    """Return every variant's scores: mean over seeds, and the deviation between them for mIoU and AP."""
    header = ["variant", "seeds"]
    for kind in ("text", "visual"):
        header += [f"{kind}: {title}" for _, title in SCORES]
    rows = [_variant_row(name, found.get(name, [])) for name in VARIANTS]
    return table([*header, "paper: text, visual mIoU (its data)"], rows)


def _variant_row(name: str, runs: list[Scored]) -> list[str]:
    text, visual, source = PAPER[name]
    printed = ", ".join("–" if value is None else f"{value}" for value in (text, visual))
    cells = [VARIANTS[name].title, str(len(runs) or NOT_RUN)]
    for kind in ("text", "visual"):
        for score, _ in SCORES:
            mean, deviation = spread(runs, kind, score) if runs else (None, 0.0)
            apart = f" ± {percent(deviation)}" if runs and score in ("miou_best", "ap") else ""
            cells.append(percent(mean) + apart)
    return [*cells, f"{printed} ({source})"]


def orderings_table(decided: Sequence[Decided]) -> str:
    """Return the verdict on each ordering."""
    header = ["the paper's ordering", "paper", "difference in mIoU here", "verdict", "difference in AP here", "verdict"]
    rows = []
    for item in decided:
        printed = item.ordering.paper
        paper = "–" if printed is None else f"{printed[0]} > {printed[1]}"
        cells = [item.ordering.claim, f"{paper} ({item.ordering.source})"]
        for score in ("mIoU", "AP"):
            found = item.differences.get(score)
            cells += ["–", NOT_RUN] if found is None else [interval(found), found.verdict]
        rows.append(cells)
    return table(header, rows)


def interval(found: Difference) -> str:
    """Return a difference in points with its interval."""
    return f"{100 * found.value:+.1f} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"


def prompts_table(record: dict[str, Any] | None) -> str:
    """Return table 2, ours beside the paper's."""
    rows = []
    for name, mode in MODES.items():
        if mode.paper is not None:
            found = None if record is None else record["rows"][name]
            rows.append([mode.title, f"{mode.paper:+.2f}", NOT_RUN if found is None else points(found)])
    return table(["change of the picture", "paper, LVIS", "here"], rows)


def points(found: dict[str, float]) -> str:
    """Return a change of probability, times 100, with its interval."""
    return f"{found['value']:+.2f} [{found['low']:+.2f}, {found['high']:+.2f}]"


def pairs_table(record: dict[str, Any] | None) -> str:
    """Return the verdicts on pairs of table 2."""
    rows = []
    for first, second, claim in PROMPTS:
        printed = (MODES[first].paper or 0.0) - (MODES[second].paper or 0.0)
        found = None if record is None else record["pairs"][f"{first} > {second}"]
        cells = ["–", NOT_RUN] if found is None else [points(found), verdict(found)]
        rows.append([claim, f"{printed:+.2f}", *cells])
    return table(["claim", "paper: difference", "difference here", "verdict"], rows)


def verdict(found: dict[str, float]) -> str:
    """Say whether an interval lies on one side of 0."""
    if found["low"] <= 0 <= found["high"]:
        return "not decided"
    return "holds" if found["low"] > 0 else "does not hold"


def groups_table(found: dict[str, list[Scored]], group: str) -> str:
    """Return mIoU of the main variant by set or by size of the thing."""
    runs = found.get("pc-plus", [])
    if not runs:
        return NOT_RUN
    labels = list(runs[0].scores["text"][group])
    order = [label for label in SIZES if label in labels] if group == "size" else labels
    rows = []
    for label in order:
        number = str(runs[0].scores["text"][group][label]["questions"])
        means = (
            sum(run.scores[kind][group][label]["miou_best"] for run in runs) / len(runs) for kind in ("text", "visual")
        )
        name = f"{label} ({SIZES[label]})" if group == "size" else label
        rows.append([name, number, *(percent(mean) for mean in means)])
    return table([group, "questions", "text: mIoU", "visual: mIoU"], rows)


def towers_table(records: dict[str, dict[str, Any] | None]) -> str:
    """Return how the towers were trained and how well they know a region."""
    rows = []
    for name, record in records.items():
        if record is None:
            rows.append([name, *[NOT_RUN] * 5])
            continue
        plan, valid = record["plan"], record["valid"]
        length = f"{plan['minutes']:g} min" if plan["minutes"] else f"{plan['steps']} steps"
        shown = [str(record["views"]), str(len(record["names"]))]
        scores = f"{percent(valid['top1'])} (chance {percent(valid['chance'])})"
        rows.append([name, length, *shown, f"{record['sizes']['width']} x {record['sizes']['depth']}", scores])
    return table(
        ["tower", "trained for", "views", "names", "width x blocks", "best name right, % of val regions"], rows
    )


def training_note(found: dict[str, list[Scored]]) -> str:
    """Return what the runs have in common, from their own records."""
    runs = [run for several in found.values() for run in several]
    if not runs:
        return NOT_RUN
    recipe, questions = runs[0].recipe, len(runs[0].pictures)
    return (
        f"{len(runs)} runs of {len(found)} variants, {recipe['steps']} steps of {recipe['batch']} pictures at "
        f"{recipe['size']} pixels (precision: {recipe['precision']}); {questions} questions about "
        f"{len(set(runs[0].pictures))} pictures. The same answer everywhere has a mIoU and an AP of "
        f"{percent(whole_picture(runs[0]))}: what lies near it has learned little."
    )


def whole_picture(run: Scored) -> float:
    """Return the mIoU of the answer "everything": the mean share of the picture that is true."""
    totals = run.histograms["text"].sum(axis=2)
    return float((totals[:, 1] / (1 + totals.sum(axis=1))).mean())


def insert(page: str, name: str, content: str) -> str:
    """Return a page with new content between the markers `<!-- begin: NAME -->` and `<!-- end: NAME -->`.

    Raises:
        DataError: If the page has no such markers.
    """
    begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(page):
        raise DataError(sentence(f"a page without {begin}", "both markers", "put them where the table belongs"))
    return pattern.sub(lambda _: f"{begin}\n\n{content}\n\n{end}", page)
