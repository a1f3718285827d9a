"""The benchmark of the feature cache measures what it says, on a tiny tower."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.scripts import FOLDER, load_benchmark

TINY = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_hidden_layers": 10, "patch_size": 16}


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))  # it imports another one
    module = load_benchmark("feature_cache")
    monkeypatch.setattr(module, "VISION", {**TINY, "image_size": 64})
    monkeypatch.setattr(module, "SIDE", 64)
    monkeypatch.setattr(module, "SIZE", (60, 80))
    return module


def test_both_sides_train_equally_and_are_timed(benchmark: Any, tmp_path: Path) -> None:
    options = {"images": 3, "steps": 4, "batch": 2, "variants": 2, "dropout": 0.1, "threads": 1, "json": None}
    record = benchmark.measure(tmp_path, argparse.Namespace(**options))
    seconds = record["seconds"]
    assert {name: len(values) for name, values in seconds.items()} == {"forward": 4, "computed": 4, "cached": 4}
    values = 3 * 17 * 32 * 2  # three activations of 1 + 4 x 4 tokens in two bytes
    assert values < record["cache"]["bytes_per_image"] < values + 400
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == 6
    apart = record["loss_difference"]
    assert 0 < apart["mean"] <= apart["max"] < 1e-3
    assert record["losses"]["computed"][0] != record["losses"]["computed"][1]
    benchmark.show(record)


def test_ratios_are_taken_in_each_round_and_the_first_does_not_count(benchmark: Any) -> None:
    def spent(*values: float) -> list[dict[str, float]]:
        return [{"wall_s": value, "cpu_s": 2 * value} for value in values]

    seconds = {"forward": spent(9, 6, 8, 20), "computed": spent(9, 8, 10, 30), "cached": spent(9, 1, 2, 4)}
    losses = {"computed": [1.0, 0.5, 0.25, 0.25], "cached": [1.0, 0.5, 0.5, 0.125]}
    found = benchmark.summary({"seconds": seconds, "losses": losses}, 16)
    assert found["ratios"]["computed / cached"] == {"wall_s": 7.5, "cpu_s": 7.5}
    assert found["ratios"]["forward / cached"] == {"wall_s": 5.0, "cpu_s": 5.0}
    assert found["images_per_s"]["cached"] == {"wall_s": 8.0, "cpu_s": 4.0}
    assert found["loss_difference"] == {"max": 0.25, "mean": 0.09375, "loss_first": 1.0, "loss_last": 0.25}
