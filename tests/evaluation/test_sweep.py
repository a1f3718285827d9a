"""Scores at 49 thresholds against a literal sweep, pixel by pixel, and as means over folds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.evaluation.halves import Halves, Scripted
from tests.metrics.examples import Example, literal_sweep
from wordmask.data.folds import Folds
from wordmask.data.sample import Query, Sample
from wordmask.evaluation.benchmarks import BENCHMARKS
from wordmask.evaluation.prompting import PromptedModel
from wordmask.evaluation.protocols import EvaluationProtocol
from wordmask.evaluation.runner import Evaluation
from wordmask.evaluation.score.masks import record_masks
from wordmask.evaluation.score.rows import Rows
from wordmask.evaluation.score.sweep import sweep_scores
from wordmask.images import RgbImage
from wordmask.metrics import thresholds
from wordmask.ops.masks import pack
from wordmask.prompts import TextPrompt

LABELS = ["cat", "dog", "cat", "cow", "dog", "cat"]


def examples() -> list[Example]:
    """Random maps with their ground truth."""
    random = np.random.default_rng(5)
    made = []
    for place, label in enumerate(LABELS):
        true = random.random((16, 16)) < 0.4
        probability = (0.5 * true + 0.5 * random.random((16, 16))).astype(np.float32)
        made.append(Example(probability > 0.3, true, label, f"k{place}", probability))
    return made


def rows() -> Rows:
    """Return the rows of a model that gives the maps of the examples."""
    protocol = EvaluationProtocol("masks", (), threshold=0.3, sweep=True)
    records = []
    for one in examples():
        clipped = one.probability.clip(1e-6, 1 - 1e-6)
        image = RgbImage(np.zeros((16, 16, 3), np.uint8))
        sample = Sample(one.key, image, (16, 16), (Query(TextPrompt("x"), pack(one.ground_truth), one.label),))
        model = PromptedModel(Scripted({"x": np.log(clipped / (1 - clipped))}), protocol)
        records.append(record_masks(model, sample))
    return Rows.of(records)


def aps(chosen: list[Example]) -> dict[str, float]:
    total = sum(thresholds.histogram(one.probability, one.ground_truth) for one in chosen)
    counts = thresholds.counts(total)
    return {
        "ap": thresholds.ap(counts),
        "ap_2021": thresholds.ap(counts, rule="2021"),
        "step_ap": thresholds.step_ap(total),
    }


@pytest.mark.parametrize("classes", ["label", "key"])
def test_scores_equal_the_literal_sweep(classes: Any) -> None:
    literal = literal_sweep(examples(), by_key=classes == "key")

    scores = sweep_scores(rows(), classes, 0.3, folds=None, draws=20, seed=0)

    expected = aps(examples())
    for name, values in literal.items():
        best = int(np.argmax(values))
        expected |= {f"{name}@0.3": values[14], f"{name}_best": values[best]}
        expected[f"{name}_best_t"] = float(thresholds.THRESHOLDS[best])
    assert scores.keys() == expected.keys()
    for name, score in scores.items():
        assert score["value"] == pytest.approx(expected[name], abs=2e-5), name  # sigmoid of a logit: last bits differ


def test_scores_of_folds_are_means_over_the_folds() -> None:
    folds = {"cat": "a", "dog": "b", "cow": "b"}
    parts = [[one for one in examples() if folds[one.label] == fold] for fold in "ab"]
    expected = []
    for part in parts:
        at = {f"{name}@0.3": values[14] for name, values in literal_sweep(part, by_key=False).items()}
        expected.append(at | aps(part))

    scores = sweep_scores(rows(), "label", 0.3, folds=folds, draws=20, seed=0)

    for name in expected[0]:
        assert scores[name]["value"] == pytest.approx((expected[0][name] + expected[1][name]) / 2, abs=2e-5)


def test_a_data_set_of_folds_is_scored_by_fold() -> None:
    class Fold(Halves):
        def __init__(self, split: str, names: tuple[str, ...]) -> None:
            super().__init__(2)
            self.split, self.names = split, names  # type: ignore[misc]

    folds = Folds([Fold("fold0", ("dark",)), Fold("fold1", ("bright",))])

    assert Evaluation(BENCHMARKS["pascal5i"], folds).options().folds == {"dark": "fold0", "bright": "fold1"}
    assert Evaluation(BENCHMARKS["pascal5i"], Halves(1)).options().folds is None
