"""The page's figures, as SVG. Needs matplotlib, which nothing else of the project does."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from scripts.experiments.clipseg.modified import MODES
from scripts.experiments.clipseg.results import spread
from scripts.experiments.clipseg.tables import whole_picture
from scripts.experiments.clipseg.variants import VARIANTS
from wordmask.errors import MissingExtraError, sentence
from wordmask.formats.files import write
from wordmask.metrics.sizes import SIZES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scripts.experiments.clipseg.results import Decided, Scored

COLOURS = {"text": "#3566a8", "visual": "#d07a28", "paper": "#9a9a9a"}
VERDICTS = {"holds": "#2f8a4c", "does not hold": "#b83a3a", "not decided": "#808080"}


def variants_figure(found: dict[str, list[Scored]], path: Path) -> Path:
    """Draw every variant's average precision, a point for each seed, and that of the same answer everywhere."""
    names = [name for name in VARIANTS if name in found]
    nothing = whole_picture(found[names[0]][0])
    figure, axes = _figure(2, 0.38 * len(names) + 1.2)
    for axis, kind in zip(axes, ("text", "visual"), strict=True):
        for row, name in enumerate(names):
            mean, _ = spread(found[name], kind, "ap")
            axis.barh(row, 100 * mean, height=0.6, color=COLOURS[kind], alpha=0.55)
            seeds = [100 * run.scores[kind]["all"]["ap"] for run in found[name]]
            axis.plot(seeds, [row] * len(seeds), "o", color=COLOURS[kind], markersize=3.5)
        axis.axvline(100 * nothing, color=COLOURS["paper"], linewidth=1, linestyle="--")
        axis.set_yticks(range(len(names)), [VARIANTS[name].title for name in names])
        axis.set_title(f"asked {'in words' if kind == 'text' else 'by examples'}", fontsize=9)
        axis.set_xlabel("average precision, % (dashed: the same answer everywhere)", fontsize=8)
    axes[0].invert_yaxis()  # the axes share it
    return _save(figure, path)


def orderings_figure(decided: Sequence[Decided], path: Path) -> Path:
    """Draw the difference of each ordering in both scores with its interval, beside the paper's in mIoU."""
    measured = [item for item in decided if item.differences]
    figure, axes = _figure(2, 0.32 * len(measured) + 1.1)
    for axis, score in zip(axes, ("mIoU", "AP"), strict=True):
        for row, item in enumerate(measured):
            found = item.differences[score]
            colour = VERDICTS[found.verdict]
            axis.plot([100 * found.low, 100 * found.high], [row, row], "-", color=colour, linewidth=2)
            axis.plot([100 * found.value], [row], "o", color=colour, markersize=5)
            paper = item.ordering.paper
            if paper is not None and score == "mIoU":
                axis.plot([paper[0] - paper[1]], [row], "D", color=COLOURS["paper"], markersize=4)
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set_yticks(range(len(measured)), [item.ordering.claim for item in measured])
        paper_too = " (grey: the paper)" if score == "mIoU" else ""
        axis.set_xlabel(f"difference in {score}, points{paper_too}", fontsize=8)
    axes[0].invert_yaxis()  # the axes share it
    return _save(figure, path)


def prompts_figure(record: dict[str, Any], path: Path) -> Path:
    """Draw table 2, ours beside the paper's."""
    names = [name for name in MODES if name in record["rows"]]
    figure, (axis,) = _figure(1, 0.32 * len(names) + 1.1)
    for row, name in enumerate(names):
        found = record["rows"][name]
        axis.barh(row, found["value"], height=0.6, color=COLOURS["visual"], alpha=0.6)
        axis.plot([found["low"], found["high"]], [row, row], "-", color=COLOURS["visual"], linewidth=2)
        axis.plot([MODES[name].paper], [row], "D", color=COLOURS["paper"], markersize=4.5)
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set_yticks(range(len(names)), [MODES[name].title for name in names])
    axis.set_xlabel("change of the probability of what is meant, x 100 (grey: the paper, LVIS)", fontsize=8)
    axis.invert_yaxis()
    return _save(figure, path)


def sizes_figure(found: dict[str, list[Scored]], path: Path) -> Path:
    """Draw average precision of the main variants by the size of the thing."""
    figure, axes = _figure(2, 2.6)
    for axis, kind in zip(axes, ("text", "visual"), strict=True):
        for name in (name for name in ("pc-plus", "pc", "deconv", "vitseg", "refined") if name in found):
            groups = [run.scores[kind]["size"] for run in found[name]]
            labels = [label for label in SIZES if label in groups[0]]
            means = [100 * np.mean([group[label]["ap"] for group in groups]) for label in labels]
            axis.plot(labels, means, "o-", markersize=3, label=VARIANTS[name].title)
        axis.set_title(f"asked {'in words' if kind == 'text' else 'by examples'}", fontsize=9)
        axis.set_ylabel("average precision, %", fontsize=8)
    axes[0].legend(fontsize=7, frameon=False)
    return _save(figure, path)


def _figure(columns: int, height: float) -> tuple[Any, Any]:
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(sentence("figures to draw", "matplotlib", "run `pip install matplotlib`")) from error
    matplotlib.rcParams["svg.hashsalt"] = "wordmask"  # the same figure gives the same file
    figure = Figure(figsize=(9, height), layout="constrained")
    axes = figure.subplots(1, columns, squeeze=False, sharey=columns > 1)[0]
    for axis in axes:
        axis.tick_params(labelsize=8)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    return figure, axes


def _save(figure: Any, path: Path) -> Path:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return write(path, buffer.getvalue())
