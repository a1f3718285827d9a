"""What every test shares: no network, one thread, and a small fake segmenter."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch loads
os.environ["HF_HUB_OFFLINE"] = "1"  # before huggingface_hub is imported; tests marked hub undo it themselves
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.fakes import BrightnessSegmenter

pytest.register_assert_rewrite("tests.data.contract", "tests.methods.contract")


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Small tensors gain nothing from threads, and a shared machine loses by them."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def brightness() -> BrightnessSegmenter:
    """A segmenter that finds "bright" and "dark" and nothing else."""
    return BrightnessSegmenter()


@pytest.fixture
def half_bright(tmp_path: Path) -> Path:
    """An image file, 40 high and 60 wide: the left half black, the right half white."""
    pixels = np.zeros((40, 60, 3), dtype=np.uint8)
    pixels[:, 30:] = 255
    path = tmp_path / "half.png"
    Image.fromarray(pixels).save(path)
    return path
