"""Several models on the same pictures: paired differences with intervals, and the pictures they disagree about most.

Every model is evaluated in a folder of its own inside the run's, resumable like any evaluation. Differences are taken
within pictures, so what makes a picture hard for all models cancels: their intervals are narrower than a look at two
separate intervals suggests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.errors import DataError, quote, sentence
from wordmask.evaluate.labelling import label_counts, statistics
from wordmask.evaluate.records import encoded_json, read_lines
from wordmask.evaluate.report import cell, interval_text, table
from wordmask.evaluate.rows import Rows, over_pictures, score_json
from wordmask.evaluate.run import run
from wordmask.evaluate.scores import DRAWS
from wordmask.formats.files import file_names, write
from wordmask.metrics.binary import binary_scores
from wordmask.metrics.bootstrap import interval, ratio_of_sums
from wordmask.metrics.boundary import agreement

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from wordmask.evaluate.run import Candidate, Evaluation, Watch

__all__ = ["SHOWN", "Disputed", "compare", "comparison_markdown", "disputed", "paired_masks"]

SHOWN = 8
"""Pictures on the page."""

PROMPTS_SHOWN = 3
"""Prompts of each that are drawn."""


@dataclass(frozen=True)
class Disputed:
    """A picture about which models disagree.

    Attributes:
        position: Of the sample in the data set.
        key: Its name.
        labels: Labels of the prompts that they disagree about most, worst first; () where pixels were named.
        places: Their places among the prompts that were judged.
        scores: For every model the IoU of each of these prompts, or the share of pixels named rightly.
    """

    position: int
    key: str
    labels: tuple[str, ...]
    places: tuple[int, ...]
    scores: tuple[tuple[float, ...], ...]


def compare(
    evaluation: Evaluation,
    candidates: Sequence[Candidate],
    folder: Path,
    *,
    command: str,
    commands: Sequence[str],
    watch: Watch | None = None,
) -> dict[str, Any]:
    """Evaluate models on the same pictures and write `comparison.json`, `comparison.md` and `index.html`.

    Args:
        evaluation: On what, and how.
        candidates: At least two; the others are compared with the first.
        folder: Where to.
        command: The command line that does all of it again.
        commands: The command line of each evaluation.
        watch: Shows progress, once per model.

    Returns:
        What `comparison.json` holds.

    Raises:
        WordmaskError: If there are fewer than two different models, or as `run`.
    """
    from wordmask.evaluate.page import write_page

    folders = _folders(candidates, folder)
    results = [
        run(evaluation, candidate, place, command=line, watch=watch)
        for candidate, place, line in zip(candidates, folders, commands, strict=True)
    ]
    read = [[_light(one) for one in read_lines(place / "samples.jsonl", evaluation.count())] for place in folders]
    differences = [_differences(evaluation, read[0], other) for other in read[1:]]
    shown = disputed(read, labels=evaluation.rules.task == "labels")
    content = _content(results, differences, shown, command)
    write(folder / "comparison.json", encoded_json(content))
    write(folder / "comparison.md", comparison_markdown(content).encode())
    write_page(evaluation, candidates, content, shown, folder)
    return content


def _folders(candidates: Sequence[Candidate], folder: Path) -> list[Path]:
    names = [candidate.name for candidate in candidates]
    if len(candidates) < 2 or len({(c.name, c.checksum, c.revision) for c in candidates}) < len(candidates):
        got = f"the models {', '.join(quote(name) for name in names)}" if names else "no model"
        raise DataError(sentence(got, "two or more that differ", "name each model once"))
    stems = [f"{candidate.name}-{(candidate.checksum or '')[:8]}" for candidate in candidates]
    return [folder / "models" / stem for stem in file_names(stems, suffix="")]


def _labels(results: Sequence[dict[str, Any]]) -> list[str]:
    """Return what the models are called here: by name, and where names are alike by what the user called them, too."""
    names = [result["model"]["name"] for result in results]
    return [
        name if names.count(name) == 1 else f"{name} ({result['model']['asked']})"
        for name, result in zip(names, results, strict=True)
    ]


def _light(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record without its histograms, which differences do not need."""
    for row in record.get("rows", ()):
        row.pop("levels", None)
    return record


