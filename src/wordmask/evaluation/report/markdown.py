"""A result as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wordmask.metrics.sizes import SIZES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["again", "cell", "failed_lines", "interval_text", "plain_text", "result_markdown", "table"]

_PLAIN = ("_t", "candidates")
"""Ends of the names of scores that are thresholds or numbers, not fractions."""


_FAILED_SHOWN = 10
"""Samples that could not be read, of which a page tells."""

_BREAKDOWN = (
    "iou",
    "dice",
    "recall",
    "boundary_iou_2px",
    "ap",
    "ar",
    "r50",
    "r75",
    "mean_best_iou",
    "oracle_gap",
    "found",
    "inside_boxes",
)
"""Scores shown by size and by name."""


def result_markdown(result: Mapping[str, Any]) -> str:
    """Return the content of `result.json` as Markdown; fractions in percent with their 95 % intervals."""
    parts = [f"# {result['title']}", _facts(result), "## Scores", _score_table(result)]
    if result["presence"]:
        parts += ["## Presence", _presence(result["presence"])]
    if result["by_size"]:
        parts += ["## By size of the target", _breakdown(result["by_size"], "target", SIZES)]
    if result["by_name"]:
        parts += ["## By name", _breakdown(result["by_name"], "name", {})]
    if result.get("failed"):
        parts += ["## Left out", "\n".join(failed_lines(result["failed"]))]
    return "\n\n".join([*parts, *again(result["command"])]) + "\n"


def failed_lines(failed: Sequence[Mapping[str, str]]) -> list[str]:
    """Return one line for each of the first samples that could not be read, and how many more there are."""
    lines = [f"- {cell(one['key'])}: {plain_text(one['error'])}" for one in failed[:_FAILED_SHOWN]]
    more = len(failed) - _FAILED_SHOWN
    return [*lines, f"- and {more} more"] if more > 0 else lines


def again(command: str | None) -> list[str]:
    """Return the section with the command that repeats a run; [] where there is none."""
    return [] if command is None else ["## Repeat", f"```bash\n{command}\n```"]


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table; the first column is words, the others numbers."""
    lines = [heads, ["---", *["--:"] * (len(heads) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def cell(text: object) -> str:
    """Return text that stays within a cell of a Markdown table, on one line."""
    return " ".join(plain_text(text).split()).replace("|", "\\|").replace("`", "'")


def plain_text(text: object) -> str:
    """Return text without the characters that a terminal or browser would interpret."""
    return "".join(character if character.isprintable() else " " for character in str(text))


def interval_text(score: Mapping[str, Any] | None, *, name: str = "", sign: bool = False) -> str:
    """Return `43.4 [42.1, 44.6]` in percent; empty for no value."""
    if not score or score.get("value") is None:
        return ""
    if name.endswith(_PLAIN):
        return f"{score['value']:g}"
    form = "{:+.1f}" if sign else "{:.1f}"
    value = form.format(100 * score["value"])
    if score.get("low") is None:
        return value
    return f"{value} [{form.format(100 * score['low'])}, {form.format(100 * score['high'])}]"


def _facts(result: Mapping[str, Any]) -> str:
    model, data, protocol = result["model"], result["data"], result["protocol"]
    threshold = "the model's own" if result["threshold"] is None else f"{result['threshold']:g}"
    facts = {
        "protocol": f"{result['benchmark']}, preset {result['preset']} ({result['source']})",
        "task": protocol["task"],
        "note": protocol["note"],
        "data": f"{data['name']} {data['split']}, {result['samples']} of {data['images']} samples, "
        f"fingerprint {data['fingerprint']}",
        "model": f"{model['name']} ({model['asked']}), checksum {model['checksum']}"
        + (f", revision {model['revision']}" if model["revision"] else ""),
        "run on": f"{model['device']}, {model['dtype']}",
        "size of comparison": protocol["resize"],
        "threshold": threshold,
        "template": protocol["template"],
        "seed": str(result["seed"]),
        "versions": ", ".join(f"{name} {version}" for name, version in result["versions"].items()),
    }
    return "\n".join(f"- {name}: {cell(value)}" for name, value in facts.items() if value)


def _score_table(result: Mapping[str, Any]) -> str:
    first = [name for name in result["headline"] if name in result["scores"]]
    rest = [name for name in result["scores"] if name not in first and not name.endswith("_std")]
    rows = [_score_row(name, result["scores"], bold=name in first) for name in [*first, *rest]]
    return table(("score", "%  [95 % interval]"), rows)


def _score_row(name: str, scores: Mapping[str, Any], *, bold: bool) -> tuple[str, str]:
    text = interval_text(scores[name], name=name)
    spread = scores.get(f"{name}_std")
    if spread and spread.get("value") is not None:
        text += f" ± {100 * spread['value']:.1f}"
    return (f"**{name}**", f"**{text}**") if bold and text else (name, text)


def _presence(presence: Mapping[str, Any]) -> str:
    rows = [(name, interval_text(score)) for name, score in presence.items() if isinstance(score, dict)]
    intro = f"{presence['present']} prompts for things that are in the image, {presence['absent']} for absent ones."
    return f"{intro}\n\n{table(('score', '%  [95 % interval]'), rows)}"


def _breakdown(parts: Mapping[str, Any], head: str, words: Mapping[str, str]) -> str:
    names = [name for name in _BREAKDOWN if any(name in part for part in parts.values())]
    counted = next((unit for unit in ("prompts", "targets") if any(unit in part for part in parts.values())), None)
    rows = [
        [
            cell(f"{label} ({words[label]})" if label in words else label),
            *([str(part[counted])] if counted else []),
            *(interval_text(part.get(name)) for name in names),
        ]
        for label, part in parts.items()
    ]
    return table([head, *([counted] if counted else []), *names], rows)
