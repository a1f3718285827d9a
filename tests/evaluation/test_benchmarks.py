"""The table of benchmarks, and what a protocol asks for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.evaluation.halves import SIZE, Halves, Scripted, evaluated, halves
from tests.fakes import BrightnessSegmenter
from wordmask.data.registry import NAMED_SETS
from wordmask.data.sample import Query, Sample
from wordmask.evaluation.benchmarks import BENCHMARKS, TASKS
from wordmask.evaluation.prompting import CHUNK, PromptedModel, queries_of
from wordmask.evaluation.protocols import EvaluationProtocol
from wordmask.evaluation.runner import TASKS as RUNNERS
from wordmask.evaluation.runner import Evaluation, run
from wordmask.evaluation.score.masks import record_masks
from wordmask.images import RgbImage
from wordmask.ops.masks import empty, pack
from wordmask.prompts import TextPrompt


def test_every_benchmark_has_the_protocol_of_a_user() -> None:
    assert len(BENCHMARKS) >= 19
    assert TASKS.keys() == RUNNERS.keys()
    for name, benchmark in {**BENCHMARKS, **TASKS}.items():
        protocol = benchmark.presets["original"]
        assert (benchmark.name, protocol.threshold, protocol.resize) == (name, None, "original")
        assert all(one.headline and one.note for one in benchmark.presets.values())
    assert {benchmark.dataset for benchmark in BENCHMARKS.values()} <= NAMED_SETS.keys()


def test_the_tables_thresholds_and_sizes() -> None:
    paper = {name: one.presets["paper"] for name, one in BENCHMARKS.items() if "paper" in one.presets}
    facts = {name: (one.resize, one.threshold, one.classes) for name, one in paper.items() if one.sweep}
    assert facts == {
        "phrasecut": ("squash352", 0.3, "key"),
        "phrasecut-visual": ("original", None, "key"),
        "pascal5i": ("letterbox352", 0.3, "label"),
        "pascal5i-text": ("letterbox352", 0.3, "label"),
        "coco20i": ("squash352", 0.1, "label"),
    }
    zero_shot = BENCHMARKS["pascal-zero-shot"]
    assert zero_shot.presets["code"].background_weight == 3.0
    assert zero_shot.presets["paper"].background_weight is None
    assert zero_shot.unseen["unseen4"] == {"cow", "motorbike", "aeroplane", "sofa"}
    assert zero_shot.presets["code"].phrase("aeroplane") == "airplane"


def test_a_restricted_table_asks_for_its_labels_only(tmp_path: Path) -> None:
    protocol = replace(TASKS["masks"].presets["original"], only=("bright",))
    benchmark = replace(TASKS["masks"], presets={"one": protocol})

    result = run(Evaluation(benchmark, Halves(3)), evaluated(), tmp_path)

    assert list(result["by_name"]) == ["bright"]


def test_ignored_pixels_count_neither_way() -> None:
    pixels = halves(32)
    true, ignored = np.zeros(SIZE, np.bool_), np.zeros(SIZE, np.bool_)
    true[:, 40:], ignored[:, 32:40] = True, True  # the mask is 8 columns too wide, just where pixels are ignored
    query = Query(TextPrompt("bright"), pack(true), "bright")
    sample = Sample("s", RgbImage(pixels), SIZE, (query,), (), pack(ignored))

    model = PromptedModel(BrightnessSegmenter(), TASKS["masks"].presets["original"])
    (row,) = record_masks(model, sample)["rows"]

    assert row["counts"][2:6] == [24 * 64, 0, 0, 32 * 64]


# --- prompts ---------------------------------------------------------------------------------------------------------

NAMES = tuple(f"n{number}" for number in range(CHUNK + 8))
MAPS: dict[str, Any] = {name: np.zeros((4, 4), np.float32) for name in (*NAMES, "thing")}
IMAGE = RgbImage(np.zeros((4, 4, 3), np.uint8))


class Joint(Scripted):
    joint_vocabulary = True


def ask(segmenter: Scripted, names: tuple[str, ...]) -> list[str]:
    model = PromptedModel(segmenter, TASKS["masks"].presets["original"], names)
    prompts = [TextPrompt(name) for name in ("n3", "thing")]
    return [found.name for found in model.founds(segmenter.encode(IMAGE), prompts)]


def test_a_joint_vocabulary_is_asked_for_in_one_call() -> None:
    joint, single = Joint(MAPS), Scripted(MAPS)

    assert ask(joint, NAMES) == ask(single, NAMES) == ["n3", "thing"]

    assert joint.calls == [["n3", "thing", *(name for name in NAMES if name != "n3")]]
    assert single.calls == [["n3", "thing"]]


def test_other_models_are_asked_in_chunks() -> None:
    segmenter = Scripted(MAPS)
    model = PromptedModel(segmenter, TASKS["labels"].presets["original"], NAMES)

    founds = list(model.founds(segmenter.encode(IMAGE), [TextPrompt(name) for name in NAMES]))

    assert [len(call) for call in segmenter.calls] == [CHUNK, 8]
    assert [found.name for found in founds] == list(NAMES)


def test_absent_names_come_behind_the_queries() -> None:
    thing = Query(TextPrompt("thing"), pack(np.ones((4, 4), np.bool_)), "thing")
    known_absent = Query(TextPrompt("n1"), empty((4, 4)), "n1")
    boxes = Query(TextPrompt("n2"), pack(np.ones((4, 4), np.bool_)), "n2", boxes_only=True)
    sample = Sample("s", IMAGE, (4, 4), (thing, known_absent, boxes), ("n1", "n5"))

    with_absent = EvaluationProtocol("masks", (), template="a {}", absent=True)
    asked = [(query.prompt.name, absent) for query, absent in queries_of(sample, with_absent)]

    assert asked == [("a thing", False), ("a n1", True), ("a n5", True)]
    assert [query.label for query, _ in queries_of(sample, EvaluationProtocol("masks", ()))] == ["thing"]
