"""Fine-tuning of the compact network."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from tests.training.inputs import open_model, write_small_compact
from wordmask.batch import Batch
from wordmask.training.recipes.finetune import finetune


def test_the_loss_sees_the_calibrated_masks_that_users_see(tmp_path: Path) -> None:
    plain, folder = (write_small_compact(tmp_path / name) for name in ("compact", "calibrated"))
    config = json.loads((folder / "config.json").read_text())
    config["settings"] |= {"mask_scale": 0.5, "mask_shift": -2.0}
    (folder / "config.json").write_text(json.dumps(config))
    pixels = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    answers = {}
    for source in (plain, folder):
        model = open_model(source, finetune()).eval()
        masks = torch.zeros(1, 32, 32)
        with torch.inference_mode():
            answers[source.name] = model(Batch(["a"], pixels, ["red thing"], masks, masks))
    torch.testing.assert_close(answers["calibrated"].logits, 0.5 * answers["compact"].logits - 2)
