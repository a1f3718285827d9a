"""The published weights give the published numbers: golden check 5. Needs the network, so it runs when asked for."""

from __future__ import annotations

import io
import os
import urllib.request

import numpy as np
import pytest
import torch

from wordmask.errors import OfflineError
from wordmask.methods.clipseg import load_clipseg

pytestmark = pytest.mark.hub

CATS = "http://images.cocodataset.org/val2017/000000039769.jpg"


@pytest.fixture
def cats(monkeypatch: pytest.MonkeyPatch) -> bytes:
    if os.environ.get("WORDMASK_HUB_TESTS") != "1":
        pytest.skip("set WORDMASK_HUB_TESTS=1 to download the published weights")
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    try:
        with urllib.request.urlopen(CATS, timeout=20) as response:
            return io.BytesIO(response.read()).getvalue()
    except OSError as error:
        pytest.skip(f"no network: {error}")


def test_released_weights(cats: bytes) -> None:
    try:
        segmenter = load_clipseg("CIDAS/clipseg-rd64-refined", device="cpu", dtype="float32")
    except OfflineError as error:
        pytest.skip(str(error))
    result = segmenter.segment(cats, ["a cat", "a remote", "a blanket"])
    expected = [[-7.4613, -7.4785, -7.3628], [-7.3268, -7.0899, -7.1333], [-6.9838, -6.7900, -6.8913]]
    assert result[0].heatmap_logits.values.shape == (352, 352)
    np.testing.assert_allclose(result[0].heatmap_logits.values[:3, :3], expected, atol=1e-3)
    model = segmenter.model
    condition = model.embed_texts(["a cat"])[0]  # type: ignore[attr-defined]
    torch.testing.assert_close(condition[:3], torch.tensor([0.5601, -0.0314, 0.1980]), atol=1e-3, rtol=0)
    assert result.image is not None
    pixels = segmenter._pixels(result.image, model.canvas(result.size))[None]
    pooled = model.vision.pooled(pixels)[0]  # type: ignore[attr-defined]
    torch.testing.assert_close(pooled[:3], torch.tensor([0.5036, -0.2681, -0.2644]), atol=1e-3, rtol=0)
