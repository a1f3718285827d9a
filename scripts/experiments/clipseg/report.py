"""Write the page's tables and figures from what was measured.

    python -m scripts.experiments.clipseg.report --results runs/clipseg --docs docs/experiments

What was not run stays "not run yet"; no number comes from anywhere but the records.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from scripts.experiments.clipseg import plot, tables
from scripts.experiments.clipseg.intervals import DRAWS
from scripts.experiments.clipseg.results import decide_all, read_record, read_scores
from wordmask.formats.files import write

PAGE = "clipseg.md"
FIGURES = {
    "variants": "mIoU of every variant, asked in words and by examples",
    "orderings": "Differences in mIoU with their intervals",
    "prompts": "Change of the probability of what is meant, by change of the picture",
    "sizes": "mIoU by the size of the thing",
}


def report(results: Path, docs: Path, *, draws: int = DRAWS) -> dict[str, str]:
    """Write the page and its figures; return its tables by name.

    Args:
        results: Folder with `scores/`, `prompts.json`, `clip/tower.json` and `vit/tower.json`, as far as they exist.
        docs: Folder of the page.
        draws: Resampled values of each interval.

    Raises:
        DataError: If the page lacks a marker.
    """
    found, prompts = read_scores(results / "scores"), read_record(results / "prompts.json")
    decided = decide_all(found, draws=draws)
    towers = {name: read_record(results / name / "tower.json") for name in ("clip", "vit")}
    fragments = {
        "towers": tables.towers_table(towers), "training": tables.training_note(found),
        "variants": tables.variants_table(found), "orderings": tables.orderings_table(decided),
        "sets": tables.groups_table(found, "set"), "sizes": tables.groups_table(found, "size"),
        "prompts": tables.prompts_table(prompts), "pairs": tables.pairs_table(prompts),
    }  # fmt: skip
    figures = docs / "clipseg"
    drawn = []
    if found:
        plot.variants_figure(found, figures / "variants.svg")
        plot.sizes_figure(found, figures / "sizes.svg")
        drawn += ["variants", "sizes"]
    if any(item.differences for item in decided):
        plot.orderings_figure(decided, figures / "orderings.svg")
        drawn.append("orderings")
    if prompts is not None:
        plot.prompts_figure(prompts, figures / "prompts.svg")
        drawn.append("prompts")
    for name, title in FIGURES.items():
        fragments[f"figure-{name}"] = f"![{title}](clipseg/{name}.svg)" if name in drawn else tables.NOT_RUN
    page = (docs / PAGE).read_text(encoding="utf-8")
    for name, content in fragments.items():
        page = tables.insert(page, name, content)
    write(docs / PAGE, page.encode())
    return fragments


def main() -> None:
    """Read the command line and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--docs", type=Path, default=Path("docs/experiments"))
    arguments = parser.parse_args()
    fragments = report(arguments.results, arguments.docs)
    print(fragments["orderings"])


if __name__ == "__main__":
    main()
