"""SAM-HQ and SAM 2 as hosts of the region segmenter."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.methods.contract import random_image
from tests.methods.region_checkpoints import draw_weights
from wordmask.backbones.sam.hq import SamHqDecoder, load_sam_hq
from wordmask.errors import CheckpointError
from wordmask.methods.imss.detectors import OracleDetector
from wordmask.methods.imss.loader import open_host
from wordmask.methods.imss.segmenter import RegionSegmenter

BOXES = torch.tensor([[10.0, 20, 60, 90], [70, 30, 90, 60], [0, 0, 128, 128]])


@pytest.fixture(scope="module")
def sam_hq(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    from transformers import (
        SamHQConfig,
        SamHQMaskDecoderConfig,
        SamHQModel,
        SamHQPromptEncoderConfig,
        SamHQVisionConfig,
    )

    folder = tmp_path_factory.mktemp("sam_hq")
    vision = SamHQVisionConfig(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=2, image_size=128, patch_size=16, window_size=3,
        global_attn_indexes=[1, 3], output_channels=32, num_pos_feats=16, mlp_dim=64,
    )  # fmt: skip
    decoder = SamHQMaskDecoderConfig(
        hidden_size=32, num_attention_heads=2, mlp_dim=32, iou_head_hidden_dim=16, vit_dim=32
    )
    prompts = SamHQPromptEncoderConfig(hidden_size=32, image_size=128, patch_size=16)
    config = SamHQConfig(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder)
    model = SamHQModel(config).eval()
    draw_weights(model, seed=0)
    model.save_pretrained(folder)
    return folder, model


class _Returned(nn.Module):
    """A two-way transformer whose image output replaces its input, as the published SAM-HQ uses it."""

    def __init__(self, transformer: nn.Module) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, image_embeddings: torch.Tensor, **named: Any) -> Any:
        queries, cells = self.transformer(image_embeddings=image_embeddings, **named)
        maps = cells.flatten(0, 1).transpose(1, 2).view_as(image_embeddings)
        image_embeddings.copy_(maps.transpose(2, 3))
        return queries, cells


@torch.inference_mode()
def test_sam_hq_equals_transformers_but_for_the_features_it_upscales(sam_hq: tuple[Path, Any]) -> None:
    folder, model = sam_hq
    parts = load_sam_hq(folder)
    assert isinstance(parts.decoder, SamHqDecoder)
    pixels = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    features = parts.vision(pixels)
    embedding, levels = model.get_image_embeddings(pixels)
    torch.testing.assert_close(features.embedding, embedding, atol=2e-5, rtol=0)
    torch.testing.assert_close(features.levels[0], levels[0], atol=2e-5, rtol=0)
    extra = parts.decoder.image_features(features.embedding, features.levels[0])
    masks = parts.decoder(features.embedding, parts.decoder.embed_boxes(BOXES), extra=extra)
    asked = {"image_embeddings": embedding, "intermediate_embeddings": levels, "multimask_output": False}
    published = model(input_boxes=BOXES[None], **asked)
    assert (published.pred_masks[0] - masks.logits).abs().max() > 0.1  # transformers 5.23, see backbones/sam/hq.py
    transformer = model.mask_decoder.transformer
    model.mask_decoder.transformer = _Returned(transformer)
    try:
        expected = model(input_boxes=BOXES[None], **asked)
    finally:
        model.mask_decoder.transformer = transformer
    torch.testing.assert_close(masks.logits, expected.pred_masks[0], atol=5e-5, rtol=0)
    torch.testing.assert_close(masks.quality, expected.iou_scores[0], atol=2e-5, rtol=0)


@pytest.fixture(scope="module")
def sam2(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    from transformers import (
        Sam2Config,
        Sam2HieraDetConfig,
        Sam2MaskDecoderConfig,
        Sam2Model,
        Sam2PromptEncoderConfig,
        Sam2VisionConfig,
    )

    folder = tmp_path_factory.mktemp("sam2")
    hiera = Sam2HieraDetConfig(
        hidden_size=16, num_attention_heads=1, image_size=[128, 128], blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[16, 32, 64, 128], num_attention_heads_per_stage=[1, 2, 4, 8],
        window_size_per_stage=[8, 4, 4, 4], global_attention_blocks=[3],
    )  # fmt: skip
    vision = Sam2VisionConfig(
        backbone_config=hiera, backbone_channel_list=[128, 64, 32, 16], fpn_hidden_size=32,
        backbone_feature_sizes=[[32, 32], [16, 16], [8, 8]],
    )  # fmt: skip
    config = Sam2Config(
        vision_config=vision,
        prompt_encoder_config=Sam2PromptEncoderConfig(hidden_size=32, image_size=128),
        mask_decoder_config=Sam2MaskDecoderConfig(
            hidden_size=32, mlp_dim=32, num_attention_heads=2, iou_head_hidden_dim=16
        ),
    )
    model = Sam2Model(config).eval()
    draw_weights(model, seed=0)
    model.save_pretrained(folder)
    return folder, model


@torch.inference_mode()
def test_sam2_equals_transformers(sam2: tuple[Path, Any]) -> None:
    host = open_host(sam2[0], device="cpu", dtype=torch.float32, name="sam2")
    segmenter = RegionSegmenter(OracleDetector({}), host)
    encoded = segmenter.encode(random_image(60, 40))
    assert encoded.placement.content == (0, 0, 128, 128)
    (one, _) = segmenter.segment_boxes(encoded, [(3.0, 4.0, 30.0, 50.0), (1.0, 1.0, 9.0, 9.0)])
    assert encoded.image is not None
    pixels = segmenter._pixels(encoded.image, encoded.placement)[None]
    boxes = torch.tensor([[[3 * 3.2, 4 * 128 / 60, 30 * 3.2, 50 * 128 / 60]]])
    expected = sam2[1](pixel_values=pixels, input_boxes=boxes, multimask_output=False)
    np.testing.assert_allclose(one.logits.values, expected.pred_masks[0, 0, 0].numpy(), atol=5e-5)


def test_the_published_folders_of_the_video_model_are_read(sam2: tuple[Path, Any], tmp_path: Path) -> None:
    shutil.copytree(sam2[0], tmp_path / "video")
    config = tmp_path / "video" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"model_type": "sam2_video"}))
    hosts = [open_host(folder, device="cpu", dtype=torch.float32, name="x") for folder in (sam2[0], tmp_path / "video")]
    assert hosts[0].name == hosts[1].name


@pytest.mark.parametrize("count", [0, 1, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("kind", ["sam_hq", "sam2"])
def test_any_number_of_regions(kind: str, dtype: torch.dtype, count: int, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(kind)[0]
    boxes = [(4.0 + 9 * k, 5.0 + 4 * k, 20.0 + 9 * k, 24.0 + 4 * k) for k in range(count)]
    host = open_host(folder, device="cpu", dtype=dtype, name=kind)
    found = RegionSegmenter(OracleDetector({"eye": boxes}), host, dtype=dtype).segment(random_image(), "eye")[0]
    assert len(found.regions or ()) == count
    assert found.mask.shape == (48, 64)


def test_a_resolver_belongs_to_sam(sam_hq: tuple[Path, Any]) -> None:
    with pytest.raises(CheckpointError, match="sam, for a resolver"):
        open_host(sam_hq[0], device="cpu", dtype=torch.float32, name="x", resolver=sam_hq[0])
