"""The protocols' own rules: sizes, labels, folds, sweeps, and the table of benchmarks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.evaluate.halves import SIZE, Halves, candidate, halves
from tests.fakes import BrightnessSegmenter
from tests.segmentations import dense_found
from wordmask.contracts import Dataset, Encoded
from wordmask.data.folds import Folds
from wordmask.data.sample import UNKNOWN, Query, Sample
from wordmask.evaluate.benchmarks import BENCHMARKS
from wordmask.evaluate.counting import count, count_packed
from wordmask.evaluate.fitting import SIDE, fit, fit_prompt, stretched
from wordmask.evaluate.judging import Judge
from wordmask.evaluate.labelling import label_scores
from wordmask.evaluate.protocol import Rules
from wordmask.evaluate.rows import Rows, over_pictures, pooled
from wordmask.evaluate.run import Evaluation, run
from wordmask.evaluate.sweeping import sweep_scores
from wordmask.images import RgbImage
from wordmask.metrics.bootstrap import interval, ratio_of_sums
from wordmask.metrics.confusion import Confusion
from wordmask.metrics.judged import Judged
from wordmask.metrics.thresholds import Sweep
from wordmask.ops.geometry import squash
from wordmask.ops.masks import pack
from wordmask.prompts import TextPrompt, VisualPrompt
from wordmask.results import Found, Segmentation

# --- sizes -----------------------------------------------------------------------------------------------------------


def found(logits: np.ndarray[Any, Any], size: tuple[int, int]) -> Found:
    return dense_found(TextPrompt("x"), logits, squash(size, size))


def test_stretching_equals_torch_with_aligned_corners() -> None:
    values = np.random.default_rng(0).random((7, 5), dtype=np.float32)

    for size in ((3, 11), (14, 5), (1, 1), (20, 20)):
        theirs = F.interpolate(torch.from_numpy(values)[None, None], size, mode="bilinear", align_corners=True)
        np.testing.assert_allclose(stretched(values, size), theirs[0, 0].numpy(), atol=1e-6)


def test_a_squashed_truth_equals_torchs_nearest() -> None:
    labels = np.random.default_rng(1).integers(0, 9, (123, 457))

    fitting = fit(np.zeros((123, 457, 3), np.uint8), (123, 457), "squash352")

    theirs = F.interpolate(torch.from_numpy(labels)[None, None].float(), (SIDE, SIDE), mode="nearest")
    np.testing.assert_array_equal(fitting.truth(labels), theirs[0, 0].numpy())
    assert fitting.picture.size == (SIDE, SIDE)


@pytest.mark.parametrize(
    ("size", "content"),
    [((500, 375), (352, 264)), ((333, 500), (232, 352)), ((200, 300), (200, 300)), ((704, 704), (352, 352))],
)
def test_a_letterboxed_picture_is_scaled_cut_and_black_beside(size: tuple[int, int], content: tuple[int, int]) -> None:
    fitting = fit(np.full((*size, 3), 200, np.uint8), size, "letterbox352")

    lit = fitting.picture.pixels[..., 0] > 0
    assert fitting.picture.size == (SIDE, SIDE)
    assert (int(lit.any(axis=1).sum()), int(lit.any(axis=0).sum())) == content
    assert lit[: content[0], : content[1]].all()


def test_a_letterboxed_answer_comes_back_to_the_originals_place() -> None:
    fitting = fit(np.zeros((704, 352, 3), np.uint8), (704, 352), "letterbox352")
    logits = np.full((SIDE, SIDE), -9.0)
    logits[:176, :88] = 9  # the upper left quarter of a content of 352 x 176

    mask = fitting.mask(found(logits, (SIDE, SIDE)))

    assert mask.shape == (704, 352)
    assert mask[:350, :174].all()
    assert not mask[354:].any()
    assert not mask[:, 178:].any()
    assert fitting.truth(mask) is mask


def test_an_example_is_brought_to_size_by_the_same_rule() -> None:
    mask = np.zeros((100, 200), np.bool_)
    mask[:50, :100] = True
    example = VisualPrompt(np.zeros((100, 200, 3), np.uint8), mask, name="thing")

    small = fit_prompt(example, "squash352")

    assert isinstance(small, VisualPrompt)
    assert np.asarray(small.mask).shape == (SIDE, SIDE)
    assert np.asarray(small.mask)[:176, :176].all()
    assert int(np.asarray(small.mask).sum()) == 176 * 176
    assert (small.name, small.mode) == (example.name, example.mode)
    assert fit_prompt(example, "original") is example


# --- labels ----------------------------------------------------------------------------------------------------------


class Scripted(BrightnessSegmenter):
    """Answers every phrase by a map of logits that was given, and keeps what it was asked."""

    name = "scripted"

    def __init__(self, answers: dict[str, np.ndarray[Any, Any]]) -> None:
        self.answers, self.asked = answers, list[str]()

    def encode(self, image: Any) -> Encoded:
        assert isinstance(image, RgbImage)
        return Encoded(image.size, squash(image.size, image.size), None, image, self.name)

    def segment(
        self, image: Any, prompts: Any, *, threshold: float | None = None, presence_threshold: float | None = None
    ) -> Segmentation:
        self.asked += [prompt.name for prompt in prompts]
        level = 0.5 if threshold is None else threshold
        founds = tuple(
            dense_found(prompt, self.answers[prompt.name], image.placement, threshold=level) for prompt in prompts
        )
        return Segmentation(image.size, founds, image.image, self.name)


def logit(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))


NAMES = ("background", "cat", "dog")
LABELS = np.array([[0, 0, 1, 1, 2, UNKNOWN]], dtype=np.int32)
SAMPLE = Sample("s", RgbImage(np.zeros((1, 6, 3), np.uint8)), (1, 6), (), labels=LABELS)
ANSWERS = {
    "background": np.array([[logit(p) for p in (0.3, 0.1, 0.1, 0.3, 0.1, 0.9)]]),
    "a cat": np.array([[logit(p) for p in (0.2, 0.4, 0.8, 0.4, 0.2, 0.5)]]),
    "a hound": np.array([[logit(p) for p in (0.1, 0.2, 0.6, 0.3, 0.4, 0.5)]]),
}
WORDED: dict[str, Any] = {"template": "a {}", "words": {"dog": "hound"}, "background": "background"}


def labelled(rules: Rules) -> list[list[int]]:
    answers = ANSWERS if rules.weight is None else {**ANSWERS, "a background": ANSWERS["background"]}
    confusion: list[list[int]] = Judge(Scripted(answers), rules, NAMES).record(SAMPLE)["confusion"]
    return confusion


def test_the_highest_class_wins_and_the_background_is_never_answered() -> None:
    # Pixels: cat, cat, cat, cat, dog, unknown.
    assert labelled(Rules("labels", (), **WORDED)) == [[0, 1, 2], [1, 1, 2], [2, 2, 1]]


def test_a_background_prompt_counts_three_times() -> None:
    # 0.9 beats 0.2; 0.3 loses to 0.4; 0.3 to 0.8; 0.9 beats 0.4; 0.3 loses to 0.4.
    assert labelled(Rules("labels", (), weight=3.0, **WORDED)) == [
        [0, 0, 1],
        [0, 1, 1],
        [1, 0, 1],
        [1, 1, 1],
        [2, 2, 1],
    ]


def test_where_no_class_exceeds_the_threshold_there_is_background() -> None:
    assert labelled(Rules("labels", (), decline=True, **WORDED)) == [[0, 0, 2], [1, 0, 1], [1, 1, 1], [2, 0, 1]]


def test_without_a_background_such_pixels_have_no_name() -> None:
    rules = Rules("labels", (), decline=True, template="a {}", words={"dog": "hound"})
    judge = Judge(Scripted(ANSWERS), rules, NAMES[1:])
    labels = np.where(LABELS == UNKNOWN, UNKNOWN, LABELS - 1).astype(np.int32)

    confusion = judge.record(replace(SAMPLE, labels=labels))["confusion"]

    assert confusion == [[0, 0, 1], [0, 2, 1], [1, 2, 1]]  # the last column is "no name"


def test_scores_of_labels_equal_the_metric_and_have_intervals() -> None:
    random = np.random.default_rng(3)
    matrices = [random.integers(0, 50, (3, 4)) for _ in range(9)]
    records = [{"confusion": [[r, c, int(m[r, c])] for r in range(3) for c in range(4) if m[r, c]]} for m in matrices]
    metric = Confusion(NAMES, ("dog",))
    for matrix in matrices:
        metric.add(matrix)

    scores = label_scores(records, NAMES, unseen=frozenset({"dog"})).scores

    expected = metric.compute()
    assert scores.keys() == expected.keys()
    for name, score in scores.items():
        assert score["value"] == pytest.approx(expected[name], abs=1e-6)
        assert score["low"] < score["value"] < score["high"]


# --- sweeps and folds ------------------------------------------------------------------------------------------------


def swept(labels: list[str]) -> tuple[list[dict[str, Any]], list[Judged]]:
    """Random maps with their truth, as records and as what the metric takes."""
    random = np.random.default_rng(5)
    judged = []
    for place, label in enumerate(labels):
        truth = random.random((16, 16)) < 0.4
        probability = (0.5 * truth + 0.5 * random.random((16, 16))).astype(np.float32)
        judged.append(Judged(probability > 0.3, truth, label, f"k{place}", probability))
    queries = [
        Sample(
            one.key,
            RgbImage(np.zeros((16, 16, 3), np.uint8)),
            (16, 16),
            (Query(TextPrompt("x"), pack(one.truth), one.label),),
        )
        for one in judged
    ]
    rules = Rules("masks", (), threshold=0.3, sweep=True)
    records = []
    for sample, one in zip(queries, judged, strict=True):
        assert one.probability is not None
        logits = np.log(one.probability.clip(1e-6, 1 - 1e-6) / (1 - one.probability.clip(1e-6, 1 - 1e-6)))
        records.append(Judge(Scripted({"x": logits}), rules).record(sample))
    return records, judged


@pytest.mark.parametrize("classes", ["label", "key"])
def test_a_sweep_equals_the_metric(classes: Any) -> None:
    records, judged = swept(["cat", "dog", "cat", "cow", "dog", "cat"])
    metric = Sweep(group_by=classes)
    for one in judged:
        metric.update(one)
    expected = metric.compute()

    scores = sweep_scores(Rows.of(records), classes, 0.3, parts=None, draws=20, seed=0)

    assert len(scores) == 12
    for name, score in scores.items():
        assert score["value"] == pytest.approx(expected[name], abs=2e-5), name  # sigmoid of a logit: last bits differ


def test_scores_of_folds_are_means_over_the_folds() -> None:
    records, judged = swept(["cat", "dog", "cat", "cow", "dog", "cat"])
    metrics = {"a": Sweep(), "b": Sweep()}
    parts = {"cat": "a", "dog": "b", "cow": "b"}
    for one in judged:
        metrics[parts[one.label]].update(one)
    expected = [metric.compute() for metric in metrics.values()]

    scores = sweep_scores(Rows.of(records), "label", 0.3, parts=parts, draws=20, seed=0)

    for name in ("miou@0.3", "iou_bin@0.3", "iou_fg@0.3", "ap", "ap_2021", "step_ap"):
        assert scores[name]["value"] == pytest.approx(sum(part[name] for part in expected) / 2, abs=2e-5)


def test_folds_are_one_data_set() -> None:
    class Fold(Halves):
        def __init__(self, number: int, split: str, names: tuple[str, ...]) -> None:
            super().__init__(number)
            self.split, self.names, self.fingerprint = split, names, split  # type: ignore[misc]

    folds = Folds([Fold(2, "fold0", ("a", "b")), Fold(3, "fold1", ("c",))])

    assert isinstance(folds, Dataset)
    assert [folds[place].key for place in range(len(folds))] == [
        "fold0/h00000", "fold0/h00001", "fold1/h00000", "fold1/h00001", "fold1/h00002",
    ]  # fmt: skip
    assert (folds.names, folds.parts) == (("a", "b", "c"), {"a": "fold0", "b": "fold0", "c": "fold1"})
    with pytest.raises(IndexError):
        folds[5]


# --- the table -------------------------------------------------------------------------------------------------------


def test_every_benchmark_has_the_honest_reading() -> None:
    assert len(BENCHMARKS) >= 20
    for name, benchmark in BENCHMARKS.items():
        rules = benchmark.presets["original"]
        assert (benchmark.name, rules.threshold, rules.resize) == (name, None, "original")
        assert all(one.headline and one.note for one in benchmark.presets.values())


def test_the_tables_thresholds_and_sizes() -> None:
    paper = {name: one.presets["paper"] for name, one in BENCHMARKS.items() if "paper" in one.presets}
    facts = {name: (rules.resize, rules.threshold, rules.classes) for name, rules in paper.items() if rules.sweep}
    assert facts == {
        "phrasecut": ("squash352", 0.3, "key"),
        "phrasecut-visual": ("original", None, "key"),
        "pascal5i": ("letterbox352", 0.3, "label"),
        "pascal5i-text": ("letterbox352", 0.3, "label"),
        "coco20i": ("squash352", 0.1, "label"),
    }
    zero_shot = BENCHMARKS["pascal-zero-shot"]
    assert zero_shot.presets["code"].weight == 3.0
    assert zero_shot.presets["paper"].weight is None
    assert zero_shot.unseen["unseen4"] == {"cow", "motorbike", "aeroplane", "sofa"}
    assert zero_shot.presets["code"].phrase("aeroplane") == "airplane"


def test_a_restricted_table_asks_for_its_labels_only(tmp_path: Path) -> None:
    rules = replace(BENCHMARKS["plain"].presets["original"], only=("bright",))
    benchmark = replace(
        BENCHMARKS["plain"], open=lambda folder, split, seed: Halves(3), needs_folder=False, presets={"one": rules}
    )

    result = run(Evaluation(benchmark), candidate(), tmp_path, command="again")

    assert list(result["by_name"]) == ["bright"]


def test_ignored_pixels_count_neither_way() -> None:
    pixels = halves(32)
    truth, ignored = np.zeros(SIZE, np.bool_), np.zeros(SIZE, np.bool_)
    truth[:, 40:], ignored[:, 32:40] = True, True  # the answer is 8 columns too wide, just where nothing counts
    sample = Sample(
        "s", RgbImage(pixels), SIZE, (Query(TextPrompt("bright"), pack(truth), "bright"),), (), pack(ignored)
    )

    (row,) = Judge(BrightnessSegmenter(), BENCHMARKS["plain"].presets["original"]).record(sample)["rows"]

    assert row["counts"][2:6] == [24 * 64, 0, 0, 32 * 64]


# --- counting --------------------------------------------------------------------------------------------------------


def test_counting_packed_masks_equals_counting_whole_ones() -> None:
    random = np.random.default_rng(7)

    for place in range(60):
        masks = []
        for _ in range(2):
            mask = np.zeros((40, 50), np.bool_)
            (y0, y1), (x0, x1) = np.sort(random.integers(0, 41, 2)), np.sort(random.integers(0, 51, 2))
            mask[y0:y1, x0:x1] = random.random((y1 - y0, x1 - x0)) < 0.97
            masks.append(mask & (place % 10 != 0))
        ignored = random.random((40, 50)) < 0.2 if place % 2 else None

        assert count_packed(pack(masks[0]), pack(masks[1]), ignored) == count(masks[0], masks[1], ignored)


def test_shared_draws_give_the_intervals_of_the_metric() -> None:
    random = np.random.default_rng(8)
    values, picture = random.random((40, 2)), random.integers(0, 15, 40)
    statistic = ratio_of_sums((0,), (1,))

    shared = over_pictures(values, picture, 15, statistic, draws=50, seed=3)

    apart = interval(pooled(values, picture, 15), statistic, draws=50, seed=3)
    assert shared is not None
    assert (shared.value, shared.low, shared.high) == pytest.approx((apart.value, apart.low, apart.high), abs=1e-12)
