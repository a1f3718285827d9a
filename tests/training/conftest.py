"""Tiny models and data of training runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.inputs import write_small_clipseg, write_small_compact, write_table


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_small_clipseg(folder / "clipseg")
    write_small_compact(folder / "compact")
    return folder


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write_table(tmp_path / "my", 12)