def _content(
    results: Sequence[dict[str, Any]], differences: Sequence[dict[str, Any]], shown: Sequence[Disputed], command: str
) -> dict[str, Any]:
    first, labels = results[0], _labels(results)
    same = ("title", "source", "benchmark", "preset", "data", "samples", "seed", "versions", "threshold", "headline")
    return {
        **{name: first[name] for name in same},
        "models": [
            {"label": label, "model": result["model"], "scores": result["scores"], "presence": result["presence"],
             "by_size": result["by_size"]}
            for label, result in zip(labels, results, strict=True)
        ],
        "differences": [
            {"model": label, "from": labels[0], "scores": scores}
            for label, scores in zip(labels[1:], differences, strict=True)
        ],
        "disputed": [
            {"key": one.key, "prompts": list(one.labels), "scores": [[round(s, 6) for s in row] for row in one.scores]}
            for one in shown
        ],
        "command": command,
    }  # fmt: skip


# --- differences -----------------------------------------------------------------------------------------------------


def _differences(evaluation: Evaluation, first: list[dict[str, Any]], second: list[dict[str, Any]]) -> dict[str, Any]:
    if evaluation.rules.task == "masks":
        return paired_masks(Rows.of(first), Rows.of(second), seed=evaluation.seed)
    names = evaluation.dataset().names
    return _paired_labels(label_counts(first, len(names)), label_counts(second, len(names)), seed=evaluation.seed)


def paired_masks(first: Rows, second: Rows, *, seed: int = 0, draws: int = DRAWS) -> dict[str, Any]:
    """Return second less first, with intervals, of scores of the things that are there.

    Args:
        first: Of one model.
        second: Of another, the same prompts in the same order.
        seed: Of the intervals.
        draws: Of the intervals.

    Raises:
        DataError: If they are not of the same prompts.
    """
    if first.labels.tolist() != second.labels.tolist() or first.picture.tolist() != second.picture.tolist():
        got = f"{len(first)} and {len(second)} judged prompts that do not match"
        raise DataError(sentence(got, "the same prompts for every model", "start again in an empty folder"))
    there = np.flatnonzero(first.there)
    picture = first.picture[there]
    scores = {}
    for name, (one, other) in _paired_values(first, second, there).items():
        values = np.stack([other - one, np.ones(len(there))], axis=1)
        scores[name] = score_json(
            over_pictures(values, picture, first.pictures, ratio_of_sums((0,), (1,)), draws=draws, seed=seed)
        )
    sums = np.concatenate([_overlap_columns(rows, there) for rows in (first, second)], axis=1)
    scores["oiou"] = score_json(over_pictures(sums, picture, first.pictures, _oiou_difference, draws=draws, seed=seed))
    return {name: score for name, score in scores.items() if score is not None}


