"""The task "labels": one name per pixel. Records of samples, and scores with intervals from the records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wordmask.data.sample import UNKNOWN
from wordmask.errors import DataError, quote, sentence
from wordmask.evaluation.resizing import resize_image
from wordmask.evaluation.score.intervals import score_json
from wordmask.evaluation.score.scores import Scores
from wordmask.metrics.bootstrap import interval
from wordmask.metrics.confusion import class_counts, class_ious, confusion_matrix, label_map_scores
from wordmask.prompts import TextPrompt

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from wordmask.contracts import Encoded
    from wordmask.data.sample import Sample
    from wordmask.evaluation.prompting import PromptedModel
    from wordmask.evaluation.protocols import EvaluationProtocol
    from wordmask.evaluation.resizing import Resized
    from wordmask.evaluation.score.scores import ScoreOptions
    from wordmask.results import Found

__all__ = ["class_names", "image_counts", "label_scores", "paired_label_scores", "record_labels"]


def class_names(names: Sequence[str], protocol: EvaluationProtocol) -> tuple[str, ...]:
    """Return the classes of the label maps: the data set's names, and the background where it is none of them."""
    background = protocol.background
    return (*names, background) if background is not None and background not in names else tuple(names)


# --- one sample ------------------------------------------------------------------------------------------------------


def record_labels(model: PromptedModel, sample: Sample) -> dict[str, Any]:
    """Segment a sample and count pixels by true and predicted class: `[true, predicted, pixels]` that occur.

    Raises:
        DataError: If the sample has no label map.
        WordmaskError: If the image cannot be read or the model does not take a prompt.
    """
    classes = class_names(model.names, model.protocol)
    resized = resize_image(sample.image, sample.size, model.protocol.resize)
    ground_truth = resized.ground_truth(_label_map(sample, len(model.names), len(classes)))
    encoded = model.segmenter.encode(resized.image)
    matrix = confusion_matrix(_predicted(model, classes, resized, encoded), ground_truth, len(classes))
    true, predicted = np.nonzero(matrix)
    return {
        "confusion": [[int(t), int(p), int(matrix[t, p])] for t, p in zip(true, predicted, strict=True)],
    }


def _label_map(sample: Sample, names: int, classes: int) -> NDArray[np.int32]:
    """Return int32 `(H, W)`: with a class for the background, pixels of no name are background unless ignored."""
    if sample.labels is None:
        got = f"the sample {quote(sample.key)}, which does not give every pixel one name"
        raise DataError(sentence(got, "a label map", "choose the task masks"))
    labels = sample.labels
    if classes > names:
        labels = np.where(labels == UNKNOWN, np.int32(names), labels)
    return labels if sample.ignored is None else np.where(sample.ignored.full(), np.int32(UNKNOWN), labels)


def _predicted(model: PromptedModel, classes: tuple[str, ...], resized: Resized, encoded: Encoded) -> NDArray[np.int32]:
    """Return int32 `(H, W)`, the name of the highest probability at every pixel, the first among equals."""
    protocol, threshold = model.protocol, model.threshold_in_force
    background = -1 if protocol.background is None else classes.index(protocol.background)
    weight = protocol.background_weight
    asked = [place for place in range(len(classes)) if place != background or weight is not None]
    best: NDArray[np.float32] | None = None
    prompts = [TextPrompt(protocol.phrase(classes[place])) for place in asked]
    for place, found in zip(asked, model.founds(encoded, prompts), strict=True):
        values = resized.probability(found)  # (H, W)
        if best is None:
            best, labels = np.full_like(values, -1), np.full(values.shape, -1, np.int32)
        if protocol.decline:
            values = np.where(_claimed(found, values, threshold), values, np.float32(-1))
        if place == background and weight is not None:
            values = values * np.float32(weight)
        better = values > best
        np.copyto(best, values, where=better)
        np.copyto(labels, np.int32(place), where=better)
    if background >= 0:
        labels[labels < 0] = background
    return labels


def _claimed(found: Found, values: NDArray[np.float32], threshold: float | None) -> NDArray[np.bool_]:
    """Return the pixels above the threshold; none where the presence is below its threshold."""
    if not found.present:
        return np.zeros(values.shape, np.bool_)
    return values > np.float32(found.claim_threshold if threshold is None else threshold)


# --- all samples -----------------------------------------------------------------------------------------------------


def label_scores(records: Iterable[dict[str, Any]], options: ScoreOptions) -> Scores:
    """Compute the scores of the records of all samples, in order."""
    classes = class_names(options.names, options.protocol)
    counts = image_counts(records, classes, len(options.names))
    unseen = np.array([name in options.unseen for name in classes])
    everything = counts.sum(axis=0).reshape(-1, 3)
    values = label_map_scores(everything, unseen)
    scores = {}
    for name, value in values.items():
        scores[name] = score_json(float(value)) or {}
        if len(counts) > 1:
            ends = score_json(_interval(counts, name, unseen, options)) or {}
            scores[name] |= {end: ends[end] for end in ("low", "high")}
    ious = class_ious(everything).tolist()
    by_name = {name: {"iou": score_json(value)} for name, value in zip(classes, ious, strict=True)}
    return Scores(scores, by_name=by_name)


def _interval(counts: NDArray[np.float64], name: str, unseen: NDArray[np.bool_], options: ScoreOptions) -> Any:
    def statistic(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return label_map_scores(sums.reshape(*sums.shape[:-1], -1, 3), unseen)[name]

    return interval(counts, statistic, seed=options.seed, draws=options.draws)


def image_counts(records: Iterable[dict[str, Any]], classes: Sequence[str], names: int) -> NDArray[np.float64]:
    """Return TP, FP, FN of every class of every image, float64 `(N, C * 3)`.

    A background class that no pixel of the data set has counts as no class, so that it is not averaged over.

    Args:
        records: Of all samples.
        classes: See `class_names`.
        names: Number of the data set's own names among them.
    """
    images, number = [], len(classes)
    for record in records:
        matrix = np.zeros((number, number + 1), np.int64)
        for true, predicted, pixels in record["confusion"]:
            matrix[true, predicted] = pixels
        images.append(class_counts(matrix).astype(np.float64))
    counts = np.array(images).reshape(len(images), number, 3)
    if number > names and not counts[:, names:, [0, 2]].any():
        counts[:, names:] = 0
    return counts.reshape(len(images), 3 * number)


def paired_label_scores(first: NDArray[np.float64], second: NDArray[np.float64], *, seed: int) -> dict[str, Any]:
    """Compute second less first, with intervals, of the counts of two models on the same images."""
    width = first.shape[1]
    rows = np.concatenate([first, second], axis=1)
    scores = {}
    for name in ("miou", "fwiou", "pixel_accuracy", "mean_accuracy"):

        def difference(sums: NDArray[np.float64], name: str = name) -> NDArray[np.float64]:
            halves = (sums[..., :width], sums[..., width:])
            values = [label_map_scores(half.reshape(*half.shape[:-1], -1, 3))[name] for half in halves]
            return values[1] - values[0]

        scores[name] = score_json(interval(rows, difference, seed=seed))
    return scores
