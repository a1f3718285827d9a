"""The forgetting guard: what it asks, what it calls worse, and that runs say so."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from tests.fakes import BrightnessSegmenter
from tests.segmentations import dense_found
from tests.train.pictures import trained_weights, write_small_clipseg, write_table
from wordmask.data.csv_table import CsvTable
from wordmask.errors import DataError, TrainingError
from wordmask.results import Found
from wordmask.train import exam as exams
from wordmask.train.data import DataChoice, Lessons
from wordmask.train.exam import Answers, Exam, Guard, open_exam, sit
from wordmask.train.forgetting import Difference, Forgetting, compare
from wordmask.train.guarding import remember
from wordmask.train.recipes import Recipe, finetune, with_changes
from wordmask.train.report import movers, page, sentences
from wordmask.train.run import train
from wordmask.train.vocabulary import EVERYDAY, FAR_AWAY, spread, trained_phrases, unmentioned

PICTURES = 6
TINY = {"steps": 2, "batch": 4, "warm_up": 0, "size": 32, "valid_every": 0, "save_every": 2, "mirror": 0.0}


class Knows(BrightnessSegmenter):
    """Finds the bright half (1) or the dark half (-1) for the words it knows."""

    def __init__(self, words: dict[str, float]) -> None:
        self.words = words

    def _find(self, encoded: Any, prompt: Any, threshold: float, presence_threshold: float | None = None) -> Found:
        sign = self.words.get(prompt.name, 0.0)
        logits = (sign * (encoded.features - 127.5) / 16).astype(np.float32)
        return dense_found(prompt, logits, encoded.placement, presence=0.97 if sign else 0.02, threshold=threshold)


def write_halves(folder: Path, rows: dict[str, str]) -> Path:
    """Write pictures whose right half is bright, and a table of phrases: "bright", "dark" or "" for what is absent."""
    folder.mkdir(parents=True)
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, 30:] = 255
    Image.fromarray(pixels[..., 0]).save(folder / "bright.png")
    Image.fromarray(255 - pixels[..., 0]).save(folder / "dark.png")
    for number in range(PICTURES):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    with (folder / "pairs.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("image", "mask", "phrase"))
        for number in range(PICTURES):
            table.writerows((f"{number}.png", mask and f"{mask}.png", phrase) for phrase, mask in rows.items())
    return folder / "pairs.csv"


def opened(trained: Path, guard: Path | None, recipe: Recipe | None = None) -> Exam:
    table = CsvTable(trained)
    lessons = Lessons(table, tuple(range(len(table))), None, (), ())
    choice = Guard(guard) if guard else Guard()
    exam, problems = open_exam(
        choice, lessons, DataChoice(trained), recipe or finetune(), skip_bad=False, scratch=trained.parent / "scratch"
    )
    assert problems == ()
    return exam


@pytest.fixture
def halves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A table that is trained on and one that is not; the sample pictures are left out, whose answers are unknown."""
    monkeypatch.setattr(exams, "SAMPLES", ())
    mine = write_halves(tmp_path / "mine", {"The  Left lamp": "bright", "a cupboard": ""})
    other = {"the right LAMP": "bright", "shine": "bright", "gloom": "dark", "spoon": "", "fork": ""}
    return mine, write_halves(tmp_path / "other", other)


# --- values --------------------------------------------------------------------------------------------------------


def test_a_difference_by_hand() -> None:
    rows = [(str(number % 6), 0.5, 0.5 - 0.01 * (1 + number % 2)) for number in range(12)]
    difference = Difference.of(rows)
    assert difference is not None
    assert (difference.before, difference.after) == pytest.approx((0.5, 0.485))
    assert (difference.asked, difference.pictures) == (12, 6)
    assert -0.02 <= (difference.low or 0) < -0.015 < (difference.high or 0) <= -0.01
    assert difference.worse()  # by little, but in every picture
    assert Difference.of([]) is None


@pytest.mark.parametrize(
    ("change", "number", "rises", "worse"),
    [
        (0.0, 6, True, False),
        (-0.04, 4, True, False),  # too few pictures for an interval, and less than the fall that counts
        (-0.06, 4, True, True),
        (-0.04, 5, True, True),  # the same in every picture
        (-0.004, 6, True, False),  # so, too, but nobody would see it
        (0.3, 6, True, False),
        (0.3, 6, False, True),  # false alarms
        (-0.3, 6, False, False),
    ],
)
def test_what_counts_as_worse(change: float, number: int, rises: bool, worse: bool) -> None:
    difference = Difference.of([(str(key), 0.5, 0.5 + change) for key in range(number)], rises=rises)
    assert difference is not None
    assert difference.worse() is worse


def test_luck_is_not_called_worse() -> None:
    moves = np.tile([0.2, -0.21], 20)
    difference = Difference.of([(str(key), 0.5, 0.5 + move) for key, move in enumerate(moves)])
    assert difference is not None
    assert difference.after == pytest.approx(0.495)
    assert not difference.worse()


# --- words ---------------------------------------------------------------------------------------------------------


def test_trained_phrases_are_normalised_and_mirrored(halves: tuple[Path, Path]) -> None:
    table = CsvTable(halves[0])
    usable = range(len(table))
    both = {"the left lamp", "a cupboard"}
    assert trained_phrases(table, usable, with_changes(finetune(), {"mirror": 0.0})) == both
    assert trained_phrases(table, usable, finetune()) == both | {"the right lamp"}
    assert trained_phrases(table, usable, with_changes(finetune(), {"mirror": 0.0, "negatives": 0.0})) == {
        "the left lamp"
    }


def test_words_that_a_phrase_holds_are_not_asked() -> None:
    words = ("cup", "dog", "bus", "hot air balloon")
    assert unmentioned(words, ["the red Cups", "dogma", "two  BUSES"]) == ("dog", "hot air balloon")
    assert len(set(EVERYDAY)) == 30
    assert not set(EVERYDAY) & set(FAR_AWAY)


def test_spread() -> None:
    assert spread(range(10), 4) == (0, 2, 5, 7)
    assert spread("abc", 4) == ("a", "b", "c")


# --- two models ----------------------------------------------------------------------------------------------------

BEFORE = {"shine": 1.0, "gloom": -1.0, "the right LAMP": 1.0, "dog": 1.0, "cat": -1.0, "spoon": 1.0}


def test_a_model_that_answers_everything_with_one_thing_is_worse(halves: tuple[Path, Path]) -> None:
    exam = opened(halves[0], halves[1])
    before = sit(exam, Knows(BEFORE))
    after = sit(exam, Knows({"shine": 1, "gloom": 1, "dog": 1, "bird": 1, "spoon": 1, "fork": 1, "volcano": 1}))
    forgetting = compare(exam, before, after)

    assert forgetting.truth is not None
    names = forgetting.truth.names
    assert list(names) == ["gloom", "shine"]  # the lamp is trained: on the other side, in other letters
    assert (names["gloom"].before, names["gloom"].after) == pytest.approx((1, 0), abs=0.02)
    assert names["shine"].after == names["shine"].before
    assert forgetting.truth.worse_names() == ["gloom"]
    assert forgetting.truth.iou is not None
    assert (forgetting.truth.iou.asked, forgetting.truth.iou.pictures) == (12, 6)
    assert forgetting.truth.alarms is not None
    assert (forgetting.truth.alarms.before, forgetting.truth.alarms.after) == (0.5, 1.0)

    change = forgetting.change
    assert (change.pictures, change.words, change.asked, change.found) == (6, 30, 180, 12)
    assert change.agreement == 0.5  # the dog as before, the cat nowhere
    assert change.vanished == 0.5
    assert change.appeared == pytest.approx(6 / 168)  # the bird
    assert change.far is not None
    assert (change.far.before, change.far.after) == (0, pytest.approx(1 / 15))
    assert change.absent is not None
    assert (change.absent.after, change.absent.asked) == (0, 6)  # nobody finds the cupboard

    said = sentences(forgetting)
    assert forgetting.worse
    assert said[0] == "Worse: 'gloom' fell from 1.00 to 0.00 (6 pictures)"
    assert [line.split(":")[0] for line in said] == ["Worse"] * 4 + ["Changed much"]
    assert "Nothing" not in " ".join(said)


def test_the_same_model_is_not_worse(halves: tuple[Path, Path]) -> None:
    exam = opened(halves[0], halves[1])
    forgetting = compare(exam, sit(exam, Knows(BEFORE)), sit(exam, Knows(BEFORE)))
    assert not forgetting.worse
    assert (forgetting.change.agreement, forgetting.change.vanished, forgetting.change.appeared) == (1, 0, 0)
    assert sentences(forgetting)[0] == "Nothing that was measured got worse"
    assert "Worse" not in " ".join(sentences(forgetting))


def test_great_change_without_truth_is_not_called_nothing(halves: tuple[Path, Path]) -> None:
    exam = opened(halves[0], None)
    moved = compare(exam, sit(exam, Knows({"dog": 1.0})), sit(exam, Knows({"dog": -1.0})))
    assert (moved.change.agreement, moved.change.vanished, moved.worse) == (0, 0, False)
    (said,) = sentences(moved)
    assert said.startswith("Changed much: answers to everyday words agree with those before by IoU 0.00")
    assert said.endswith("only pictures with masks can tell: --guard")


def test_answers_survive_a_file(halves: tuple[Path, Path]) -> None:
    exam = opened(halves[0], halves[1])
    answers = sit(exam, Knows(BEFORE))
    assert Answers.from_json(json.loads(json.dumps(answers.to_json()))) == answers
    assert [len(part) for part in answers] == [24, 180, 90, 6]


def test_without_guard_data_there_is_no_truth(halves: tuple[Path, Path]) -> None:
    exam = opened(halves[0], None)
    forgetting = compare(exam, sit(exam, Knows({})), sit(exam, Knows({})))
    assert forgetting.truth is None
    assert forgetting.change.agreement is None  # there was nothing that could vanish
    assert sentences(forgetting) == ["Nothing that was measured got worse"]


def test_bad_guard_data_are_said_before_the_training(halves: tuple[Path, Path]) -> None:
    (halves[1].parent / "3.png").unlink()
    with pytest.raises(DataError, match=r"5 problems.*\n.*line 17 of"):
        opened(*halves)
    with pytest.raises(TrainingError, match="a decoder that starts from random weights"):
        opened(*halves, with_changes(finetune(), {"fresh": True}))


# --- before --------------------------------------------------------------------------------------------------------


