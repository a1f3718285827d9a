"""The task "labels": which name a pixel gets, what is background, and the scores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.evaluation.halves import Halves, Scripted, evaluated
from wordmask.data.sample import UNKNOWN, Sample
from wordmask.errors import DataError
from wordmask.evaluation.benchmarks import TASKS
from wordmask.evaluation.prompting import PromptedModel
from wordmask.evaluation.protocols import EvaluationProtocol
from wordmask.evaluation.runner import Evaluation, run
from wordmask.evaluation.score.labels import label_scores, record_labels
from wordmask.evaluation.score.scores import ScoreOptions
from wordmask.images import RgbImage
from wordmask.metrics.confusion import class_counts, label_map_scores
from wordmask.ops.masks import pack
from wordmask.results import Segmentation


def logit(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))


NAMES = ("background", "cat", "dog")
LABELS = np.array([[0, 0, 1, 1, 2, UNKNOWN]], dtype=np.int32)
SAMPLE = Sample("s", RgbImage(np.zeros((1, 6, 3), np.uint8)), (1, 6), (), labels=LABELS)
MAPS = {
    "background": np.array([[logit(p) for p in (0.3, 0.1, 0.1, 0.3, 0.1, 0.9)]]),
    "a cat": np.array([[logit(p) for p in (0.2, 0.4, 0.8, 0.4, 0.2, 0.5)]]),
    "a hound": np.array([[logit(p) for p in (0.1, 0.2, 0.6, 0.3, 0.4, 0.5)]]),
}
WORDED: dict[str, Any] = {"template": "a {}", "words": {"dog": "hound"}}
BACKGROUND: dict[str, Any] = {**WORDED, "background": "background"}


def confusion(protocol: EvaluationProtocol, names: tuple[str, ...] = NAMES, sample: Sample = SAMPLE) -> list[list[int]]:
    maps = {**MAPS, "a background": MAPS["background"]}
    pairs: list[list[int]] = record_labels(PromptedModel(Scripted(maps), protocol, names), sample)["confusion"]
    return pairs


def test_the_highest_class_wins_and_the_background_is_never_predicted() -> None:
    # Pixels: cat, cat, cat, cat, dog, unknown.
    assert confusion(EvaluationProtocol("labels", (), **BACKGROUND)) == [[0, 1, 2], [1, 1, 2], [2, 2, 1]]


def test_a_background_prompt_counts_three_times() -> None:
    # 0.9 beats 0.2; 0.3 loses to 0.4; 0.3 to 0.8; 0.9 beats 0.4; 0.3 loses to 0.4.
    protocol = EvaluationProtocol("labels", (), background_weight=3.0, **BACKGROUND)
    assert confusion(protocol) == [[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1], [2, 2, 1]]


def test_where_no_class_exceeds_the_threshold_there_is_background() -> None:
    protocol = EvaluationProtocol("labels", (), decline=True, **BACKGROUND)
    assert confusion(protocol) == [[0, 0, 2], [1, 0, 1], [1, 1, 1], [2, 0, 1]]


SHIFTED = replace(SAMPLE, labels=np.where(LABELS == UNKNOWN, UNKNOWN, LABELS - 1).astype(np.int32))
"""The same with cat and dog alone: what was background has no name."""


def test_without_a_background_such_pixels_have_no_name() -> None:
    protocol = EvaluationProtocol("labels", (), decline=True, **WORDED)
    # The last column is "no name"; pixels without a true name are left out.
    assert confusion(protocol, NAMES[1:], SHIFTED) == [[0, 0, 1], [0, 2, 1], [1, 2, 1]]


def test_a_background_beside_the_names_holds_the_pixels_without_a_name() -> None:
    protocol = EvaluationProtocol("labels", (), decline=True, **BACKGROUND)
    # Class 2 is the background: three pixels of no name, two of which are predicted so; 0.5 does not exceed 0.5.
    assert confusion(protocol, NAMES[1:], SHIFTED) == [[0, 0, 1], [0, 2, 1], [1, 2, 1], [2, 2, 3]]


def test_ignored_pixels_are_no_background() -> None:
    protocol = EvaluationProtocol("labels", (), decline=True, **BACKGROUND)
    ignored = pack(np.array([[True, False, False, False, False, True]]))
    sample = replace(SHIFTED, ignored=ignored)
    assert confusion(protocol, NAMES[1:], sample) == [[0, 0, 1], [0, 2, 1], [1, 2, 1], [2, 2, 1]]


class Unsure(Scripted):
    """Presence 0.6, and names that must be more probable than the background in a label map."""

    def segment(self, image: Any, prompts: Any, **options: Any) -> Segmentation:
        answer = super().segment(image, prompts, **options)
        founds = (replace(found, presence=0.6, label_threshold=0.5) for found in answer)
        return replace(answer, founds=tuple(founds))


def test_presence_times_probability_decides_against_the_background() -> None:
    # 5/6 is needed: the third pixel, 0.8 a cat, stays background.
    protocol = EvaluationProtocol("labels", (), decline=True, **BACKGROUND)
    pairs = record_labels(PromptedModel(Unsure(MAPS), protocol, NAMES), SAMPLE)["confusion"]
    assert pairs == [[0, 0, 2], [1, 0, 2], [2, 0, 1]]


def test_a_threshold_of_the_protocol_decides_alone() -> None:
    protocol = EvaluationProtocol("labels", (), decline=True, threshold=0.5, **BACKGROUND)
    pairs = record_labels(PromptedModel(Unsure(MAPS), protocol, NAMES), SAMPLE)["confusion"]
    assert pairs == confusion(protocol)


def test_scores_equal_the_metric_and_have_intervals() -> None:
    random = np.random.default_rng(3)
    matrices = [random.integers(0, 50, (3, 4)) for _ in range(9)]
    records = [{"confusion": [[r, c, int(m[r, c])] for r in range(3) for c in range(4) if m[r, c]]} for m in matrices]
    unseen = np.array([name == "dog" for name in NAMES])
    expected = label_map_scores(class_counts(sum(matrices)), unseen)

    options = ScoreOptions(EvaluationProtocol("labels", ()), NAMES, unseen=frozenset({"dog"}))
    scores = label_scores(records, options).scores

    assert scores.keys() == expected.keys()
    for name, score in scores.items():
        assert score["value"] == pytest.approx(float(expected[name]), abs=1e-6)
        assert score["low"] < score["value"] < score["high"]


def test_a_background_that_no_pixel_has_is_no_class() -> None:
    protocol = EvaluationProtocol("labels", (), background="background", decline=True)
    records = [{"confusion": [[0, 0, 6], [0, 2, 2], [1, 1, 4]]}]  # two pixels of class 0 are predicted as background

    scored = label_scores(records, ScoreOptions(protocol, ("cat", "dog")))

    assert scored.scores["miou"]["value"] == pytest.approx((6 / 8 + 1) / 2)
    assert scored.by_name["background"]["iou"] == {"value": None}


def test_label_maps_are_scored_from_the_outside(tmp_path: Path) -> None:
    result = run(Evaluation(TASKS["labels"], Halves(4)), evaluated(), tmp_path)

    assert result["headline"] == ["miou", "miou_gt", "fwiou", "pixel_accuracy"]
    assert result["scores"]["pixel_accuracy"]["value"] == result["scores"]["miou"]["value"] == 1.0
    assert set(result["by_name"]) == {"dark", "bright", "background"}


def test_samples_without_a_label_map_are_one_sentence(tmp_path: Path) -> None:
    class Unlabelled(Halves):
        def __getitem__(self, index: int) -> Sample:
            return replace(super().__getitem__(index), labels=None)

    with pytest.raises(DataError, match="expected a label map: choose the task masks"):
        run(Evaluation(TASKS["labels"], Unlabelled(1)), evaluated(), tmp_path)