def _paired_values(
    first: Rows, second: Rows, there: NDArray[np.int64]
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    one, other = (binary_scores(rows.confusion[there]) for rows in (first, second))
    pairs = {name: (one[name], other[name]) for name in ("iou", "dice", "recall", "precision")}
    narrow = (agreement(first.counts[there, 8:]), agreement(second.counts[there, 8:]))
    return pairs | {"boundary_iou_2px": narrow}


def _overlap_columns(rows: Rows, there: NDArray[np.int64]) -> NDArray[np.int64]:
    counted = rows.confusion[there]
    return np.stack([counted[:, 0], counted[:, :3].sum(axis=1)], axis=1)


def _oiou_difference(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    return ratio_of_sums((2,), (3,))(sums) - ratio_of_sums((0,), (1,))(sums)


def _paired_labels(first: NDArray[np.float64], second: NDArray[np.float64], *, seed: int) -> dict[str, Any]:
    width = first.shape[1]
    known = statistics(np.zeros(width // 3, np.bool_))
    rows = np.concatenate([first, second], axis=1)
    scores = {}
    for name in ("miou", "fwiou", "pixel_accuracy", "mean_accuracy"):
        rule = known[name]
        scores[name] = score_json(
            interval(rows, lambda sums, rule=rule: rule(sums[..., width:]) - rule(sums[..., :width]), seed=seed)  # type: ignore[misc]
        )
    return scores


# --- where they differ -----------------------------------------------------------------------------------------------


def disputed(read: Sequence[list[dict[str, Any]]], *, labels: bool, count: int = SHOWN) -> list[Disputed]:
    """Return the pictures with the greatest spread between models, greatest first.

    Args:
        read: The records of every model, of the same samples.
        labels: Whether pixels were named.
        count: At most so many.
    """
    find = _spread_labels if labels else _spread_masks
    found = [find(place, [records[place] for records in read]) for place in range(len(read[0]))]
    spread = [max((max(s) - min(s) for s in zip(*one.scores, strict=True)), default=0.0) for one in found]
    order = sorted(range(len(found)), key=lambda place: (-spread[place], place))
    return [found[place] for place in order[:count] if spread[place] > 0]


def _spread_masks(position: int, records: Sequence[dict[str, Any]]) -> Disputed:
    ious = np.array([[_iou(row["counts"]) for row in record["rows"]] for record in records])
    rows = records[0]["rows"]
    order = sorted(range(len(rows)), key=lambda place: (-float(np.ptp(ious[:, place])), place))[:PROMPTS_SHOWN]
    scores = tuple(tuple(float(own[place]) for place in order) for own in ious)
    return Disputed(position, records[0]["key"], tuple(rows[p]["label"] for p in order), tuple(order), scores)


def _iou(counts: Sequence[int]) -> float:
    tp, fp, fn = counts[2:5]
    return tp / (tp + fp + fn) if tp + fp + fn else 1.0


def _spread_labels(position: int, records: Sequence[dict[str, Any]]) -> Disputed:
    scores = []
    for record in records:
        total = sum(pixels for _, _, pixels in record["confusion"])
        right = sum(pixels for true, answered, pixels in record["confusion"] if true == answered)
        scores.append((right / total if total else 0.0,))
    return Disputed(position, records[0]["key"], (), (), tuple(scores))


# --- words -----------------------------------------------------------------------------------------------------------


def comparison_markdown(content: dict[str, Any]) -> str:
    """Return what `comparison.json` holds as a page for people."""
    models = content["models"]
    names = [cell(entry["label"]) for entry in models]
    scores = [name for name in models[0]["scores"] if not name.endswith(("_std", "_best_t"))]
    rows = [[name, *(interval_text(entry["scores"].get(name)) for entry in models)] for name in scores]
    for name in ("auroc", "fpr@0.95"):
        if name in models[0]["presence"]:
            rows.append([f"presence {name}", *(interval_text(entry["presence"].get(name)) for entry in models)])
    data = content["data"]
    parts = [
        f"# {content['title']}: {len(models)} models on the same pictures",
        f"{cell(data['name'])} {cell(data['split'])}, {content['samples']} of {data['pictures']} samples, fingerprint "
        f"{data['fingerprint']}; {content['benchmark']}, preset {content['preset']}; seed {content['seed']}. In "
        "percent with 95 % intervals.",
        "## Scores",
        table(["score", *names], rows),
        f"## Differences from {names[0]}",
        "In points, within pictures. An interval that leaves out 0 is a difference that another choice of pictures "
        "would hardly undo.",
        _difference_table(content["differences"]),
    ]
    return "\n\n".join([*parts, "## Again", f"```bash\n{content['command']}\n```"]) + "\n"


def _difference_table(differences: Sequence[dict[str, Any]]) -> str:
    names = list(differences[0]["scores"])
    rows = [[name, *(interval_text(one["scores"].get(name), sign=True) for one in differences)] for name in names]
    return table(["score", *(cell(one["model"]) for one in differences)], rows)
