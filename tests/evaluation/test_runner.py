"""Evaluating a fake whose masks are known: scores by hand, resuming, memory, refusals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.evaluation.halves import SIZE, Halves, Stumbling, evaluated, lines, write_halves
from tests.fakes import BrightnessSegmenter
from wordmask.data.registry import open_data
from wordmask.data.sample import Query
from wordmask.errors import DataError, OutputError, PromptError, WordmaskError
from wordmask.evaluation.benchmarks import TASKS, find_benchmark, find_task
from wordmask.evaluation.provenance import checksum, command_line, revision_of
from wordmask.evaluation.records import Records
from wordmask.evaluation.runner import Evaluation, run
from wordmask.ops.masks import pack
from wordmask.prompts import TextPrompt

MASKS = TASKS["masks"]


def halves(number: int, **options: Any) -> Evaluation:
    return Evaluation(MASKS, Halves(number), **options)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "timing.jsonl"}


def test_scores_of_images_whose_masks_are_known(tmp_path: Path) -> None:
    data = write_halves(tmp_path / "halves")

    result = run(Evaluation(MASKS, open_data(data)), evaluated(), tmp_path / "run", command="again")

    # Bright: 8 16 24 32 40 48 columns predicted, of the third and sixth only 16 and 40 true.
    ious = {"bright": [1, 1, 16 / 24, 1, 1, 40 / 48], "dark": [1, 1, 40 / 48, 1, 1, 16 / 24]}
    for name, values in ious.items():
        assert result["by_name"][name]["iou"]["value"] == pytest.approx(sum(values) / 6, abs=1e-6)
        assert result["by_name"][name]["prompts"] == 6
    everything = [value for values in ious.values() for value in values]
    assert result["scores"]["miou"]["value"] == pytest.approx(sum(everything) / 12, abs=1e-6)
    both = 8 + 16 + 16 + 32 + 40 + 40 + 56 + 48 + 40 + 32 + 24 + 16
    either = 8 + 16 + 24 + 32 + 40 + 48 + 56 + 48 + 48 + 32 + 24 + 24
    assert result["scores"]["oiou"]["value"] == pytest.approx(both / either, abs=1e-6)
    assert result["scores"]["pr@0.8"]["value"] == pytest.approx(10 / 12, abs=1e-6)
    low, high = result["scores"]["miou"]["low"], result["scores"]["miou"]["high"]
    assert 0.8 < low < result["scores"]["miou"]["value"] < high <= 1
    assert list(result["by_size"]) == ["large"]
    assert result["presence"] == {}  # the set is not exhaustive: nothing is known to be absent


def test_absent_names_score_presence(tmp_path: Path) -> None:
    result = run(halves(6), evaluated(), tmp_path, command="again")

    assert (result["presence"]["present"], result["presence"]["absent"]) == (12, 6)
    assert result["presence"]["auroc"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert result["presence"]["fpr@0.95"]["value"] == 0.0
    assert result["presence"]["mcc"]["value"] == 1.0
    assert result["presence"]["absent_with_mask"]["value"] == 0.0
    assert result["presence"]["present_without_mask"]["value"] == 0.0
    assert result["scores"]["miou"]["value"] == 1.0  # absent things are no masks


class Imagining(BrightnessSegmenter):
    """Gives the absent "purple" a mask in every second image, and misses "dark" in every third."""

    name = "imagining"

    def _find(self, encoded: Any, prompt: Any, threshold: float, presence_threshold: float | None = None) -> Any:
        bright = round(8 * (encoded.image.pixels[0, :, 0] > 0).mean())  # 1 to 6
        if prompt.name == "purple" and bright % 2:
            return replace(super()._find(encoded, TextPrompt("bright"), threshold), prompt=prompt, presence=0.6)
        found = super()._find(encoded, prompt, threshold, presence_threshold)
        return replace(found, presence=0.4) if prompt.name == "dark" and bright % 3 == 0 else found


def test_false_positives_and_misses_are_counted(tmp_path: Path) -> None:
    presence = run(halves(6), evaluated(Imagining()), tmp_path)["presence"]

    assert presence["absent_with_mask"]["value"] == 0.5
    assert presence["absent_with_mask"]["low"] < 0.5 < presence["absent_with_mask"]["high"]
    assert presence["present_without_mask"]["value"] == pytest.approx(2 / 12, abs=1e-6)
    # Presence 0.97 ten times, 0.4 twice; absent 0.6 three times and 0.02 three times.
    assert presence["auroc"]["value"] == pytest.approx((10 * 6 + 2 * 3) / 72, abs=1e-6)
    assert presence["fpr@0.95"]["value"] == 0.5


def test_only_absent_names_still_give_their_false_positives(tmp_path: Path) -> None:
    class OnlyAbsent(Halves):
        def __getitem__(self, index: int) -> Any:
            sample = super().__getitem__(index)
            return replace(sample, queries=(), absent=("purple",))

    result = run(Evaluation(MASKS, OnlyAbsent(4)), evaluated(Imagining()), tmp_path)

    assert result["presence"]["absent_with_mask"]["value"] == 0.5
    assert "auroc" not in result["presence"]


def test_sizes_are_those_of_the_target_and_not_of_the_prediction(tmp_path: Path) -> None:
    """One pixel is tiny however large the mask for it is; ignored pixels belong to the target's size."""

    class Spots(Halves):
        def __getitem__(self, index: int) -> Any:
            sample = super().__getitem__(index)
            tiny, medium, ignored = (np.zeros(SIZE, np.bool_) for _ in range(3))
            tiny[0, 63], medium[:9, 60:] = True, True  # 1 and 36 of 4,096 pixels: 0.02 % and 0.9 %
            ignored[4:9, 60:] = True  # leaves 16 pixels of the second, 0.4 %
            queries = tuple(
                Query(TextPrompt("bright"), pack(mask), name) for mask, name in ((tiny, "a"), (medium, "b"))
            )
            return replace(sample, queries=queries, ignored=pack(ignored))

    by_size = run(Evaluation(MASKS, Spots(3)), evaluated(), tmp_path)["by_size"]

    assert {size: part["prompts"] for size, part in by_size.items()} == {"tiny": 3, "small": 3}
    area = [8 * 64 - 4 * 5, 16 * 64 - 20, 24 * 64 - 20]
    assert by_size["tiny"]["iou"]["value"] == pytest.approx(sum(1 / a for a in area) / 3, abs=1e-6)
    assert by_size["small"]["iou"]["value"] == pytest.approx(sum(16 / a for a in area) / 3, abs=1e-6)


def test_the_sweep_scores_a_hard_mask(tmp_path: Path) -> None:
    evaluation = halves(6, preset="sweep", threshold=0.3)

    scores = run(evaluation, evaluated(), tmp_path, command="again")["scores"]

    areas = [columns * 64 for place in range(6) for columns in (8 * (place + 1), 64 - 8 * (place + 1))]
    mean = sum(area / (1 + area) for area in areas) / 12
    assert scores["miou@0.3"]["value"] == scores["miou_best"]["value"] == pytest.approx(mean, abs=1e-6)
    assert scores["iou_fg@0.3"]["value"] == pytest.approx(sum(areas) / (1 + sum(areas)), abs=1e-6)
    assert scores["step_ap"]["value"] == 1.0


def test_an_interrupted_run_gives_the_same_bytes(tmp_path: Path) -> None:
    evaluation = halves(20)
    run(evaluation, evaluated(), tmp_path / "whole", command="again")

    with pytest.raises(KeyboardInterrupt):
        run(evaluation, evaluated(Stumbling(7)), tmp_path / "parts", command="again")
    assert len(list(lines(tmp_path / "parts" / "samples.jsonl"))) == 7
    with (tmp_path / "parts" / "samples.jsonl").open("ab") as file:
        file.write(b'{"n":7,"key":"h00007","rows":[{"la')  # torn by a crash
    run(evaluation, evaluated(Stumbling(13)), tmp_path / "parts", command="again")  # 13 are left: one more would raise

    assert files(tmp_path / "parts") == files(tmp_path / "whole")
    assert set(files(tmp_path / "whole")) == {"run.json", "samples.jsonl", "result.json", "result.md"}
    assert [line["samples"] for line in lines(tmp_path / "parts" / "timing.jsonl")] == [7, 13]


_KILLED = """
import sys, time
from pathlib import Path
from tests.evaluation.halves import evaluated
from tests.evaluation.test_runner import halves
from tests.fakes import BrightnessSegmenter
from wordmask.evaluation.runner import run

class Slow(BrightnessSegmenter):
    def encode(self, image):
        time.sleep(0.02)
        return super().encode(image)

run(halves(200), evaluated(Slow()), Path(sys.argv[1]), command="again")
"""


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"}
    child = subprocess.Popen([sys.executable, "-c", _KILLED, str(tmp_path / "killed")], env=environment, cwd=root)
    samples = tmp_path / "killed" / "samples.jsonl"
    deadline = time.monotonic() + 120
    while not (samples.exists() and samples.read_bytes().count(b"\n") >= 5) and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert 5 <= samples.read_bytes().count(b"\n") < 200

    for folder in ("killed", "whole"):
        run(halves(200), evaluated(), tmp_path / folder, command="again")

    assert files(tmp_path / "killed") == files(tmp_path / "whole")


