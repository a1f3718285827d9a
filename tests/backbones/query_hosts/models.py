"""Small random models with mask queries, of transformers' own classes."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["KINDS", "build"]

LABELS = ("cat", "dog", "sky")
QUERIES, CHANNELS = 7, 32
KINDS = ("mask2former", "maskformer", "eomt")


def build(kind: str, *, seed: int = 0, **changes: Any) -> Any:
    """Return a model with large random weights, so that masks cover parts of the image."""
    torch.manual_seed(seed)
    model = {"mask2former": _mask2former, "maskformer": _maskformer, "eomt": _eomt}[kind](changes).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1:
                weight.normal_(std=1.5 * weight[0].numel() ** -0.5)
            elif name.endswith("bias"):
                weight.normal_(std=0.1)
    return model


def _labels() -> dict[str, Any]:
    return {"id2label": dict(enumerate(LABELS)), "label2id": {name: place for place, name in enumerate(LABELS)}}


def _swin() -> Any:
    from transformers import SwinConfig

    return SwinConfig(
        image_size=64, embed_dim=16, depths=[1, 1, 1, 1], num_heads=[2, 2, 2, 2], window_size=4, drop_path_rate=0.0,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip


def _mask2former(changes: dict[str, Any]) -> Any:
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation

    config = Mask2FormerConfig(
        backbone_config=_swin(), feature_size=CHANNELS, mask_feature_size=CHANNELS, hidden_dim=CHANNELS,
        encoder_layers=2, decoder_layers=4, num_attention_heads=4, dim_feedforward=64, encoder_feedforward_dim=64,
        num_queries=QUERIES, train_num_points=64, **_labels(), **changes,
    )  # fmt: skip
    return Mask2FormerForUniversalSegmentation(config)


def _maskformer(changes: dict[str, Any]) -> Any:
    from transformers import MaskFormerConfig, MaskFormerForInstanceSegmentation
    from transformers.models.maskformer.configuration_maskformer import MaskFormerDetrConfig

    decoder = MaskFormerDetrConfig(
        d_model=CHANNELS, decoder_layers=3, decoder_attention_heads=4, decoder_ffn_dim=64, num_queries=QUERIES,
        encoder_layers=1, encoder_attention_heads=4, encoder_ffn_dim=64, dropout=0.0,
    )  # fmt: skip
    config = MaskFormerConfig(
        backbone_config=_swin(), decoder_config=decoder, fpn_feature_size=CHANNELS, mask_feature_size=CHANNELS,
        **_labels(), **changes,
    )  # fmt: skip
    return MaskFormerForInstanceSegmentation(config)


def _eomt(changes: dict[str, Any]) -> Any:
    from transformers import EomtConfig, EomtForUniversalSegmentation

    config = EomtConfig(
        hidden_size=CHANNELS, num_hidden_layers=5, num_attention_heads=4, image_size=64, patch_size=8, num_blocks=3,
        num_queries=QUERIES, num_upscale_blocks=1, num_register_tokens=2, layerscale_value=0.5, **_labels(), **changes,
    )  # fmt: skip
    return EomtForUniversalSegmentation(config)
