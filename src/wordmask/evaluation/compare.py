"""Comparing models on the same images: paired differences with intervals, and the images they disagree about most.

Every model is evaluated in a folder of its own inside the run's, resumable like any evaluation. Differences are taken
within images, so what makes an image hard for all models cancels: their intervals are narrower than two separate
intervals suggest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.errors import DataError, quote, sentence
from wordmask.evaluation.disagreements import find_disagreements
from wordmask.evaluation.records import encoded_json, read_lines
from wordmask.evaluation.report.comparison import comparison_markdown
from wordmask.evaluation.report.page import write_page
from wordmask.evaluation.runner import run
from wordmask.evaluation.score.intervals import mean_over_images, over_images, score_json
from wordmask.evaluation.score.labels import class_names, image_counts, paired_label_scores
from wordmask.evaluation.score.rows import Rows
from wordmask.evaluation.score.scores import DRAWS
from wordmask.formats.files import file_names, write
from wordmask.metrics.binary import binary_scores
from wordmask.metrics.bootstrap import ratio_of_sums
from wordmask.metrics.overlap import ious

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from wordmask.evaluation.disagreements import Disagreement
    from wordmask.evaluation.models import EvaluatedModel
    from wordmask.evaluation.runner import Evaluation, Watch

__all__ = ["compare", "paired_masks"]


def compare(
    evaluation: Evaluation,
    models: Sequence[EvaluatedModel],
    folder: Path,
    *,
    command: str | None = None,
    commands: Sequence[str | None] | None = None,
    watch: Watch | None = None,
) -> dict[str, Any]:
    """Evaluate models on the same images and write `comparison.json`, `comparison.md` and `index.html`.

    Args:
        evaluation: Data and protocol, of the task masks or labels.
        models: At least two; the others are compared with the first.
        folder: Where to.
        command: The command line that repeats all of it; None where there is none.
        commands: The command line of each evaluation.
        watch: Shows progress, once per model.

    Returns:
        The content of `comparison.json`.

    Raises:
        WordmaskError: If there are fewer than two different models, the task is another, or as `run`.
    """
    task = evaluation.protocol.task
    if task not in ("masks", "labels"):
        got = f"a comparison by the task {task}"
        raise DataError(sentence(got, "masks or labels", f"run wordmask evaluate --task {task} for each model"))
    folders = _folders(models, folder)
    results = [
        run(evaluation, model, place, command=line, watch=watch)
        for model, place, line in zip(models, folders, commands or [None] * len(models), strict=True)
    ]
    records = _common([[_light(one) for one in read_lines(p / "samples.jsonl", evaluation.count)] for p in folders])
    differences = [_differences(evaluation, records[0], other) for other in records[1:]]
    shown = find_disagreements(records, labels=task == "labels")
    content = _content(results, differences, shown, command)
    write(folder / "comparison.json", encoded_json(content))
    write(folder / "comparison.md", comparison_markdown(content).encode())
    write_page(evaluation, models, content, shown, folder)
    return content


def _common(records: list[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
    """Return the records of the samples that no model failed at."""
    whole = [all("failed" not in one for one in same) for same in zip(*records, strict=True)]
    return [[one for one, is_whole in zip(own, whole, strict=True) if is_whole] for own in records]


def _folders(models: Sequence[EvaluatedModel], folder: Path) -> list[Path]:
    names = [model.name for model in models]
    if len(models) < 2 or len({(m.name, m.checksum, m.revision) for m in models}) < len(models):
        got = f"the models {', '.join(quote(name) for name in names)}" if names else "no model"
        again = "name each model once (run/best is the start of a run that found nothing better: use run/last)"
        raise DataError(sentence(got, "two or more that differ", again))
    stems = [f"{model.name}-{(model.checksum or '')[:8]}" for model in models]
    return [folder / "models" / stem for stem in file_names(stems, suffix="")]


def _labels(results: Sequence[dict[str, Any]]) -> list[str]:
    """Return what the user called the models; where those are equal, with the names that the models have."""
    asked = [result["model"]["asked"] for result in results]
    return [
        called if asked.count(called) == 1 else f"{called} ({result['model']['name']})"
        for called, result in zip(asked, results, strict=True)
    ]


def _light(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record without its histograms, which differences do not need."""
    for row in record.get("rows", ()):
        row.pop("histogram", None)
    return record


