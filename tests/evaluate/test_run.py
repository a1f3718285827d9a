"""Evaluating a fake whose answers are known: scores by hand, resuming, memory, refusals."""

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

import pytest

from tests.evaluate.halves import Halves, Stumbling, candidate, lines, write_halves
from wordmask.errors import DataError, OutputError, PromptError, WordmaskError
from wordmask.evaluate.benchmarks import BENCHMARKS, find_benchmark
from wordmask.evaluate.provenance import checksum, command_line, revision_of
from wordmask.evaluate.records import Records
from wordmask.evaluate.run import Evaluation, run

PLAIN = BENCHMARKS["plain"]


def in_memory(number: int) -> Any:
    return replace(PLAIN, open=lambda folder, split, seed: Halves(number), needs_folder=False)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "timing.jsonl"}


def test_scores_of_pictures_whose_answers_are_known(tmp_path: Path) -> None:
    data = write_halves(tmp_path / "halves")

    result = run(Evaluation(PLAIN, data), candidate(), tmp_path / "run", command="again")

    # Bright: 8 16 24 32 40 48 columns answered, of the third and sixth only 16 and 40 true.
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


def test_absent_names_judge_presence(tmp_path: Path) -> None:
    result = run(Evaluation(in_memory(6)), candidate(), tmp_path, command="again")

    assert (result["presence"]["present"], result["presence"]["absent"]) == (12, 6)
    assert result["presence"]["auroc"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert result["presence"]["fpr@0.95"]["value"] == 0.0
    assert result["presence"]["mcc"]["value"] == 1.0
    assert result["presence"]["empty_where_absent"]["value"] == 1.0
    assert result["scores"]["miou"]["value"] == 1.0  # absent things are no masks


def test_the_sweep_scores_a_hard_answer(tmp_path: Path) -> None:
    evaluation = Evaluation(in_memory(6), preset="sweep", threshold=0.3)

    scores = run(evaluation, candidate(), tmp_path, command="again")["scores"]

    areas = [columns * 64 for place in range(6) for columns in (8 * (place + 1), 64 - 8 * (place + 1))]
    mean = sum(area / (1 + area) for area in areas) / 12
    assert scores["miou@0.3"]["value"] == scores["miou_best"]["value"] == pytest.approx(mean, abs=1e-6)
    assert scores["iou_fg@0.3"]["value"] == pytest.approx(sum(areas) / (1 + sum(areas)), abs=1e-6)
    assert scores["step_ap"]["value"] == 1.0


def test_an_interrupted_run_gives_the_same_bytes(tmp_path: Path) -> None:
    evaluation = Evaluation(in_memory(20))
    run(evaluation, candidate(), tmp_path / "whole", command="again")

    with pytest.raises(KeyboardInterrupt):
        run(evaluation, candidate(Stumbling(7)), tmp_path / "parts", command="again")
    assert len(list(lines(tmp_path / "parts" / "samples.jsonl"))) == 7
    with (tmp_path / "parts" / "samples.jsonl").open("ab") as file:
        file.write(b'{"n":7,"key":"h00007","rows":[{"la')  # torn by a crash
    run(evaluation, candidate(Stumbling(13)), tmp_path / "parts", command="again")  # 13 are left: one more would raise

    assert files(tmp_path / "parts") == files(tmp_path / "whole")
    assert set(files(tmp_path / "whole")) == {"run.json", "samples.jsonl", "result.json", "result.md"}
    assert [line["samples"] for line in lines(tmp_path / "parts" / "timing.jsonl")] == [7, 13]


_KILLED = """
import sys, time
from pathlib import Path
from tests.evaluate.halves import candidate
from tests.evaluate.test_run import in_memory
from tests.fakes import BrightnessSegmenter
from wordmask.evaluate.run import Evaluation, run

class Slow(BrightnessSegmenter):
    def encode(self, image):
        time.sleep(0.02)
        return super().encode(image)

run(Evaluation(in_memory(200)), candidate(Slow()), Path(sys.argv[1]), command="again")
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
        run(Evaluation(in_memory(200)), candidate(), tmp_path / folder, command="again")

    assert files(tmp_path / "killed") == files(tmp_path / "whole")


def test_a_limit_can_grow(tmp_path: Path) -> None:
    for limit in (2, 5, 3):
        run(Evaluation(in_memory(6), limit=limit), candidate(), tmp_path / "grown", command="again")
    run(Evaluation(in_memory(6), limit=3), candidate(), tmp_path / "fresh", command="again")

    assert files(tmp_path / "grown")["result.json"] == files(tmp_path / "fresh")["result.json"]
    assert len(list(lines(tmp_path / "grown" / "samples.jsonl"))) == 5


def test_a_folder_with_another_run_is_refused(tmp_path: Path) -> None:
    run(Evaluation(in_memory(2)), candidate(), tmp_path, command="again")

    with pytest.raises(OutputError, match=r"it differs in seed.*change --out"):
        run(Evaluation(in_memory(2), seed=1), candidate(), tmp_path, command="again")
    (tmp_path / "run.json").unlink()
    with pytest.raises(OutputError, match="samples of an unknown run"):
        run(Evaluation(in_memory(2)), candidate(), tmp_path, command="again")


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
    """Return bytes held at most while samples are judged; the reading of the result is not part of it."""
    from wordmask.evaluate.run import _judge_missing

    evaluation = Evaluation(in_memory(number))
    records = Records(folder, {"run": number})
    tracemalloc.start()
    _judge_missing(evaluation, candidate(), records, None)
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
        ({"split": "none"}, "split"),
        ({"limit": 0}, "the limit 0"),
        ({"preset": "sweep", "threshold": 0.333}, "the threshold 0.333"),
        ({"preset": "paper"}, "the preset 'paper' of plain"),
    ],
)
def test_bad_options_are_one_sentence(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    data = write_halves(tmp_path / "halves", 1)

    with pytest.raises(WordmaskError, match=words):
        run(Evaluation(PLAIN, data, **options), candidate(), tmp_path / "run", command="again")
    assert not (tmp_path / "run").exists()


def test_no_folder_and_no_benchmark() -> None:
    with pytest.raises(DataError, match="no folder for phrasecut, expected VGPhraseCut_v0: name it with --data"):
        Evaluation(BENCHMARKS["phrasecut"]).dataset()
    with pytest.raises(PromptError, match=r"the benchmark 'cocoa', expected one of plain, shapes"):
        find_benchmark("cocoa")


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
    result = run(Evaluation(in_memory(2)), candidate(), tmp_path, command="wordmask evaluate")

    text = (tmp_path / "result.json").read_text(encoding="utf-8")
    assert json.loads(text) == json.loads(json.dumps(result))
    assert time.strftime("%Y-") not in text
    for fact in ("fingerprint", "checksum", "seed", "numpy", "wordmask evaluate"):
        assert fact in text
        assert fact in (tmp_path / "result.md").read_text(encoding="utf-8")
