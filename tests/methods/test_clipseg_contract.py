"""CLIPSeg fulfils the contract of every method, with squashed and letterboxed images."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.methods.checkpoints import write_clipseg
from tests.methods.contract import DenseMethodContract
from wordmask.contracts import Segmenter
from wordmask.methods.clipseg import load_clipseg


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clipseg") / "refined"
    write_clipseg(path, refined=True, size=64)
    return path


@pytest.fixture(scope="module")
def squashed(folder: Path) -> Segmenter:
    return load_clipseg(folder, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def letterboxed(folder: Path) -> Segmenter:
    return load_clipseg(folder, device="cpu", dtype="float32", fit="letterbox")


class TestSquashed(DenseMethodContract):
    @pytest.fixture
    def segmenter(self, squashed: Segmenter) -> Segmenter:
        return squashed


class TestLetterboxed(DenseMethodContract):
    @pytest.fixture
    def segmenter(self, letterboxed: Segmenter) -> Segmenter:
        return letterboxed