def _content(
    results: Sequence[dict[str, Any]],
    differences: Sequence[dict[str, Any]],
    shown: Sequence[Disagreement],
    command: str | None,
) -> dict[str, Any]:
    first, labels = results[0], _labels(results)
    same = ("title", "source", "benchmark", "preset", "data", "samples", "seed", "versions", "threshold", "headline")
    return {
        **{name: first[name] for name in same},
        **next(({"failed": one["failed"]} for one in results if "failed" in one), {}),
        "models": [
            {"label": label, "model": result["model"], "scores": result["scores"], "presence": result["presence"],
             "by_size": result["by_size"]}
            for label, result in zip(labels, results, strict=True)
        ],
        "differences": [
            {"model": label, "from": labels[0], "scores": scores}
            for label, scores in zip(labels[1:], differences, strict=True)
        ],
        "disagreements": [
            {"key": one.key, "prompts": list(one.labels), "scores": [[round(s, 6) for s in row] for row in one.scores]}
            for one in shown
        ],
        "command": command,
    }  # fmt: skip


# --- differences -----------------------------------------------------------------------------------------------------


def _differences(evaluation: Evaluation, first: list[dict[str, Any]], second: list[dict[str, Any]]) -> dict[str, Any]:
    if evaluation.protocol.task == "masks":
        return paired_masks(Rows.of(first), Rows.of(second), seed=evaluation.seed)
    names = evaluation.data.names
    classes = class_names(names, evaluation.protocol)
    counts = [image_counts(records, classes, len(names)) for records in (first, second)]
    return paired_label_scores(counts[0], counts[1], seed=evaluation.seed)


def paired_masks(first: Rows, second: Rows, *, seed: int = 0, draws: int = DRAWS) -> dict[str, Any]:
    """Compute second less first, with intervals, of scores of the things that are present and of false positives.

    Args:
        first: Of one model.
        second: Of another, the same prompts in the same order.
        seed: Of the intervals.
        draws: Of the intervals.

    Raises:
        DataError: If they are not of the same prompts.
    """
    if first.labels.tolist() != second.labels.tolist() or first.image.tolist() != second.image.tolist():
        got = f"{len(first)} and {len(second)} prompts that do not match"
        raise DataError(sentence(got, "the same prompts for every model", "start again in an empty folder"))
    present = np.flatnonzero(first.present)
    image = first.image[present]
    scores = {
        name: mean_over_images(other - one, image, first.images, draws=draws, seed=seed)
        for name, (one, other) in _paired_values(first, second, present).items()
    }
    sums = np.concatenate([first.overlaps[present], second.overlaps[present]], axis=1)
    scores["oiou"] = score_json(over_images(sums, image, first.images, _oiou_difference, draws=draws, seed=seed))
    absent = ~first.present
    more = (second.masked[absent].astype(np.int64) - first.masked[absent]).astype(np.float64)
    scores["absent_with_mask"] = mean_over_images(more, first.image[absent], first.images, draws=draws, seed=seed)
    return {name: score for name, score in scores.items() if score is not None}


def _paired_values(
    first: Rows, second: Rows, present: NDArray[np.int64]
) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    one, other = (binary_scores(rows.confusion[present]) for rows in (first, second))
    pairs = {name: (one[name], other[name]) for name in ("iou", "dice", "recall", "precision")}
    narrow = (ious(first.counts[present, 8:], empty=1.0), ious(second.counts[present, 8:], empty=1.0))
    return pairs | {"boundary_iou_2px": narrow}


def _oiou_difference(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    return ratio_of_sums((2,), (3,))(sums) - ratio_of_sums((0,), (1,))(sums)
