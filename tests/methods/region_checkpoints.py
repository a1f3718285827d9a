"""Small random detectors and SAMs on disk, written by transformers itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
SPECIAL = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1012: ".", 1029: "?"}
"""Numbers that transformers' Grounding DINO expects of BERT's vocabulary."""


def draw_weights(model: nn.Module, *, seed: int) -> None:
    """Draw weights with which activations stay of order one; those of SAM start at 0 or 1e-10."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1:
                weight.normal_(std=max(1, weight[0].numel()) ** -0.5, generator=generator)
            elif "norm" not in name:
                weight.normal_(std=0.1, generator=generator)


def write_tokenizer(folder: Path) -> None:
    """Write a BERT tokenizer of single characters."""
    from transformers import BertTokenizerFast

    vocabulary = [f"[unused{number}]" for number in range(1100)]
    for number, token in SPECIAL.items():
        vocabulary[number] = token
    for place, letter in enumerate(LETTERS):
        vocabulary[200 + place], vocabulary[300 + place] = letter, f"##{letter}"
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)


def write_grounding_dino(folder: Path, *, kind: str = "GroundingDino", seed: int = 0) -> Any:
    """Write a random Grounding DINO (or "MMGroundingDino") with its preprocessing, and return it."""
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder)
    sides = {"size": {"shortest_edge": 64, "longest_edge": 128}, "image_processor_type": "GroundingDinoImageProcessor"}
    (folder / "preprocessor_config.json").write_text(json.dumps(sides))
    backbone = transformers.SwinConfig(
        embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=4, image_size=64,
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    text = transformers.BertConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, vocab_size=1100
    )
    config = getattr(transformers, f"{kind}Config")(
        backbone_config=backbone, text_config=text, d_model=64, encoder_layers=2, encoder_ffn_dim=32,
        encoder_attention_heads=4, decoder_layers=2, decoder_ffn_dim=32, decoder_attention_heads=4, num_queries=20,
        max_text_len=64,
    )  # fmt: skip
    torch.manual_seed(seed)
    model = getattr(transformers, f"{kind}ForObjectDetection")(config).eval()
    draw_weights(model, seed=seed)
    model.save_pretrained(folder)
    return model


def write_sam(folder: Path, *, seed: int = 0, **vision: Any) -> Any:
    """Write a random SAM with 128 px images, and return it."""
    from transformers import SamConfig, SamMaskDecoderConfig, SamModel, SamPromptEncoderConfig, SamVisionConfig

    values = {
        "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 2, "image_size": 128, "patch_size": 16,
        "window_size": 3, "global_attn_indexes": [0, 1, 2, 3], "output_channels": 32, "num_pos_feats": 16,
        "mlp_dim": 64, **vision,
    }  # fmt: skip
    config = SamConfig(
        vision_config=SamVisionConfig(**values),
        prompt_encoder_config=SamPromptEncoderConfig(hidden_size=32, image_size=128, patch_size=16),
        mask_decoder_config=SamMaskDecoderConfig(
            hidden_size=32, num_attention_heads=2, mlp_dim=32, iou_head_hidden_dim=16
        ),
    )
    model = SamModel(config).eval()
    draw_weights(model, seed=seed)
    model.save_pretrained(folder)
    return model


def write_bundle(folder: Path, *, seed: int = 1, isolation: dict[str, Any] | None = None, **extra: Any) -> Path:
    """Write a bundle of a random detector and a random SAM beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    write_grounding_dino(folder / "detector", seed=seed)
    write_sam(folder / "segmenter", seed=seed)
    config = {
        "model_type": "wordmask-regions",
        "isolation": {"box_threshold": 0.0, **(isolation or {})},
        "parts": {"detector": {"path": "detector"}, "segmenter": {"path": "segmenter"}},
        **extra,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder
