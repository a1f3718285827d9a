"""The forgetting probe: what it asks, what counts as worse, and that runs report it."""

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
from tests.training.inputs import open_samples, trained_weights, write_small_clipseg, write_table
from wordmask.errors import DataError, TrainingError
from wordmask.results import Found
from wordmask.training.data import DataChoice
from wordmask.training.forgetting import probe as probes
from wordmask.training.forgetting.comparison import Change, Difference, Forgetting, compare
from wordmask.training.forgetting.probe import Answers, Probe, ProbeChoice, ask, open_probe
from wordmask.training.forgetting.report import sentences
from wordmask.training.forgetting.run import ask_before
from wordmask.training.forgetting.vocabulary import EVERYDAY, FAR_AWAY, unmentioned
from wordmask.training.opening import spread
from wordmask.training.recipe import with_changes
from wordmask.training.recipes.finetune import finetune
from wordmask.training.report import movers, page
from wordmask.training.run import train

IMAGES = 6
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
    """Write images whose right half is bright, and a table of phrases: "bright", "dark" or "" for what is absent."""
    folder.mkdir(parents=True)
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, 30:] = 255
    Image.fromarray(pixels[..., 0]).save(folder / "bright.png")
    Image.fromarray(255 - pixels[..., 0]).save(folder / "dark.png")
    for number in range(IMAGES):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    with (folder / "pairs.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("image", "mask", "phrase"))
        for number in range(IMAGES):
            table.writerows((f"{number}.png", mask and f"{mask}.png", phrase) for phrase, mask in rows.items())
    return folder / "pairs.csv"


def opened(trained: Path, labelled: Path | None, *, pretrained: bool = True) -> Probe:
    data = open_samples(trained, with_changes(finetune(), {"valid_every": 0}))
    choice = ProbeChoice(labelled) if labelled else ProbeChoice()
    probe, problems = open_probe(choice, data, DataChoice(trained), pretrained=pretrained, skip_bad=False)
    assert problems == ()
    return probe


@pytest.fixture
def halves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A table that is trained on and one that is not; the sample images are left out, whose answers are unknown."""
    monkeypatch.setattr(probes, "SAMPLES", ())
    mine = write_halves(tmp_path / "mine", {"The  Left lamp": "bright", "a cupboard": ""})
    other = {"the right LAMP": "bright", "shine": "bright", "gloom": "dark", "spoon": "", "fork": ""}
    return mine, write_halves(tmp_path / "other", other)


# --- values --------------------------------------------------------------------------------------------------------


def test_a_difference_by_hand() -> None:
    rows = [(str(number % 6), 0.5, 0.5 - 0.01 * (1 + number % 2)) for number in range(12)]
    difference = Difference.of(rows)
    assert difference is not None
    assert (difference.before, difference.after) == pytest.approx((0.5, 0.485))
    assert (difference.asked, difference.images) == (12, 6)
    assert -0.02 <= (difference.low or 0) < -0.015 < (difference.high or 0) <= -0.01
    assert difference.worse()  # by little, but in every image
    assert Difference.of([]) is None


@pytest.mark.parametrize(
    ("change", "number", "rises", "worse"),
    [
        (0.0, 6, True, False),
        (-0.04, 4, True, False),  # too few images for an interval, and less than the fall that counts
        (-0.06, 4, True, True),
        (-0.04, 5, True, True),  # the same in every image
        (-0.004, 6, True, False),  # so, too, but nobody would see it
        (0.3, 6, True, False),
        (0.3, 6, False, True),  # false positives
        (-0.3, 6, False, False),
    ],
)
def test_what_counts_as_worse(change: float, number: int, rises: bool, worse: bool) -> None:
    difference = Difference.of([(str(key), 0.5, 0.5 + change) for key in range(number)], rises=rises)
    assert difference is not None
    assert difference.worse() is worse


def test_chance_does_not_count_as_worse() -> None:
    moves = np.tile([0.2, -0.21], 20)
    difference = Difference.of([(str(key), 0.5, 0.5 + move) for key, move in enumerate(moves)])
    assert difference is not None
    assert difference.after == pytest.approx(0.495)
    assert not difference.worse()


# --- words ---------------------------------------------------------------------------------------------------------


def test_trained_phrases_are_normalised_and_mirrored(halves: tuple[Path, Path]) -> None:
    assert opened(halves[0], None).trained == {"the left lamp", "the right lamp", "a cupboard"}


def test_words_that_a_phrase_holds_are_not_asked() -> None:
    words = ("cup", "dog", "bus", "hot air balloon")
    assert unmentioned(words, ["the red Cups", "dogma", "two  BUSES"]) == ("dog", "hot air balloon")
    assert len(set(EVERYDAY)) == 30
    assert not set(EVERYDAY) & set(FAR_AWAY)


def test_spread() -> None:
    assert spread(tuple(range(10)), 4) == (0, 2, 5, 7)
    assert spread(("a", "b", "c"), 4) == ("a", "b", "c")


# --- two models ----------------------------------------------------------------------------------------------------

BEFORE = {"shine": 1.0, "gloom": -1.0, "the right LAMP": 1.0, "dog": 1.0, "cat": -1.0, "spoon": 1.0}


def test_a_model_that_answers_everything_with_one_thing_is_worse(halves: tuple[Path, Path]) -> None:
    probe = opened(halves[0], halves[1])
    before = ask(probe, Knows(BEFORE))
    after = ask(probe, Knows({"shine": 1, "gloom": 1, "dog": 1, "bird": 1, "spoon": 1, "fork": 1, "volcano": 1}))
    forgetting = compare(probe.choice, before, after)

    assert forgetting.labelled is not None
    names = forgetting.labelled.names
    assert list(names) == ["gloom", "shine"]  # the lamp is trained: on the other side, in other letters
    assert (names["gloom"].before, names["gloom"].after) == pytest.approx((1, 0), abs=0.02)
    assert names["shine"].after == names["shine"].before
    assert forgetting.labelled.worse_names() == ["gloom"]
    assert forgetting.labelled.iou is not None
    assert (forgetting.labelled.iou.asked, forgetting.labelled.iou.images) == (12, 6)
    assert forgetting.labelled.false_positives is not None
    assert (forgetting.labelled.false_positives.before, forgetting.labelled.false_positives.after) == (0.5, 1.0)

    change = forgetting.change
    assert (change.images, change.words, change.asked, change.found) == (6, 30, 180, 12)
    assert change.overlap == 0.5  # the dog as before, the cat nowhere
    assert change.vanished == 0.5
    assert change.appeared == pytest.approx(6 / 168)  # the bird
    assert change.far is not None
    assert (change.far.before, change.far.after) == (0, pytest.approx(1 / 15))
    assert change.absent is not None
    assert (change.absent.after, change.absent.asked) == (0, 6)  # nobody finds the cupboard

    said = sentences(forgetting)
    assert forgetting.worse
    assert said[0] == "Worse: 'gloom' fell from 1.00 to 0.00 (6 images)"
    assert [line.split(":")[0] for line in said] == ["Worse"] * 4 + ["Changed much"]
    assert "Nothing" not in " ".join(said)


def test_the_same_model_is_not_worse(halves: tuple[Path, Path]) -> None:
    probe = opened(halves[0], halves[1])
    forgetting = compare(probe.choice, ask(probe, Knows(BEFORE)), ask(probe, Knows(BEFORE)))
    assert not forgetting.worse
    assert (forgetting.change.overlap, forgetting.change.vanished, forgetting.change.appeared) == (1, 0, 0)
    assert sentences(forgetting)[0] == "Nothing that was measured got worse"
    assert "Worse" not in " ".join(sentences(forgetting))


def test_great_change_on_unlabelled_images_is_reported(halves: tuple[Path, Path]) -> None:
    probe = opened(halves[0], None)
    moved = compare(probe.choice, ask(probe, Knows({"dog": 1.0})), ask(probe, Knows({"dog": -1.0})))
    assert (moved.change.overlap, moved.change.vanished, moved.worse) == (0, 0, False)
    (said,) = sentences(moved)
    assert said.startswith("Changed much: answers to everyday words agree with those before by IoU 0.00")
    assert said.endswith("only labelled images can tell: --probe")


def test_answers_survive_a_file(halves: tuple[Path, Path]) -> None:
    probe = opened(halves[0], halves[1])
    answers = ask(probe, Knows(BEFORE))
    assert Answers.from_json(json.loads(json.dumps(answers.to_json()))) == answers
    assert [len(part) for part in answers] == [24, 180, 90, 6]


def test_without_labelled_images_there_is_only_change(halves: tuple[Path, Path]) -> None:
    probe = opened(halves[0], None)
    forgetting = compare(probe.choice, ask(probe, Knows({})), ask(probe, Knows({})))
    assert forgetting.labelled is None
    assert forgetting.change.overlap is None  # there was nothing that could vanish
    assert sentences(forgetting) == ["Nothing that was measured got worse"]


def test_bad_probe_data_are_reported_before_the_training(halves: tuple[Path, Path]) -> None:
    (halves[1].parent / "3.png").unlink()
    with pytest.raises(DataError, match=r"5 problems.*\n.*line 17 of"):
        opened(*halves)
    with pytest.raises(TrainingError, match="a model that starts from random weights"):
        opened(*halves, pretrained=False)


# --- before --------------------------------------------------------------------------------------------------------


class Exported:
    """Counts how often it is exported."""

    def __init__(self) -> None:
        self.exported = 0

    def export(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.exported += 1


def test_the_model_before_is_asked_once(
    halves: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wordmask.training.forgetting.run._loaded", lambda folder, device: Knows(BEFORE))
    model: Any = Exported()
    probe = opened(*halves)
    first = ask_before(probe, model, {"trained": "a"}, tmp_path / "run", torch.device("cpu"))
    again = ask_before(probe, model, {"trained": "a"}, tmp_path / "run", torch.device("cpu"))
    assert first == again == ask(probe, Knows(BEFORE))
    assert model.exported == 1
    ask_before(opened(halves[0], None), model, {"trained": "a"}, tmp_path / "run", torch.device("cpu"))
    assert model.exported == 2  # other questions
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["measured"]


# --- the page ------------------------------------------------------------------------------------------------------


def test_movers_by_hand() -> None:
    start = {"a": [1.0, 2, 0, 0], "b": [0.8, 1, 0, 0], "c": [0.3, 1, 0, 0], "d": [0.0, 0, 1, 4], "e": [0.5, 1, 0, 0]}
    best = {"a": [1.8, 2, 0, 0], "b": [0.2, 1, 0, 0], "c": [0.4, 1, 0, 0], "d": [0.0, 0, 0, 4], "e": [0.5, 1, 0, 0]}
    rose, fell = movers(start, best)
    assert [(name, round(new - old, 3), number) for name, old, new, number in rose] == [("a", 0.4, 2), ("c", 0.1, 1)]
    assert [(name, round(new - old, 3), number) for name, old, new, number in fell] == [("b", -0.6, 1)]


RECORD: dict[str, Any] = {
    "recipe": {"name": "finetune", "schedule": {"batch": 8, "lr": 3e-4, "start_weight": 0.25}}, "steps": 100,
    "left_out": [],
    "data": {"name": "cups | plates", "split": "all", "images": 1}, "best": {"step": 50},
    "model": {"start": None, "parts": ["decoder"]},
}  # fmt: skip


def test_the_page_says_it_all(halves: tuple[Path, Path]) -> None:
    probe = opened(*halves)
    forgetting = compare(probe.choice, ask(probe, Knows(BEFORE)), ask(probe, Knows({})))
    text = page(RECORD, forgetting, {"cup": [0.5, 2, 1, 4]}, {"cup": [1.5, 2, 1, 4]})
    for line in (
        "- data: 1 image of cups \\| plates (all)",
        "- validated and written with a weight of 0.25 of the weights at the start",
        "| mean IoU | 0.250 | 0.750 |",
        "| false positives | 0.250 | 0.250 |",
        "| cup | 0.25 | 0.75 | 2 |",
        "- Worse: 'gloom' fell from 1.00 to 0.00 (6 images)",
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


def run(model: Path, table: Path, out: Path, probe: ProbeChoice | None, **changes: Any) -> dict[str, Any]:
    recipe = with_changes(finetune(), TINY | changes)
    return train(recipe, DataChoice(table), out, model=model, device="cpu", probe=probe)


def test_a_run_that_forgets_says_so(tmp_path: Path) -> None:
    model = write_silent_model(tmp_path / "model")
    mine = write_halves(tmp_path / "mine", {"thing": "bright"})
    Image.fromarray(np.full((40, 60), 255, np.uint8)).save(mine.parent / "bright.png")  # all of it is the thing
    probe = ProbeChoice(write_table(tmp_path / "probe", 6, 32))
    loud = {"steps": 12, "lr": 1.0, "final_lr": 1.0, "gradient_clipping": 0.0, "dice": 0.0, "negatives": 0.0}
    record = run(model, mine, tmp_path / "run", probe, **loud)

    forgetting = record["forgetting"]
    assert forgetting["worse"]
    far, absent = forgetting["change"]["far_false_positives"], forgetting["labelled"]["false_positives"]
    assert (far["before"], far["after"], absent["before"], absent["after"]) == (0, 1, 0, 1)
    assert "Worse: absent phrases that got a mask went from 0.000 to 1.000" in forgetting["said"][0]
    assert f"- {forgetting['said'][0]}" in (tmp_path / "run" / "report.md").read_text().splitlines()


def test_a_run_that_changes_nothing_says_so_and_the_probe_changes_no_run(tmp_path: Path) -> None:
    model, table = write_small_clipseg(tmp_path / "model"), write_table(tmp_path / "my", 5, 32)
    record = run(model, table, tmp_path / "still", ProbeChoice(table), lr=0.0, final_lr=0.0, weight_decay=0.0)
    assert record["forgetting"]["said"][0] == "Nothing that was measured got worse"
    assert not record["forgetting"]["worse"]
    assert record["forgetting"]["labelled"]["names"] == {}  # all of them are trained
    assert record["forgetting"]["change"]["overlap"] == 1.0
    assert "It holds no name that was not trained." in (tmp_path / "still" / "report.md").read_text()

    probed = run(model, table, tmp_path / "probed", ProbeChoice(), dropout=0.2)
    plain = run(model, table, tmp_path / "plain", None, dropout=0.2)
    assert "forgetting" in probed
    assert "forgetting" not in plain
    one, other = (trained_weights(tmp_path / name) for name in ("probed", "plain"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_forgetting_is_a_value() -> None:
    from dataclasses import FrozenInstanceError

    forgetting = Forgetting(None, Change(1, 1, 1, 0, None, None, 0.0, None, None))
    with pytest.raises(FrozenInstanceError):
        forgetting.labelled = None  # type: ignore[misc]
    assert forgetting.to_json() == {
        "worse": False,
        "labelled": None,
        "change": {
            "images": 1, "words": 1, "asked": 1, "found": 0, "overlap": None, "vanished": None, "appeared": 0.0,
            "far_false_positives": None, "absent_false_positives": None,
        },
    }  # fmt: skip
