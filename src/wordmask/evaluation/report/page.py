"""The page of a comparison: one HTML file that needs no network, with its overlays beside it in `images/`."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from wordmask.evaluation.report.comparison import LOWER_IS_BETTER, PRESENCE_SHOWN
from wordmask.evaluation.report.markdown import interval_text, plain_text
from wordmask.evaluation.report.overlays import image_file, write_overlays
from wordmask.formats.files import write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from wordmask.evaluation.disagreements import Disagreement
    from wordmask.evaluation.models import EvaluatedModel
    from wordmask.evaluation.runner import Evaluation

__all__ = ["html_page", "write_page"]

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5c6878; --paper: #fbfaf7; --card: #fff; --line: #dfe3e8;
  --good: #1a7f5a; --bad: #b3402e; --even: #7a8594 }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ebef; --soft: #9aa6b5; --paper: #14181d; --card: #1d2329;
  --line: #333b45; --good: #54c796; --bad: #f08a76; --even: #8f9aa8 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
main { max-width: 76rem; margin: 0 auto; padding: 2rem 1.25rem 4rem }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .4rem } h2 { font-size: 1.2rem; margin: 2.5rem 0 .6rem }
p { margin: .3rem 0; max-width: 62rem } .soft { color: var(--soft) }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: .6rem }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { padding: .45rem .8rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap }
tr:last-child td { border-bottom: 0 } th:first-child, td:first-child { text-align: left }
th { font-weight: 600 } td small { color: var(--soft) }
.better { color: var(--good) } .worse { color: var(--bad) } .even { color: var(--even) }
article { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1rem; margin: 1rem 0 }
article h3 { margin: 0 0 .6rem; font-size: 1rem; overflow-wrap: anywhere }
.row { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 16rem), 1fr)); gap: .9rem }
figure { margin: 0 } img { display: block; width: 100%; height: auto; border-radius: .35rem }
figcaption { font-size: .9rem; margin-top: .35rem } figcaption span { color: var(--soft) }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .8rem; overflow-x: auto }
"""


def write_page(
    evaluation: Evaluation,
    models: Sequence[EvaluatedModel],
    content: dict[str, Any],
    shown: Sequence[Disagreement],
    folder: Path,
) -> Path:
    """Write the overlays of the images shown and the page; return the path of the page."""
    write_overlays(evaluation, models, shown, folder)
    return write(folder / "index.html", html_page(content).encode())


def html_page(content: dict[str, Any]) -> str:
    """Return the content of `comparison.json` as a page; overlays are expected in `images/`."""
    data, models = content["data"], content["models"]
    title = _safe(f"{content['title']}: {len(models)} models on the same images")
    intro = (
        f"{data['name']} {data['split']}, {content['samples']} of {data['images']} samples, fingerprint "
        f"{data['fingerprint']}. Protocol {content['benchmark']}, preset {content['preset']}. Scores in percent "
        "with 95 % intervals over images."
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f'<h1>{title}</h1>\n<p class="soft">{_safe(intro)}</p>\n'
        f"<h2>Scores</h2>\n{_scores(content, first=True)}\n{_differences(content)}\n{_disagreements(content)}\n"
        f"<h2>All other scores</h2>\n{_scores(content, first=False)}\n"
        f"{_repeat(content['command'])}</main>\n</body>\n</html>\n"
    )


def _repeat(command: str | None) -> str:
    return "" if command is None else f"<h2>Repeat</h2>\n<pre>{_safe(command)}</pre>\n"


def _safe(text: object) -> str:
    return escape(plain_text(text), quote=True)


def _table(heads: Sequence[str], rows: Sequence[str]) -> str:
    head = "".join(f'<th scope="col">{_safe(name)}</th>' for name in heads)
    return f'<div class="scroll"><table>\n<tr>{head}</tr>\n' + "\n".join(rows) + "\n</table></div>"


def _score_cell(text: str) -> str:
    value, _, rest = text.partition(" ")
    return f"<td>{_safe(value)}{f' <small>{_safe(rest)}</small>' if rest else ''}</td>"


def _scores(content: dict[str, Any], *, first: bool) -> str:
    """Return the scores of the table's headline, or all others."""
    models = content["models"]
    headline = content["headline"]
    names = [name for name in models[0]["scores"] if not name.endswith(("_std", "_best_t"))]
    chosen = headline if first else [name for name in names if name not in headline]
    rows = [_score_row(name, name, [entry["scores"].get(name) for entry in models]) for name in chosen]
    known = [name for name in PRESENCE_SHOWN if not first and name in models[0]["presence"]]
    rows += [_score_row(f"presence {n}", n, [entry["presence"].get(n) for entry in models]) for n in known]
    return _table(["score", *(entry["label"] for entry in models)], rows)


def _score_row(shown: str, name: str, scores: Sequence[dict[str, Any] | None]) -> str:
    cells = "".join(_score_cell(interval_text(score, name=name)) for score in scores)
    return f"<tr><td>{_safe(shown)}</td>{cells}</tr>"


def _differences(content: dict[str, Any]) -> str:
    differences = content["differences"]
    rows = []
    for name in differences[0]["scores"]:
        cells = "".join(_difference_cell(name, one["scores"].get(name)) for one in differences)
        rows.append(f"<tr><td>{_safe(name)}</td>{cells}</tr>")
    return (
        f'<h2>Differences from {_safe(differences[0]["from"])}</h2>\n<p class="soft">In points, within images. '
        "Coloured where the 95 % interval leaves out 0.</p>\n"
        + _table(["score", *(one["model"] for one in differences)], rows)
    )


def _difference_cell(name: str, score: dict[str, Any] | None) -> str:
    text = interval_text(score, sign=True)
    low, high = (score or {}).get("low"), (score or {}).get("high")
    kind = "even"
    if low is not None and high is not None and not low <= 0 <= high:
        kind = "better" if (low > 0) != (name in LOWER_IS_BETTER) else "worse"
    value, _, rest = text.partition(" ")
    return f'<td><span class="{kind}">{_safe(value)}</span> <small>{_safe(rest)}</small></td>'


def _disagreements(content: dict[str, Any]) -> str:
    if not content["disagreements"]:
        return "<h2>Where they differ most</h2>\n<p>Nowhere: all masks are equally good.</p>"
    cards = [_card(number, one, content["models"]) for number, one in enumerate(content["disagreements"])]
    return "<h2>Where they differ most</h2>\n" + "\n".join(cards)


def _card(number: int, one: dict[str, Any], models: Sequence[dict[str, Any]]) -> str:
    figures = [_figure(image_file(number, None), "ground truth", "")]
    for place, (entry, scores) in enumerate(zip(models, one["scores"], strict=True)):
        if one["prompts"]:
            listed = ", ".join(f"{label} {100 * s:.0f}" for label, s in zip(one["prompts"], scores, strict=True))
            words = f"IoU: {listed}"
        else:
            words = f"{100 * scores[0]:.0f} % of the pixels have the right name"
        figures.append(_figure(image_file(number, place), entry["label"], words))
    return f'<article>\n<h3>{_safe(one["key"])}</h3>\n<div class="row">\n' + "\n".join(figures) + "\n</div>\n</article>"


def _figure(file: str, name: str, words: str) -> str:
    alternative = _safe(f"{name}: {words}" if words else name)
    return (
        f'<figure><img src="{file}" alt="{alternative}"><figcaption>{_safe(name)} <span>{_safe(words)}</span>'
        "</figcaption></figure>"
    )
