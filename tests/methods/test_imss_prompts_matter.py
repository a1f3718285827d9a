"""Golden check: the prompt decides. A resolver trained on two kinds of targets draws the one whose box it gets.

The authors' own figure shows the eyes whatever was asked. Here: synthetic faces, and a small vision model that is
trained on generic shapes and then frozen; two minutes on a core.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.methods.region_checkpoints import draw_weights
from wordmask.backbones.sam import SamParts
from wordmask.backbones.sam.load import split_sam
from wordmask.batch import Batch
from wordmask.methods.imss.region_prompts import mask_boxes
from wordmask.methods.imss.resolved import ResolvedSamHost, fresh_resolver
from wordmask.methods.imss.training import ResolverTraining, TrainedResolver

SIDE = 128
STEPS = (300, 200)
"""Of training the vision model, and of training the resolver."""


def _ellipse(centre: tuple[float, float], half: tuple[float, float]) -> np.ndarray:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return np.asarray(((columns - centre[0]) / half[0]) ** 2 + ((rows - centre[1]) / half[1]) ** 2 <= 1)


def _shapes(random: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
    """An image of three ellipses in random colours."""
    pixels = random.normal(0, 0.3, (3, SIDE, SIDE)) + random.normal(0, 0.5, (3, 1, 1))
    masks = []
    for number in range(3):
        centre = random.uniform(15, 110), 25 + 40 * number + random.uniform(-8, 8)
        mask = _ellipse(centre, (random.uniform(6, 16), random.uniform(5, 15)))
        pixels[:, mask] += random.choice([-1, 1], 3)[:, None] * random.uniform(0.8, 1.6)
        masks.append(mask)
    return pixels, masks


def _face(random: np.random.Generator) -> tuple[np.ndarray, list[np.ndarray]]:
    """A face: two eyes and a mouth."""
    pixels = random.normal(0, 0.25, (3, SIDE, SIDE)) + random.normal(0, 0.3, (3, 1, 1))
    x, y = random.uniform(54, 74), random.uniform(40, 56)
    pixels[:, _ellipse((x, y + 18), (44, 54))] += np.array([0.9, 0.5, 0.3])[:, None]
    masks = []
    for side in (-1, 1):
        mask = _ellipse((x + side * random.uniform(16, 22), y), (random.uniform(7, 10), random.uniform(4, 6)))
        pixels[:, mask] = np.array([-1.0, -0.8, 0.4])[:, None] + random.normal(0, 0.2, (3, 1))
        masks.append(mask)
    mask = _ellipse((x, y + random.uniform(36, 44)), (random.uniform(14, 20), random.uniform(5, 8)))
    pixels[:, mask] = np.array([1.4, -0.9, -0.7])[:, None] + random.normal(0, 0.2, (3, 1))
    return pixels, [*masks, mask]


def _batch(draw: Callable[[np.random.Generator], tuple[np.ndarray, list[np.ndarray]]], seed: int, count: int) -> Batch:
    random = np.random.default_rng(seed)
    made = [draw(random) for _ in range(count)]
    pixels = torch.from_numpy(np.stack([pixels for pixels, _ in made])).float()
    masks = torch.from_numpy(np.concatenate([np.stack(masks) for _, masks in made])).float()
    phrases = ["left eye", "right eye", "mouth"] * count
    return Batch([str(number) for number in range(count)], pixels, phrases, masks, torch.ones_like(masks))


@pytest.fixture(scope="module")
def parts() -> SamParts:
    """A small SAM trained on ellipses by their boxes, then frozen."""
    from transformers import SamConfig, SamMaskDecoderConfig, SamModel, SamPromptEncoderConfig, SamVisionConfig

    vision = SamVisionConfig(
        hidden_size=64, num_hidden_layers=4, num_attention_heads=2, image_size=SIDE, patch_size=16, window_size=4,
        global_attn_indexes=[0, 1, 2, 3], output_channels=64, num_pos_feats=32, mlp_dim=128,
    )  # fmt: skip
    config = SamConfig(
        vision_config=vision,
        prompt_encoder_config=SamPromptEncoderConfig(hidden_size=64, image_size=SIDE, patch_size=16),
        mask_decoder_config=SamMaskDecoderConfig(
            hidden_size=64, num_attention_heads=4, mlp_dim=128, iou_head_hidden_dim=32
        ),
    )
    model = SamModel(config)
    draw_weights(model, seed=0)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    for step in range(STEPS[0]):
        batch = _batch(_shapes, step, 8)
        boxes = mask_boxes(batch.masks).view(8, 3, 4)
        output = model(pixel_values=batch.pixels, input_boxes=boxes, multimask_output=False)
        target = F.avg_pool2d(batch.masks[None], 4)[0]
        loss = F.binary_cross_entropy_with_logits(output.pred_masks.flatten(0, 2), target)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    return split_sam(model.eval().requires_grad_(False), with_levels=True)


def _iou(host: ResolvedSamHost, batch: Batch, asked: int, drawn: int) -> float:
    """Mean IoU over faces of the mask for the box of part `asked` with part `drawn`."""
    scores = []
    for image in range(len(batch.pixels)):
        masks = batch.masks[3 * image : 3 * image + 3]
        with torch.inference_mode():
            features = host.encode_pixels(batch.pixels[image : image + 1])
            logits = host.decode_boxes(features, mask_boxes(masks[asked : asked + 1])).logits
        mask = F.interpolate(logits[None], (SIDE, SIDE), mode="bilinear")[0, 0] > 0
        target = masks[drawn] > 0.5
        scores.append(float((mask & target).sum() / (mask | target).sum().clamp(min=1)))
    return float(np.mean(scores))


@pytest.mark.slow
def test_the_box_decides_which_part_is_drawn(parts: SamParts, tmp_path: Path) -> None:
    torch.manual_seed(0)
    resolver = fresh_resolver(parts)
    test = _batch(_face, 10**6, 20)
    host = ResolvedSamHost(parts, resolver, name="x")
    before = _iou(host, test, 0, 0)
    settings = TrainedResolver(sampled=1024)
    training = ResolverTraining(parts, resolver, settings, bundle=tmp_path, folders={}, seed=0).train()
    optimiser = torch.optim.Adam(resolver.parameters(), lr=1e-3)
    for step in range(STEPS[1]):
        losses = training.loss(_batch(_face, step, 8), step)
        loss = losses["bce"] + losses["dice"]
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    resolver.eval()
    assert _iou(host, test, 0, 0) > max(0.6, before + 0.1)
    assert _iou(host, test, 2, 0) < 0.2
    assert _iou(host, test, 0, 2) < 0.2
    assert _iou(host, test, 0, 1) < 0.2
