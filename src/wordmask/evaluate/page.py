"""The page of a comparison: one HTML file that needs no network, with its overlays beside it in `pictures/`."""

from __future__ import annotations

import io
from dataclasses import replace
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.evaluate.fitting import boxed_mask, fit, fit_prompt
from wordmask.evaluate.judging import Judge
from wordmask.evaluate.report import interval_text, plain_text
from wordmask.formats.files import write
from wordmask.ops.geometry import squash
from wordmask.prompts import TextPrompt
from wordmask.results import Found, MaskLogits, Segmentation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image

    from wordmask.data.sample import Query, Sample
    from wordmask.evaluate.compare import Disputed
    from wordmask.evaluate.fitting import Fitting
    from wordmask.evaluate.run import Candidate, Evaluation

__all__ = ["html_page", "write_page"]

WIDEST = 640
"""Pixels of an overlay's longer side."""

_SURE = 20.0  # logit of a truth: far beyond any threshold

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
    candidates: Sequence[Candidate],
    content: dict[str, Any],
    shown: Sequence[Disputed],
    folder: Path,
) -> Path:
    """Draw the overlays, one model after the other, write the page and return its path."""
    data = evaluation.dataset()
    samples = [data[one.position] for one in shown]
    for number, overlay in enumerate(_truths(evaluation, samples, shown)):
        _save(overlay, folder / _file(number, None))
    for place, candidate in enumerate(candidates):
        judge = Judge(candidate.load(), evaluation.rules, data.names, evaluation.threshold)
        for number, (sample, one) in enumerate(zip(samples, shown, strict=True)):
            _save(_answer(judge, sample, one), folder / _file(number, place))
    return write(folder / "index.html", html_page(content).encode())


def _file(number: int, model: int | None) -> str:
    return f"pictures/{number + 1}-{'truth' if model is None else f'model-{model + 1}'}.png"


# --- overlays --------------------------------------------------------------------------------------------------------


def _queries(judge: Judge, sample: Sample, one: Disputed) -> list[Query]:
    """Return the prompts to draw: those disputed, or the largest things where pixels were named."""
    if one.places:
        asked = judge.asked(sample)
        return [asked[place][0] for place in one.places]
    largest = sorted(sample.queries, key=lambda query: -query.packed.area)[:3]
    return [replace(query, prompt=TextPrompt(judge.rules.phrase(query.label))) for query in largest]


def _answer(judge: Judge, sample: Sample, one: Disputed) -> Image.Image:
    fitting = fit(sample.image, sample.size, judge.rules.resize)
    prompts = [fit_prompt(query.prompt, judge.rules.resize) for query in _queries(judge, sample, one)]
    if not prompts:
        return Segmentation(fitting.picture.size, (), fitting.picture, "").overlay()
    encoded = judge.segmenter.encode(fitting.picture)
    limit = None if judge.rules.threshold is None else 0.0  # scored by the threshold alone, so drawn so
    answer = judge.segmenter.segment(encoded, prompts, threshold=judge.level, presence_threshold=limit)
    return answer.overlay(fitting.picture)


def _truths(evaluation: Evaluation, samples: Sequence[Sample], shown: Sequence[Disputed]) -> Iterator[Image.Image]:
    judge = Judge(_Nobody(), evaluation.rules)  # type: ignore[arg-type]  # it is asked nothing here
    for sample, one in zip(samples, shown, strict=True):
        fitting = fit(sample.image, sample.size, evaluation.rules.resize)
        size = fitting.picture.size
        founds = tuple(_true(query, fitting, size) for query in _queries(judge, sample, one))
        yield Segmentation(size, founds, fitting.picture, "truth").overlay()


class _Nobody:
    """Stands where a model would."""


def _true(query: Query, fitting: Fitting, size: tuple[int, int]) -> Found:
    """Return a truth as if it had been found."""
    mask = _shown_truth(query.mask, fitting)
    logits = np.where(mask, np.float32(_SURE), np.float32(-_SURE))
    dense = MaskLogits(logits, squash(size, size))
    return Found(
        query.prompt,
        float(mask.any()),
        threshold=0.5,
        presence_threshold=0.5,
        size=size,
        heatmap_logits=dense,
    )


def _shown_truth(mask: NDArray[np.bool_], fitting: Fitting) -> NDArray[np.bool_]:
    if fitting.resize != "letterbox352":
        return np.asarray(fitting.truth(mask))
    return boxed_mask(mask)


