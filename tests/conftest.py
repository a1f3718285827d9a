"""What every test shares: no network, one thread, and a small fake segmenter."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch loads
os.environ["HF_HUB_OFFLINE"] = "1"  # before huggingface_hub is imported; tests marked hub undo it themselves
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest

pytest.register_assert_rewrite("tests.methods.contract")


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Small tensors gain nothing from threads, and a shared machine loses by them."""
    import torch

    torch.set_num_threads(1)
