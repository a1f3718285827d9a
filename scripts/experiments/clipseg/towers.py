"""Small towers to train from scratch: a CLIP, its tokenizer, and a ViT that learns the same names without words."""

from __future__ import annotations

import gzip
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wordmask.backbones.clip import load_tokenizer
from wordmask.formats.files import write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TABLE = "clip_bpe_vocab_16e6.txt.gz"
"""CLIP's table of merges, as OpenAI publishes it."""
MERGES = 49_152 - 256 - 2
"""How many of its lines CLIP uses."""
CONTEXT = 77
LENGTH = 3.0
"""Of the vectors, on average. Contrastive training leaves it open; `docs/experiments/clipseg.md` says what a length of
24 did."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Sizes of the towers.

    Attributes:
        side, patch: Of pictures and patches, in pixels.
        width, depth, heads: Of the vision tower.
        text_width, text_depth, text_heads: Of the text tower.
        channels: Of the shared space; 512 is that of CLIP's own text vectors.
    """

    side: int = 176
    patch: int = 16
    width: int = 192
    depth: int = 12
    heads: int = 3
    text_width: int = 128
    text_depth: int = 3
    text_heads: int = 2
    channels: int = 512


def write_tokenizer(folder: Path, names: Path | None) -> int:
    """Write CLIP's byte-pair tokenizer and return how many tokens it has.

    Args:
        folder: Where to.
        names: Folder with `TABLE`; None, or a folder without it, makes a tokenizer of single bytes.
    """
    table = None if names is None else names / TABLE
    merges: list[str] = []
    if table is not None and table.is_file():
        lines = gzip.decompress(table.read_bytes()).decode("utf-8").split("\n")[1 : MERGES + 1]
        merges = [line for line in lines if line]
    letters = byte_letters()
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(pair.split()) for pair in merges)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    write(folder / "vocab.json", json.dumps({token: number for number, token in enumerate(tokens)}).encode())
    write(folder / "merges.txt", "\n".join(["#version: 0.2", *merges, ""]).encode())
    special = {"bos_token": tokens[-2], **dict.fromkeys(("unk_token", "eos_token", "pad_token"), tokens[-1])}
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": CONTEXT, **special}
    write(folder / "tokenizer_config.json", json.dumps(settings, indent=2).encode())
    return len(tokens)


def byte_letters() -> list[str]:
    """Return a printable letter for each of the 256 bytes, in the order of CLIP's vocabulary (GPT-2's).

    Bytes that print stand for themselves and come first; the others take the letters from 256 on.
    """
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [*map(chr, printable), *(chr(256 + number) for number in range(256 - len(printable)))]


class WordTower(nn.Module):
    """A CLIP to be trained: pictures, and what is in them in words.

    Args:
        sizes: Of both towers.
        folder: Where its tokenizer is.
        tokens: How many tokens that has.
    """

    def __init__(self, sizes: Sizes, folder: Path, tokens: int) -> None:
        super().__init__()
        from transformers import CLIPConfig, CLIPModel

        ends = {"bos_token_id": tokens - 2, "eos_token_id": tokens - 1, "pad_token_id": tokens - 1}
        text = {
            **_tower(sizes.text_width, sizes.text_depth, sizes.text_heads), **ends, "vocab_size": tokens,
            "max_position_embeddings": CONTEXT, "projection_dim": sizes.channels,
        }  # fmt: skip
        vision = {**_vision(sizes), "projection_dim": sizes.channels}
        config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=sizes.channels)
        self.sizes, self.model, self.tokenizer = sizes, CLIPModel(config), load_tokenizer(folder)

    def pictures(self, pixels: Tensor) -> Tensor:
        """Normalised pictures (B, 3, H, W) to float32 vectors (B, C) of length 1."""
        seen = self.model.vision_model(pixel_values=pixels, interpolate_pos_encoding=True).pooler_output
        return F.normalize(self.model.visual_projection(seen).float(), dim=-1)

    def phrases(self, texts: Sequence[str]) -> Tensor:
        """Phrases to float32 vectors (P, C) of length 1."""
        tokens = self.tokenizer(list(texts), padding=True, truncation=True, max_length=CONTEXT, return_tensors="pt")
        ids = tokens["input_ids"].to(self.model.logit_scale.device)
        read = self.model.text_model(input_ids=ids).pooler_output  # padding needs no mask: attention is causal
        return F.normalize(self.model.text_projection(read).float(), dim=-1)

    def scale(self) -> Tensor:
        """Factor of the cosines, as in CLIP at most 100."""
        scale: Tensor = self.model.logit_scale.clamp(max=4.6052).exp()
        return scale

    @torch.no_grad()
    def settle(self, pixels: Tensor, texts: Sequence[str]) -> None:
        """Give the vectors of pictures (B, 3, H, W) and of phrases a mean length of `LENGTH`."""
        seen = self.model.vision_model(pixel_values=pixels, interpolate_pos_encoding=True).pooler_output
        tokens = self.tokenizer(list(texts), padding=True, truncation=True, max_length=CONTEXT, return_tensors="pt")
        read = self.model.text_model(input_ids=tokens["input_ids"].to(seen.device)).pooler_output
        for projection, vectors in ((self.model.visual_projection, seen), (self.model.text_projection, read)):
            projection.weight.mul_(LENGTH / projection(vectors).norm(dim=-1).mean())

    def save(self, folder: Path) -> None:
        """Write a folder that transformers and `wordmask train --model` read."""
        self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


class NameTower(nn.Module):
    """The same vision tower, trained to tell names apart as numbers: what training on ImageNet is to CLIP.

    Args:
        sizes: Of the tower.
        names: How many names there are.
    """

    def __init__(self, sizes: Sizes, names: int) -> None:
        super().__init__()
        from transformers import ViTConfig, ViTModel

        self.sizes = sizes
        self.model = ViTModel(ViTConfig(**_vision(sizes)), add_pooling_layer=False)
        self.head = nn.Linear(sizes.width, names)

    def forward(self, pixels: Tensor) -> Tensor:
        """Normalised pictures (B, 3, H, W) to float32 logits (B, V)."""
        seen = self.model(pixel_values=pixels, interpolate_pos_encoding=True).last_hidden_state[:, 0]
        logits: Tensor = self.head(seen).float()
        return logits

    @torch.no_grad()
    def settle(self, pixels: Tensor) -> None:
        """Give the class tokens of pictures (B, 3, H, W) a mean length of `LENGTH`; read-outs come from before it."""
        seen = self.model(pixel_values=pixels, interpolate_pos_encoding=True).last_hidden_state[:, 0]
        factor = LENGTH / seen.norm(dim=-1).mean()
        for weight in (self.model.layernorm.weight, self.model.layernorm.bias):
            weight.mul_(factor)

    def save(self, folder: Path) -> None:
        """Write a folder that transformers and `wordmask train --model` read; the head is left behind."""
        self.model.save_pretrained(folder)


def save_state(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint that appears whole or not at all."""
    beside = path.with_name(f"{path.name}.tmp")
    torch.save(content, beside)
    os.replace(beside, path)


def _vision(sizes: Sizes) -> dict[str, Any]:
    tower = _tower(sizes.width, sizes.depth, sizes.heads)
    return {**tower, "image_size": sizes.side, "patch_size": sizes.patch}


def _tower(width: int, depth: int, heads: int) -> dict[str, Any]:
    return {
        "hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": depth, "num_attention_heads": heads,
        "hidden_act": "gelu",
    }  # fmt: skip