def _save(overlay: Image.Image, path: Path) -> None:
    overlay.thumbnail((WIDEST, WIDEST))
    buffer = io.BytesIO()
    overlay.save(buffer, "PNG", optimize=True)
    write(path, buffer.getvalue())


# --- the page --------------------------------------------------------------------------------------------------------


def html_page(content: dict[str, Any]) -> str:
    """Return what `comparison.json` holds as a page; pictures are expected in `pictures/`."""
    data, models = content["data"], content["models"]
    title = _safe(f"{content['title']}: {len(models)} models on the same pictures")
    intro = (
        f"{data['name']} {data['split']}, {content['samples']} of {data['pictures']} samples, fingerprint "
        f"{data['fingerprint']}. Protocol {content['benchmark']}, preset {content['preset']}. Scores in percent "
        "with 95 % intervals over pictures."
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f'<h1>{title}</h1>\n<p class="soft">{_safe(intro)}</p>\n'
        f"<h2>Scores</h2>\n{_scores(content, first=True)}\n{_differences(content)}\n{_disputes(content)}\n"
        f"<h2>All other scores</h2>\n{_scores(content, first=False)}\n"
        f"<h2>Again</h2>\n<pre>{_safe(content['command'])}</pre>\n</main>\n</body>\n</html>\n"
    )


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
    known = [name for name in ("auroc", "fpr@0.95") if not first and name in models[0]["presence"]]
    rows += [_score_row(f"presence {n}", n, [entry["presence"].get(n) for entry in models]) for n in known]
    return _table(["score", *(entry["label"] for entry in models)], rows)


def _score_row(shown: str, name: str, scores: Sequence[dict[str, Any] | None]) -> str:
    cells = "".join(_score_cell(interval_text(score, name=name)) for score in scores)
    return f"<tr><td>{_safe(shown)}</td>{cells}</tr>"


def _differences(content: dict[str, Any]) -> str:
    differences = content["differences"]
    rows = []
    for name in differences[0]["scores"]:
        cells = "".join(_difference_cell(one["scores"].get(name)) for one in differences)
        rows.append(f"<tr><td>{_safe(name)}</td>{cells}</tr>")
    return (
        f'<h2>Differences from {_safe(differences[0]["from"])}</h2>\n<p class="soft">In points, within pictures. '
        "Coloured where the 95 % interval leaves out 0.</p>\n"
        + _table(["score", *(one["model"] for one in differences)], rows)
    )


def _difference_cell(score: dict[str, Any] | None) -> str:
    text = interval_text(score, sign=True)
    low, high = (score or {}).get("low"), (score or {}).get("high")
    kind = "even" if low is None or high is None or low <= 0 <= high else "better" if low > 0 else "worse"
    value, _, rest = text.partition(" ")
    return f'<td><span class="{kind}">{_safe(value)}</span> <small>{_safe(rest)}</small></td>'


def _disputes(content: dict[str, Any]) -> str:
    if not content["disputed"]:
        return "<h2>Where they differ most</h2>\n<p>Nowhere: all answers are equally good.</p>"
    cards = [_card(number, one, content["models"]) for number, one in enumerate(content["disputed"])]
    return "<h2>Where they differ most</h2>\n" + "\n".join(cards)


def _card(number: int, one: dict[str, Any], models: Sequence[dict[str, Any]]) -> str:
    figures = [_figure(_file(number, None), "truth", "")]
    for place, (entry, scores) in enumerate(zip(models, one["scores"], strict=True)):
        if one["prompts"]:
            said = ", ".join(f"{label} {100 * s:.0f}" for label, s in zip(one["prompts"], scores, strict=True))
            words = f"IoU: {said}"
        else:
            words = f"{100 * scores[0]:.0f} % of the pixels named rightly"
        figures.append(_figure(_file(number, place), entry["label"], words))
    return f'<article>\n<h3>{_safe(one["key"])}</h3>\n<div class="row">\n' + "\n".join(figures) + "\n</div>\n</article>"


def _figure(file: str, name: str, words: str) -> str:
    alternative = _safe(f"{name}: {words}" if words else name)
    return (
        f'<figure><img src="{file}" alt="{alternative}"><figcaption>{_safe(name)} <span>{_safe(words)}</span>'
        "</figcaption></figure>"
    )