class Student:
    def __init__(self) -> None:
        self.exported = 0

    def export(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.exported += 1


def test_the_model_before_is_asked_once(
    halves: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wordmask.train.guarding._loaded", lambda folder, device: Knows(BEFORE))
    student: Any = Student()
    exam = opened(*halves)
    first = remember(exam, student, {"trained": "a"}, tmp_path / "run", torch.device("cpu"))
    again = remember(exam, student, {"trained": "a"}, tmp_path / "run", torch.device("cpu"))
    assert first == again == sit(exam, Knows(BEFORE))
    assert student.exported == 1
    remember(opened(halves[0], None), student, {"trained": "a"}, tmp_path / "run", torch.device("cpu"))
    assert student.exported == 2  # other questions
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["measured"]


# --- the page ------------------------------------------------------------------------------------------------------


def test_movers_by_hand() -> None:
    start = {"a": [1.0, 2, 0, 0], "b": [0.8, 1, 0, 0], "c": [0.3, 1, 0, 0], "d": [0.0, 0, 1, 4], "e": [0.5, 1, 0, 0]}
    best = {"a": [1.8, 2, 0, 0], "b": [0.2, 1, 0, 0], "c": [0.4, 1, 0, 0], "d": [0.0, 0, 0, 4], "e": [0.5, 1, 0, 0]}
    rose, fell = movers(start, best)
    assert [(name, round(new - old, 3), number) for name, old, new, number in rose] == [("a", 0.4, 2), ("c", 0.1, 1)]
    assert [(name, round(new - old, 3), number) for name, old, new, number in fell] == [("b", -0.6, 1)]


RECORD: dict[str, Any] = {
    "recipe": {"name": "finetune", "batch": 8, "rate": 3e-4, "parts": ["decoder"], "start_share": 0.25}, "steps": 100,
    "left_out": [],
    "data": {"name": "cups | plates", "split": "all", "images": 1}, "model": {"start": None}, "best": {"step": 50},
}  # fmt: skip


def test_the_page_says_it_all(halves: tuple[Path, Path]) -> None:
    exam = opened(*halves)
    forgetting = compare(exam, sit(exam, Knows(BEFORE)), sit(exam, Knows({})))
    text = page(RECORD, forgetting, {"cup": [0.5, 2, 1, 4]}, {"cup": [1.5, 2, 1, 4]})
    for line in (
        "- data: 1 picture of cups \\| plates (all)",
        "- measured and written with a share of 0.25 of the weights at the start",
        "| mean IoU | 0.250 | 0.750 |",
        "| false alarms | 0.250 | 0.250 |",
        "| cup | 0.25 | 0.75 | 2 |",
        "- Worse: 'gloom' fell from 1.00 to 0.00 (6 pictures)",
        "| of these, vanished | 1.000 |",
        "| names known to be absent | 0.000 | 0.000 | +0.000 to +0.000 | 6 | 6 |",
    ):
        assert line in text.splitlines()
    bare = page(RECORD, None, {}, {})
    assert "Nothing was measured" in bare
    assert "Not measured" in bare


# --- whole runs ----------------------------------------------------------------------------------------------------


def write_silent_model(folder: Path) -> Path:
    """A random CLIPSeg that finds nothing at all."""
    model = write_small_clipseg(folder)
    weights = load_file(model / "model.safetensors")
    weights["decoder.transposed_convolution.bias"].fill_(-6.0)
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    return model


def run(model: Path, table: Path, out: Path, guard: Guard | None, **changes: Any) -> dict[str, Any]:
    recipe = with_changes(finetune(), TINY | changes)
    return train(recipe, DataChoice(table), out, model=model, device="cpu", guard=guard)


def test_a_run_that_forgets_says_so(tmp_path: Path) -> None:
    model = write_silent_model(tmp_path / "model")
    mine = write_halves(tmp_path / "mine", {"thing": "bright"})
    Image.fromarray(np.full((40, 60), 255, np.uint8)).save(mine.parent / "bright.png")  # all of it is the thing
    guard = Guard(write_table(tmp_path / "guard", 6, 32))
    loud = {"steps": 12, "rate": 1.0, "final_rate": 1.0, "clip": 0.0, "dice": 0.0, "negatives": 0.0}
    record = run(model, mine, tmp_path / "run", guard, **loud)

    forgetting = record["forgetting"]
    assert forgetting["worse"]
    assert (forgetting["change"]["far_alarms"]["before"], forgetting["change"]["far_alarms"]["after"]) == (0, 1)
    assert (forgetting["truth"]["false_alarms"]["before"], forgetting["truth"]["false_alarms"]["after"]) == (0, 1)
    assert "Worse: absent phrases that got a mask went from 0.000 to 1.000" in forgetting["said"][0]
    assert f"- {forgetting['said'][0]}" in (tmp_path / "run" / "report.md").read_text().splitlines()


def test_a_run_that_changes_nothing_says_so_and_the_guard_changes_no_run(tmp_path: Path) -> None:
    model, table = write_small_clipseg(tmp_path / "model"), write_table(tmp_path / "my", 5, 32)
    record = run(model, table, tmp_path / "still", Guard(table), lr=0.0, final_lr=0.0, weight_decay=0.0)
    assert record["forgetting"]["said"][0] == "Nothing that was measured got worse"
    assert not record["forgetting"]["worse"]
    assert record["forgetting"]["truth"]["names"] == {}  # all of them are trained
    assert record["forgetting"]["change"]["agreement"] == 1.0
    assert "It holds no name that was not trained." in (tmp_path / "still" / "report.md").read_text()

    guarded = run(model, table, tmp_path / "guarded", Guard(), dropout=0.2)
    plain = run(model, table, tmp_path / "plain", None, dropout=0.2)
    assert "forgetting" in guarded
    assert "forgetting" not in plain
    one, other = (trained_weights(tmp_path / name) for name in ("guarded", "plain"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_forgetting_is_a_value() -> None:
    from dataclasses import FrozenInstanceError

    from wordmask.train.forgetting import Change

    forgetting = Forgetting(None, Change(1, 1, 1, 0, None, None, 0.0, None, None))
    with pytest.raises(FrozenInstanceError):
        forgetting.truth = None  # type: ignore[misc]
    assert forgetting.to_json() == {
        "worse": False,
        "truth": None,
        "change": {
            "images": 1, "words": 1, "asked": 1, "found": 0, "agreement": None, "vanished": None, "appeared": 0.0,
            "far_alarms": None, "absent_alarms": None,
        },
    }  # fmt: skip
