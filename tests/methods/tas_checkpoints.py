"""Small random checkpoints of SAM, CLIP and captioners, written by transformers itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers as hf

from tests.methods.checkpoints import write_tokenizer

WORDS = "[PAD] [UNK] [CLS] [SEP] [MASK] a cat dog red car on the sofa man left".split()
TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
TINY_VISION = {**TOWER, "image_size": 32, "patch_size": 16}


def spread(model: Any, gain: float = 1.0) -> Any:
    """Make weights large enough that inputs make a difference."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=gain * parameter[0].numel() ** -0.5)
            elif "norm" not in name:
                parameter.normal_(std=0.1)
    return model.eval()


def write_sam(folder: Path) -> Path:
    config = hf.SamConfig(
        vision_config={
            "hidden_size": 32, "output_channels": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_dim": 64,
            "image_size": 64, "patch_size": 8, "global_attn_indexes": [1], "window_size": 4, "num_pos_feats": 8,
        },
        prompt_encoder_config={"hidden_size": 16, "image_size": 64, "patch_size": 8, "mask_input_channels": 4},
        mask_decoder_config={
            "hidden_size": 16, "mlp_dim": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
            "iou_head_hidden_dim": 16, "iou_head_depth": 2, "attention_downsample_rate": 2,
        },
    )  # fmt: skip
    spread(hf.SamModel(config), 2.0).save_pretrained(folder)
    return folder


def write_clip(folder: Path, *, layers: int = 4) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    tokens = write_tokenizer(folder)
    tower = {**TOWER, "num_hidden_layers": layers}
    ends = {"eos_token_id": tokens - 1, "bos_token_id": tokens - 2, "pad_token_id": tokens - 1}
    config = hf.CLIPConfig(
        vision_config={**tower, "image_size": 64, "patch_size": 16, "projection_dim": 16},
        text_config={**tower, "vocab_size": tokens, "projection_dim": 16, **ends},
        projection_dim=16,
    )
    spread(hf.CLIPModel(config), 1.5).save_pretrained(folder)
    return folder


def write_captioner(folder: Path, kind: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    hf.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    side = 64 if kind == "florence2" else 32
    (folder / "preprocessor_config.json").write_text(json.dumps({"size": {"height": side, "width": side}}))
    spread(_captioner(kind), 3.0).save_pretrained(folder)
    return folder


def _captioner(kind: str) -> Any:
    ends = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0, "vocab_size": 15}
    if kind == "blip":
        text = {**TOWER, **ends, "encoder_hidden_size": 32, "sep_token_id": 3, "max_position_embeddings": 64}
        config: Any = hf.BlipConfig(text_config=text, vision_config=TINY_VISION)
        return hf.BlipForConditionalGeneration(config)
    if kind == "blip-2":
        opt = {
            **TOWER, **ends, "model_type": "opt", "vocab_size": 16, "ffn_dim": 64, "word_embed_proj_dim": 32,
            "max_position_embeddings": 64,
        }  # fmt: skip
        config = hf.Blip2Config(
            vision_config=TINY_VISION,
            qformer_config={**TOWER, "encoder_hidden_size": 32, "vocab_size": 15},
            text_config=opt,
            num_query_tokens=4,
            image_token_index=15,
        )
        return hf.Blip2ForConditionalGeneration(config)
    bart = {
        **ends, "model_type": "bart", "d_model": 32, "vocab_size": 20, "encoder_layers": 1, "decoder_layers": 1,
        "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32,
        "max_position_embeddings": 128, "decoder_start_token_id": 3, "forced_eos_token_id": 3,
    }  # fmt: skip
    davit = {
        "depths": [1, 1, 1, 1], "embed_dim": [8, 8, 16, 16], "num_heads": [1, 1, 2, 2], "num_groups": [1, 1, 2, 2],
        "window_size": 4, "projection_dim": 32,
    }  # fmt: skip
    config = hf.Florence2Config(vision_config=davit, text_config=bart, image_token_id=19)
    return hf.Florence2ForConditionalGeneration(config)
