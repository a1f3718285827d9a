"""Fixtures of commands that segment."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes import BrightnessSegmenter


@pytest.fixture
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, dict[str, object]]]:
    """Put the fake in the place of every model, and keep how it was asked for."""
    calls: list[tuple[object, dict[str, object]]] = []

    def load(model: object, **wishes: object) -> BrightnessSegmenter:
        calls.append((model, wishes))
        return BrightnessSegmenter()

    monkeypatch.setattr("wordmask.api.load", load)
    return calls
