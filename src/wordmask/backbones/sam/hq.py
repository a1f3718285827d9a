"""SAM-HQ's mask decoder: a token and features of its own beside SAM's (arXiv 2306.01567).

Written after the paper: the masks are made from what the two-way transformer returns. transformers 5.23 makes them from
what goes into it (and turns height into width), so its SAM-HQ masks are not those of the published model; weights are
read through it, and every other part is tested against it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wordmask.backbones.pretrained import read_pretrained
from wordmask.backbones.sam.decoder import BoxMasks, SamDecoder
from wordmask.backbones.sam.load import SamParts
from wordmask.backbones.sam.vision import SamVision

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SamHqDecoder", "load_sam_hq"]


class SamHqDecoder(SamDecoder):
    """Boxes to masks, as the sum of SAM's mask and the high-quality token's.

    Args:
        model: transformers' `SamHQModel`.
        hq_only: Whether the high-quality token's mask is taken alone.
    """

    def __init__(self, model: Any, *, hq_only: bool = False) -> None:
        super().__init__(model)
        self.hq_only = hq_only

    def image_features(self, embedding: Tensor, level: Tensor) -> Tensor:
        """Return float `(B, C / 8, 4 h, 4 w)`, the same for all prompts.

        Args:
            embedding: float `(B, C, h, w)`, the final embedding.
            level: float `(B, h, w, channels)`, the output of the first global-attention block.
        """
        decoder: Any = self.decoder
        final = decoder.encoder_conv2(F.gelu(decoder.encoder_norm(decoder.encoder_conv1(embedding))))
        early = decoder.compress_vit_conv1(level.permute(0, 3, 1, 2).contiguous())
        features: Tensor = final + decoder.compress_vit_conv2(F.gelu(decoder.compress_vit_norm(early)))
        return features

    def _decode(
        self, embedding: Tensor, prompts: Tensor, extra: Tensor | None, several: bool,
        head: tuple[Tensor, nn.Module] | None,
    ) -> BoxMasks:  # fmt: skip
        assert extra is not None
        assert not several
        assert head is None
        decoder: Any = self.decoder
        own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight, decoder.hq_token.weight])
        tokens = torch.cat([own[None].expand(len(prompts), -1, -1), prompts.to(own)], dim=1)
        image = embedding.to(own) + self.prompt_encoder.no_mask_embed.weight.view(1, -1, 1, 1).to(own)
        queries, cells = self._attend(tokens, image.flatten(2).transpose(1, 2))
        upscaled = self._upscale(cells)
        refined = decoder.mask_conv1(self._to_map(upscaled))
        refined = decoder.mask_conv2(F.gelu(decoder.mask_norm(refined))) + extra.to(own)  # (N, C / 8, 4 h, 4 w)
        weight = decoder.hq_mask_mlp(queries[:, 1 + len(decoder.mask_tokens.weight)])
        logits = torch.einsum("nc,nchw->nhw", weight, refined)[:, None]
        if not self.hq_only:
            plain = decoder.output_hypernetworks_mlps[0](queries[:, 1])
            logits = logits + self._to_map(torch.bmm(upscaled, plain[:, :, None]))
        return BoxMasks(logits, decoder.iou_prediction_head(queries[:, 0])[:, :1])


def load_sam_hq(folder: Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> SamParts:
    """Read SAM-HQ from a local folder as the hub has it, such as `syscv-community/sam-hq-vit-base`.

    Args:
        folder: config.json and weights.
        device: Where the networks run.
        dtype: Their precision; prompts are embedded in float32.

    Raises:
        ModelNotFoundError: If files are missing.
        CheckpointError: If they are damaged or of another kind.
    """
    model: Any = read_pretrained(folder, kind="SamHQModel")
    decoder = SamHqDecoder(model).to(device=device, dtype=dtype)
    vision = SamVision(model.vision_encoder, with_levels=True).to(device=device, dtype=dtype)
    return SamParts(vision.eval(), decoder.eval())
