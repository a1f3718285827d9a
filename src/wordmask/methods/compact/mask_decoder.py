"""Decode feature maps and conditions to mask and presence logits, with FiLM as in CLIPSeg (arXiv 2112.10003).

Two paths are added. The dot path is the product of pixel embeddings with a query made from the condition. The FiLM path
scales and shifts a map at stride 8 by the condition, applies a 3x3 convolution and refines the result at stride 4; its
pooled activations feed the presence head.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wordmask.backbones.compact.image import ConvNorm
from wordmask.methods.compact.pooled_presence import PooledPresence, pool_cells, pool_inputs

__all__ = ["ImageFeatures", "MaskDecoder", "Neck", "PreparedFeatures"]


class ImageFeatures(NamedTuple):
    """What the decoder needs of B images.

    Attributes:
        fine: (B, F, h, w) map at stride 4 for the FiLM path.
        coarse: (B, C, h / 2, w / 2) map at stride 8 for the FiLM path.
        pixel: (B, D, h, w) pixel embeddings of the dot path.
        scene: (B, S) mean of the coarsest map.
    """

    fine: Tensor
    coarse: Tensor
    pixel: Tensor
    scene: Tensor


class PreparedFeatures(NamedTuple):
    """What the decoder makes of `ImageFeatures` of B images whatever is asked: less to keep, and less to compute again.

    Attributes:
        film: (B, width, h / 2, w / 2), the coarse map reduced for the FiLM path.
        film_fine: (B, narrow, h, w), the fine map reduced likewise.
        pixel: (B, D, h, w) pixel embeddings.
        cells: (B, D, h / 2 * w / 2), their means over squares of two by two; (B, D, 0) without `PooledPresence`.
        scene: (B, S).
    """

    film: Tensor
    film_fine: Tensor
    pixel: Tensor
    cells: Tensor
    scene: Tensor


class Neck(nn.Module):
    """Feature pyramid network (Lin et al., arXiv 1612.03144): coarse maps are upsampled and added to finer ones.

    Args:
        widths: Channels of the encoder's four maps.
        channels: Channels C at strides 8 and 16.
        fine: Channels F at stride 4.
        pixel: Channels D of a pixel embedding.
    """

    def __init__(self, widths: tuple[int, ...], *, channels: int = 80, fine: int = 32, pixel: int = 64) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(w, channels, 1) for w in widths[1:])
        self.mix16 = ConvNorm(channels, channels)
        self.mix8 = ConvNorm(channels, channels)
        self.shallow = nn.Conv2d(widths[0], fine, 1)
        self.down = nn.Conv2d(channels, fine, 1)
        self.mix4 = ConvNorm(fine, fine)
        self.pixel = nn.Conv2d(fine, pixel, 1)
        self.pixel_coarse = nn.Conv2d(channels, pixel, 1)

    def forward(self, maps: tuple[Tensor, ...]) -> ImageFeatures:
        """Combine the encoder's maps (B, widths[i], H / stride, W / stride) at strides 4, 8, 16 and 32."""
        at8, at16, at32 = (lateral(m) for lateral, m in zip(self.lateral, maps[1:], strict=True))  # each C channels
        at16 = self.mix16(at16 + _upsample(at32, at16))
        at8 = self.mix8(at8 + _upsample(at16, at8))
        fine = self.mix4(self.shallow(maps[0]) + _upsample(self.down(at8), maps[0]))  # (B, F, h, w)
        pixel = self.pixel(fine) + _upsample(self.pixel_coarse(at8), fine)  # (B, D, h, w)
        return ImageFeatures(fine, at8, pixel, maps[-1].mean((2, 3)))


