"""Thresholds with a bound, the riskiest images, corrections that come back."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom
from typer.testing import CliRunner

from tests.annotate.test_exports import SIZE, journal_of, shapes
from tests.fakes import BrightnessSegmenter
from wordmask.annotate.calibration import Evidence, fit, fit_all, needed, provable
from wordmask.annotate.corrections import add_corrections
from wordmask.annotate.evidence import evidence_of_review
from wordmask.annotate.exporting import export_all
from wordmask.annotate.labelled import LabelledSet
from wordmask.annotate.ontology import read_ontology
from wordmask.annotate.review import rank, write_review
from wordmask.cli.app import app


def test_45_absent_images_prove_5_percent() -> None:
    assert needed(0.05, 0.9) == 45
    assert fit([], [0.1] * 45, fpr=0.05, confidence=0.9).kept
    short = fit([], [0.1] * 20, fpr=0.05, confidence=0.9)
    assert (short.kept, round(short.bound, 3)) == (False, 0.109)


@pytest.mark.parametrize(("false", "absent"), [(0, 45), (3, 200), (1, 77)])
def test_the_bound_is_that_of_the_binomial(false: int, absent: int) -> None:
    assert binom.cdf(false, absent, provable(false, absent, 0.9)) == pytest.approx(0.1, abs=1e-6)


def test_more_evidence_allows_false_masks_and_a_lower_threshold() -> None:
    negatives = [n / 1000 for n in range(200)]
    fitted = fit([0.05, 0.196, 0.5], negatives, fpr=0.05, confidence=0.9)
    assert provable(fitted.false, 200, 0.9) <= 0.05 < provable(fitted.false + 1, 200, 0.9)
    assert sum(value >= fitted.threshold for value in negatives) == fitted.false == 5
    assert fitted.recall == pytest.approx(2 / 3)


def test_the_promise_holds_in_simulation() -> None:
    random = np.random.default_rng(0)
    broken = 0
    for _ in range(400):
        threshold = fit([], list(random.random(90)), fpr=0.05, confidence=0.9).threshold
        broken += 1 - threshold > 0.05  # the true rate of uniform presences
    assert broken / 400 <= 0.1 + 3 * math.sqrt(0.09 / 400)


def test_few_absent_images_borrow_those_of_other_classes() -> None:
    many = {str(n): n / 100 for n in range(60)}
    evidence = {"rare": Evidence((0.9,), {"0": 0.2}), "common": Evidence((0.9,), many)}
    fitted = fit_all(evidence, fpr=0.05, confidence=0.9)
    assert (fitted["rare"].pooled, fitted["rare"].absent, fitted["rare"].kept) == (True, 60, True)
    assert not fitted["common"].pooled


def test_calibrated_probabilities_rise_with_presence() -> None:
    random = np.random.default_rng(1)
    fitted = fit(list(random.uniform(0.3, 1, 80)), list(random.uniform(0, 0.6, 80)), fpr=0.1, confidence=0.9)
    assert fitted.slope > 0
    logit = math.log(0.45 / 0.55)
    assert 0.3 < 1 / (1 + math.exp(-(fitted.slope * logit + fitted.intercept))) < 0.7


def test_the_command_writes_thresholds_into_the_ontology(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.training.inputs import write_labels

    data = write_labels(tmp_path / "data", 6)
    ontology = tmp_path / "concepts.yaml"
    ontology.write_text("red: red\nblue: blue\n")
    monkeypatch.setattr("wordmask.api.load", lambda *_, **__: BrightnessSegmenter())
    words = ["--data", str(data), "--ontology", str(ontology), "--fpr", "0.3"]
    before = CliRunner().invoke(app, ["calibrate", *words])
    assert before.exit_code == 0, before.output
    assert "its threshold stays" in before.output
    assert "--exhaustive" in before.output
    assert ontology.read_text() == "red: red\nblue: blue\n"
    done = CliRunner().invoke(app, ["calibrate", *words, "--exhaustive"])

    assert done.exit_code == 0, done.output
    assert "at most 30% needs 7 images without it, there are 2" in done.output
    assert {one.name: one.presence for one in read_ontology(ontology).concepts} == {"red": 0.020001, "blue": 0.020001}


def test_the_riskiest_image_comes_first_and_corrections_take_the_models_place(tmp_path: Path) -> None:
    ring, parts = shapes()["ring"], shapes()["parts"]
    with journal_of(tmp_path, [[("a", ring)], [("a", ring), ("a", parts)], []]) as journal:
        journal.add_method("fake", "fake", presence=0.5, joint=False)
        labelled = LabelledSet(journal)
        first = rank(labelled)[0]
        assert first.value == pytest.approx(0.2)
        assert first.reason == "a: presence 0.90 near 0.50" or "quality 0.80" in first.reason
        assert write_review(labelled, tmp_path / "review", 2) == 2
        tasks = json.loads((tmp_path / "review" / "tasks.json").read_bytes())
        assert tasks[0]["data"]["risk"] >= tasks[1]["data"]["risk"]

        export_all(labelled, tmp_path / "out", ["label-studio"])
        tasks = json.loads((tmp_path / "out" / "label-studio" / "tasks.json").read_bytes())
        second = tasks[1]["predictions"][0]["result"]
        corrected = [
            {**tasks[0], "annotations": [{"result": []}]},  # a person found nothing
            {**tasks[1], "annotations": [{"result": second[1:]}]},
            {**tasks[2], "annotations": []},
        ]
        (tmp_path / "export.json").write_text(json.dumps(corrected))
        assert add_corrections(journal, tmp_path / "export.json") == 2
        images = list(LabelledSet(journal))
        assert [len(image.objects) for image in images] == [0, 1, 0]
        assert np.array_equal(images[1].objects[0].packed.full(), parts)
        assert images[0].size == SIZE
        evidence = evidence_of_review(journal)["a"]
        assert (evidence.positives, list(evidence.negatives.values())) == ((0.9,), [0.9])
        assert [Path(risk.uri).name for risk in rank(LabelledSet(journal))] == ["2.png"]
