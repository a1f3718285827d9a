"""A comparison as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wordmask.evaluation.report.markdown import again, cell, interval_text, table

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["LOWER_IS_BETTER", "PRESENCE_SHOWN", "comparison_markdown"]

PRESENCE_SHOWN = ("auroc", "fpr@0.95", "absent_with_mask")
"""Scores of presence that a comparison shows."""

LOWER_IS_BETTER = frozenset({"absent_with_mask"})
"""Differences of which a rise is a loss."""


def comparison_markdown(content: dict[str, Any]) -> str:
    """Return the content of `comparison.json` as Markdown."""
    models = content["models"]
    names = [cell(entry["label"]) for entry in models]
    scores = [name for name in models[0]["scores"] if not name.endswith(("_std", "_best_t"))]
    rows = [[name, *(interval_text(entry["scores"].get(name)) for entry in models)] for name in scores]
    for name in PRESENCE_SHOWN:
        if name in models[0]["presence"]:
            rows.append([f"presence {name}", *(interval_text(entry["presence"].get(name)) for entry in models)])
    data = content["data"]
    parts = [
        f"# {content['title']}: {len(models)} models on the same images",
        f"{cell(data['name'])} {cell(data['split'])}, {content['samples']} of {data['images']} samples, fingerprint "
        f"{data['fingerprint']}; {content['benchmark']}, preset {content['preset']}; seed {content['seed']}. In "
        "percent with 95 % intervals.",
        "## Scores",
        table(["score", *names], rows),
        f"## Differences from {names[0]}",
        "In points, within images. An interval that leaves out 0 is a difference that another choice of images "
        "would hardly undo.",
        _difference_table(content["differences"]),
    ]
    return "\n\n".join([*parts, *again(content["command"])]) + "\n"


def _difference_table(differences: Sequence[dict[str, Any]]) -> str:
    names = list(differences[0]["scores"])
    rows = [[name, *(interval_text(one["scores"].get(name), sign=True) for one in differences)] for name in names]
    return table(["score", *(cell(one["model"]) for one in differences)], rows)