def _upsample(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


class MaskDecoder(nn.Module):
    """Decode K conditions for each of B images to mask logits at stride 4 and presence logits.

    Args:
        condition: Channels of a condition.
        channels: Channels of the coarse map.
        fine: Channels of the fine map.
        pixel: Channels of a pixel embedding.
        scene: Channels of the scene vector.
        width: Channels of the FiLM path at stride 8.
        narrow: Channels of the FiLM path at stride 4.
        scene_product: Whether presence also reads the product of the scene vector and the condition.
        pooled_presence: Further presence heads (`PooledPresence`), whose mean is added; 0: none.
    """

    def __init__(
        self,
        condition: int = 512,
        *,
        channels: int = 80,
        fine: int = 32,
        pixel: int = 64,
        scene: int = 288,
        width: int = 48,
        narrow: int = 16,
        scene_product: bool = False,
        pooled_presence: int = 0,
    ) -> None:
        super().__init__()
        self.scene_product = scene_product
        self.sizes = [width, width, narrow, narrow]
        self.gain = condition**0.5  # conditions are unit vectors: their entries get unit variance
        self.query = nn.Sequential(nn.Linear(condition, 256), nn.GELU(), nn.Linear(256, pixel + 1))
        self.film = nn.Sequential(nn.Linear(condition, 256), nn.GELU(), nn.Linear(256, sum(self.sizes)))
        self.reduce = nn.Conv2d(channels, width, 1)
        self.look = nn.Conv2d(width, width, 3, padding=1)
        self.narrow = nn.Conv2d(width, narrow, 1)
        self.reduce_fine = nn.Conv2d(fine, narrow, 1)
        self.out = nn.Conv2d(narrow, 1, 3, padding=1)
        self.scene = nn.Linear(scene, 64)
        self.words = nn.Linear(condition, 64)
        pooled = 2 * width + 2 + 64 + 64 + (64 if scene_product else 0)
        self.presence = nn.Sequential(nn.Linear(pooled, 96), nn.GELU(), nn.Linear(96, 1))
        self.pooled: PooledPresence | None = None
        if pooled_presence:
            self.pooled = PooledPresence(
                condition=condition, scene=scene, pixel=pixel, width=width, members=pooled_presence
            )

    def dot(self, pixel: Tensor, conditions: Tensor) -> Tensor:
        """Return the logits (B, K, h, w) of the dot path.

        Args:
            pixel: Pixel embeddings (B, D, h, w).
            conditions: (B, K, condition).
        """
        query = self.query(self.gain * conditions)  # (B, K, D + 1), a bias last
        products: Tensor = query[..., :-1] @ pixel.flatten(2) * pixel.shape[1] ** -0.5 + query[..., -1:]
        return products.view(*products.shape[:2], *pixel.shape[-2:])

    def prepare(self, features: ImageFeatures | PreparedFeatures) -> PreparedFeatures:
        """Return what does not depend on conditions."""
        if isinstance(features, PreparedFeatures):
            return features
        film, film_fine = self.reduce(features.coarse), self.reduce_fine(features.fine)
        pixel = features.pixel
        cells = pixel.new_empty((*pixel.shape[:2], 0)) if self.pooled is None else pool_cells(pixel)
        return PreparedFeatures(film, film_fine, pixel, cells, features.scene)

    def forward(self, features: ImageFeatures | PreparedFeatures, conditions: Tensor) -> tuple[Tensor, Tensor]:
        """Decode prompts.

        Args:
            features: Of B images.
            conditions: float (B, K, condition), or (1, K, condition) for one image.

        Returns:
            Mask logits (B, K, h, w) at stride 4 and presence logits (B, K).
        """
        features = self.prepare(features)
        activations, dot, logits = self.masks(features, conditions)
        presence = self.own_presence(features, conditions, activations, logits)
        if self.pooled is None:
            return logits, presence
        pooled = pool_inputs(features.cells, activations, dot, logits).flatten(0, 1)  # (B * K, P)
        scene = features.scene.unsqueeze(1).expand(-1, conditions.shape[1], -1).flatten(0, 1)
        added = self.pooled(pooled, scene, conditions.expand(len(features.scene), -1, -1).flatten(0, 1))
        return logits, presence + added.view_as(presence)

    def masks(self, features: PreparedFeatures, conditions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the FiLM path at stride 8, (B, K, width, h / 2, w / 2), and logits (B, K, h, w): dot path, both.

        Args:
            features: Of B images.
            conditions: float (B, K, condition).
        """
        b, k = conditions.shape[:2]
        scale, shift, scale_fine, shift_fine = self.film(self.gain * conditions).split(self.sizes, -1)
        coarse = _film(features.film, scale, shift)  # (B * K, width, h / 2, w / 2)
        coarse = coarse + F.relu(self.look(coarse))
        upsampled = _upsample(self.narrow(coarse), features.film_fine)  # (B * K, narrow, h, w)
        fine = _film(features.film_fine, scale_fine, shift_fine, upsampled)
        dot = self.dot(features.pixel, conditions)
        logits = dot + self.out(fine).view(b, k, *fine.shape[-2:])
        return coarse.view(b, k, *coarse.shape[1:]), dot, logits

    def own_presence(self, features: PreparedFeatures, conditions: Tensor, coarse: Tensor, logits: Tensor) -> Tensor:
        flat = logits.detach().flatten(2)
        mask = torch.stack([flat.amax(2) / 5, flat.sigmoid().mean(2) * 5], 2)  # (B, K, 2): peak and area
        scene = self.scene(features.scene).unsqueeze(1).expand(-1, conditions.shape[1], -1)  # (B, K, 64)
        words = self.words(self.gain * conditions)  # (B, K, 64)
        pooled = [coarse.amax((3, 4)), coarse.mean((3, 4)), mask, scene, words]
        if self.scene_product:
            pooled.append(scene * words)
        presence: Tensor = self.presence(torch.cat(pooled, 2))
        return presence.squeeze(2)


def _film(x: Tensor, scale: Tensor, shift: Tensor, residual: Tensor | None = None) -> Tensor:
    """ReLU((1 + scale) * x + shift [+ residual]): FiLM (Perez et al., arXiv 1709.07871) with scales around one.

    Args:
        x: (B, C, h, w), shared by the image's K prompts.
        scale: (B, K, C).
        shift: (B, K, C).
        residual: (B * K, C, h, w) or None.

    Returns:
        (B * K, C, h, w).
    """
    y = torch.addcmul(shift[..., None, None], x.unsqueeze(1), 1 + scale[..., None, None]).flatten(0, 1)
    return F.relu(y if residual is None else y + residual)
