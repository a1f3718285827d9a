"""Small random CLIPSeg checkpoints on disk, written by transformers itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import CLIPSegConfig, CLIPSegForImageSegmentation

WORDS = ("a cat", "hair", "left eye", "the red car", "dog")


def write_tokenizer(folder: Path) -> int:
    """Write a byte-level CLIP tokenizer without merges; returns the number of tokens."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = (chr(256 + i) for i in range(256 - len(printable)))
    letters = [chr(byte) if byte in printable else next(others) for byte in range(256)]
    tokens = [*letters, *(letter + "</w>" for letter in letters), "c a", "<|startoftext|>", "<|endoftext|>"]
    tokens.remove("c a")
    tokens.insert(512, "ca")
    (folder / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\nc a\n")
    special = {"unk_token": tokens[-1], "bos_token": tokens[-2], "eos_token": tokens[-1], "pad_token": tokens[-1]}
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer", **special}))
    return len(tokens)


def write_preprocessor(folder: Path, size: int) -> None:
    values = {
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.485, 0.456, 0.406],
        "image_processor_type": "ViTImageProcessor",
        "image_std": [0.229, 0.224, 0.225],
        "resample": 2,
        "rescale_factor": 1 / 255,
        "size": {"height": size, "width": size},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(values))


def write_vit(folder: Path, *, size: int = 64, seed: int = 0, **changes: Any) -> Any:
    """Write a random classifier on a ViT with transformers, with a preprocessor, and return it."""
    from transformers import ViTConfig, ViTForImageClassification

    folder.mkdir(parents=True, exist_ok=True)
    write_preprocessor(folder, size)
    values = {
        "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_hidden_layers": 12,
        "image_size": size, "patch_size": 16, **changes,
    }  # fmt: skip
    torch.manual_seed(seed)
    model = ViTForImageClassification(ViTConfig(**values)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.3)
    model.save_pretrained(folder)
    return model


def write_clipseg(folder: Path, *, refined: bool = False, size: int = 224, seed: int = 0, **changes: Any) -> Any:
    """Write a random checkpoint with transformers and return the model it was saved from.

    The weights are larger than transformers' own initial ones, so that prompts and places make a difference.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokens = write_tokenizer(folder)
    write_preprocessor(folder, size)
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4}
    values: dict[str, Any] = {
        "vision_config": {**tower, "num_hidden_layers": 12, "image_size": 224, "patch_size": 16},
        "text_config": {
            **tower,
            "num_hidden_layers": 2,
            "vocab_size": tokens,
            "eos_token_id": tokens - 1,
            "bos_token_id": tokens - 2,
        },
        "projection_dim": 24,
        "reduce_dim": 16,
        "decoder_num_attention_heads": 4,
        "decoder_intermediate_size": 48,
        "use_complex_transposed_convolution": refined,
        **changes,
    }
    torch.manual_seed(seed)
    model = CLIPSegForImageSegmentation(CLIPSegConfig(**values)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=parameter[0].numel() ** -0.5)
            elif "norm" not in name:
                parameter.normal_(std=0.1)
    model.save_pretrained(folder)
    return model