def test_a_limit_can_grow(tmp_path: Path) -> None:
    for limit in (2, 5, 3):
        run(halves(6, limit=limit), evaluated(), tmp_path / "grown", command="again")
    run(halves(6, limit=3), evaluated(), tmp_path / "fresh", command="again")

    assert files(tmp_path / "grown")["result.json"] == files(tmp_path / "fresh")["result.json"]
    assert len(list(lines(tmp_path / "grown" / "samples.jsonl"))) == 5


def test_a_folder_with_another_run_is_refused(tmp_path: Path) -> None:
    run(halves(2), evaluated(), tmp_path, command="again")

    with pytest.raises(OutputError, match=r"it differs in seed.*change --out"):
        run(halves(2, seed=1), evaluated(), tmp_path, command="again")
    (tmp_path / "run.json").unlink()
    with pytest.raises(OutputError, match="samples of an unknown run"):
        run(halves(2), evaluated(), tmp_path, command="again")


def test_lines_out_of_order_are_dropped(tmp_path: Path) -> None:
    records = Records(tmp_path, {"run": 1})
    with records.appending() as append:
        for _ in range(3):
            append({"key": "x"})
    damaged = (tmp_path / "samples.jsonl").read_bytes().replace(b'"n":1', b'"n":9')
    (tmp_path / "samples.jsonl").write_bytes(damaged)

    assert Records(tmp_path, {"run": 1}).done == 1
    assert (tmp_path / "samples.jsonl").read_bytes().count(b"\n") == 1


def peak(number: int, folder: Path) -> int:
    """Return the most bytes held while samples are recorded; reading the result is not part of it."""
    from wordmask.evaluation.runner import _record_missing

    evaluation = halves(number)
    records = Records(folder, {"run": number})
    tracemalloc.start()
    _record_missing(evaluation, evaluated(), records, None)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def test_memory_does_not_grow_with_the_samples(tmp_path: Path) -> None:
    few, many = peak(30, tmp_path / "few"), peak(300, tmp_path / "many")

    assert many < few + 100_000


@pytest.mark.slow
def test_memory_is_flat_over_ten_thousand_samples(tmp_path: Path) -> None:
    few, many = peak(100, tmp_path / "few"), peak(10_000, tmp_path / "many")

    assert many < few + 300_000  # 30 bytes a sample; when garbage is collected moves the peak by half of that


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"limit": 0}, "the limit 0"),
        ({"preset": "sweep", "threshold": 0.333}, "the threshold 0.333"),
        ({"preset": "paper"}, "the preset 'paper' of masks"),
    ],
)
def test_bad_options_are_one_sentence(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    data = write_halves(tmp_path / "halves", 1)

    with pytest.raises(WordmaskError, match=words):
        run(Evaluation(MASKS, open_data(data), **options), evaluated(), tmp_path / "run", command="again")
    assert not (tmp_path / "run").exists()


def test_unknown_tasks_and_benchmarks_are_one_sentence() -> None:
    with pytest.raises(PromptError, match=r"the benchmark 'cocoa', expected one of phrasecut, "):
        find_benchmark("cocoa")
    with pytest.raises(PromptError, match=r"the task 'dots', expected one of masks, labels, .*proposals, boxes"):
        find_task("dots")
    with pytest.raises(DataError, match="mirrored images with the task labels"):
        Evaluation(TASKS["labels"], Halves(1), mirror=True)
    with pytest.raises(DataError, match="no samples in halves all"):
        halves(0)


def test_a_checksum_depends_on_the_weights_alone(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}", encoding="utf-8")
        (tmp_path / name / "README.md").write_text(name, encoding="utf-8")
    assert checksum(tmp_path / "a") == checksum(tmp_path / "b")
    (tmp_path / "b" / "config.json").write_text('{"x": 1}', encoding="utf-8")
    assert checksum(tmp_path / "a") != checksum(tmp_path / "b")


def test_a_revision_is_read_from_the_hubs_cache() -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    assert revision_of(Path(f"hub/models--x--y/snapshots/{commit}")) == commit
    assert revision_of(Path("my/model")) is None


def test_the_command_can_be_typed_again() -> None:
    options = {"data": Path("my sets"), "limit": None, "mirror": True, "seed": 0}
    assert command_line("evaluate", options) == "wordmask evaluate --data 'my sets' --mirror --seed 0"


def test_a_result_holds_no_time(tmp_path: Path) -> None:
    result = run(halves(2), evaluated(), tmp_path, command="wordmask evaluate")

    text = (tmp_path / "result.json").read_text(encoding="utf-8")
    assert json.loads(text) == json.loads(json.dumps(result))
    assert time.strftime("%Y-") not in text
    for fact in ("fingerprint", "checksum", "seed", "numpy", "wordmask evaluate"):
        assert fact in text
        assert fact in (tmp_path / "result.md").read_text(encoding="utf-8")
