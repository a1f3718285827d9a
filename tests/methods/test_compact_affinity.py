"""The compact network with refinement by affinity."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from tests.methods.contract import random_image
from tests.methods.test_compact import SETTINGS, TINY, tiny_network, tiny_tokenizer
from wordmask.components.affinity import refine
from wordmask.methods.compact import load_compact, save_compact

if TYPE_CHECKING:
    from pathlib import Path

    from wordmask.methods.compact.settings import CompactSettings

REFINED = dataclasses.replace(SETTINGS, affinity_sharpness=5, mask_scale=0.5, mask_shift=-1.25, long_side=224)
"""A map of 56 cells, more than the grid of the affinities has."""


def saved(folder: Path, settings: CompactSettings) -> Path:
    save_compact(folder, "tiny", tiny_network(), TINY, settings, tiny_tokenizer())
    return folder


@pytest.fixture(scope="module")
def refined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("refined"), REFINED)


@pytest.fixture(scope="module")
def unrefined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same weights without refinement."""
    return saved(tmp_path_factory.mktemp("unrefined"), dataclasses.replace(REFINED, affinity_sharpness=None))


def test_refinement_comes_before_calibration(refined: Path, unrefined: Path) -> None:
    one, other = load_compact(refined), load_compact(unrefined)
    (after,), (plain,) = (model.segment(random_image(), "hair") for model in (one, other))
    raw = (torch.from_numpy(plain.heatmap_logits.values) + 1.25) / 0.5
    wanted = 0.5 * refine(raw[None, None], one.encode(random_image()).features.affinity)[0, 0].numpy() - 1.25
    np.testing.assert_allclose(after.heatmap_logits.values, wanted, rtol=1e-3, atol=1e-3)
    assert np.abs(after.heatmap_logits.values - plain.heatmap_logits.values).max() > 1e-2
    assert after.presence == pytest.approx(plain.presence)


def test_images_of_a_batch_are_refined_as_single_ones(refined: Path) -> None:
    model = load_compact(refined)
    other = np.ascontiguousarray(random_image()[:, ::-1])
    together = list(model.segment_many([other, random_image()], "hair"))
    for image, (found,) in zip((other, random_image()), together, strict=True):
        np.testing.assert_allclose(
            found.heatmap_logits.values, model.segment(image, "hair")[0].heatmap_logits.values, rtol=1e-3, atol=1e-3
        )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_features_of_an_unrefined_model_serve_a_refined_one(refined: Path, unrefined: Path, dtype: torch.dtype) -> None:
    """Settings and precision are those of the model that decodes; features of the same weights serve both ways."""
    for reader, writer in ((refined, unrefined), (unrefined, refined)):
        wanted = load_compact(reader).segment(random_image(), "hair")[0].heatmap_logits.values
        found = (
            load_compact(reader, dtype=dtype)
            .segment(load_compact(writer).encode(random_image()), "hair")[0]
            .heatmap_logits.values
        )
        assert np.linalg.norm(found - wanted) / np.linalg.norm(wanted) < (1e-4 if dtype == torch.float32 else 0.1)
