"""The benchmark of many prompts measures what it says, on a tiny checkpoint."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.benchmarks.scripts import load_benchmark
from tests.methods.checkpoints import write_clipseg
from wordmask.methods.clipseg import load_clipseg


@pytest.fixture(scope="module")
def benchmark() -> Any:
    return load_benchmark("many_prompts")


def test_both_sides_answer_equally_and_are_timed(benchmark: Any, tmp_path: Path) -> None:
    write_clipseg(tmp_path, refined=True, size=64)
    arguments = argparse.Namespace(
        prompts=[1, 3],
        repeats=2,
        threads=1,
        checkpoint=tmp_path,
        padding="longest",
        image="sample:coffee",
        no_memory=True,
        out=tmp_path / "results" / "record.json",
    )
    record = benchmark.measure(tmp_path, arguments)
    assert json.loads(arguments.out.read_text()) == record
    assert [result["prompts"] for result in record["results"]] == [1, 3]
    for result in record["results"]:
        assert {"documented", "float32", "float32 warm"} <= result["runs"].keys()
        assert {len(runs) for runs in result["runs"].values()} == {2}
        assert result["logits"]["float32"]["max_abs"] <= 1e-5
        first, second = (ratio["wall_s"] for ratio in result["ratios"]["float32"])
        assert result["ratio_medians"]["float32"]["wall_s"] == pytest.approx((first + second) / 2)
        runs = result["runs"]
        assert first == pytest.approx(runs["documented"][0]["wall_s"] / runs["float32"][0]["wall_s"])
    assert record["machine"]["torch"]
    assert record["load_before"] is not None


def test_differences_are_seen(benchmark: Any) -> None:
    expected = np.array([[[1.0, 2.0]], [[3.0, 4.0]]], dtype=np.float32)
    error = benchmark.difference(expected + np.float32(0.5), expected)
    assert error["max_abs"] == pytest.approx(0.5)
    assert error["relative_l2"] == pytest.approx(1 / np.sqrt(30))
    assert error["std_between_prompts"] == pytest.approx(1)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_peaks_see_a_large_array(benchmark: Any) -> None:
    def side(texts: list[str]) -> np.ndarray:
        return np.ones((len(texts), 1024, 1024), dtype=np.float32)  # 4 MiB a phrase

    assert benchmark.peak_of(side, 20) == pytest.approx(80, abs=8)


def test_its_checkpoint_loads_and_its_phrases_are_words(benchmark: Any, tmp_path: Path) -> None:
    benchmark.write_tokenizer(tmp_path)
    from wordmask.backbones.clip.tokenizer import load_tokenizer

    tokens = load_tokenizer(tmp_path)(benchmark.PHRASES)["input_ids"]
    assert len(set(benchmark.PHRASES)) == 100
    assert {len(ids) for ids in tokens} == {5}
    assert {(ids[0], ids[-1]) for ids in tokens} == {(49406, 49407)}


def test_the_remembered_phrases_are_forgotten_between_cold_calls(benchmark: Any, tmp_path: Path) -> None:
    write_clipseg(tmp_path, size=64)
    segmenter = load_clipseg(tmp_path, device="cpu", dtype="float32")
    assert hasattr(segmenter.prompt_cache, "clear")  # what the benchmark calls
    pixels = np.zeros((20, 30, 3), dtype=np.uint8)
    cold = benchmark.ours(tmp_path, pixels, "float32")
    warm = benchmark.ours(tmp_path, pixels, "float32", warm=True)
    np.testing.assert_allclose(cold(["hair", "a cat"]), warm(["hair", "a cat"]), atol=1e-6)
