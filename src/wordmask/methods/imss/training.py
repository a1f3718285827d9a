"""The resolver in training: the vision model around it stays as it is."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from wordmask.backbones.sam.load import MEAN, STD
from wordmask.backbones.sam.vision import SamFeatures
from wordmask.checkpoints import read_json
from wordmask.losses.sampled_masks import PointSampling, point_losses
from wordmask.methods.imss.avamdr import Resolved
from wordmask.methods.imss.loader import open_detector, read_isolation
from wordmask.methods.imss.region_prompts import PromptMixture, draw_prompts
from wordmask.methods.imss.resolved import ResolvedSamHost, save_resolver
from wordmask.methods.imss.segmenter import RegionSegmenter
from wordmask.methods.trainable import PartsTrainable, TrainedParts, fingerprint_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from wordmask.backbones.sam import SamParts
    from wordmask.batch import Batch
    from wordmask.components.feature_cache import FeatureCache
    from wordmask.contracts import Segmenter
    from wordmask.methods.imss.avamdr import Resolver
    from wordmask.methods.imss.region_prompts import RegionPrompts
    from wordmask.settings import Ranges

__all__ = ["ResolverTraining", "TrainedResolver"]


@dataclass(frozen=True, kw_only=True)
class TrainedResolver(TrainedParts):
    """Settings of training a resolver on a frozen SAM.

    Attributes:
        jitter: Each side of a box prompt is shifted by up to this part of its length.
        loose: Part of box prompts that are enlarged 1.2 to 1.8 times.
        points: Part of prompts that are ten points on the object.
        whole: Part of box prompts round the whole image, where an image has one target only.
        sampled: Points of a mask on which the loss is computed.
        token: Whether a copy of the mask token and its network is trained too.
        evit: Whether there is the branch that corrects the embedding.
        cram: Whether there is the high-resolution branch.
    """

    bce: float = 1.0
    dice: float = 1.0
    jitter: float = 0.15
    loose: float = 0.1
    points: float = 0.1
    whole: float = 0.1
    sampled: int = 12_544
    token: bool = False
    evit: bool = True
    cram: bool = True

    ranges: ClassVar[Ranges] = {
        **TrainedParts.ranges,
        **dict.fromkeys(("jitter", "loose", "points", "whole"), (0, 1)),
        "sampled": (16, 10**6),
    }


class ResolverTraining(PartsTrainable):
    """A resolver between the frozen parts of a SAM.

    Args:
        parts: The SAM, with its levels.
        resolver: What is trained.
        settings: Losses and prompts.
        bundle: The folder that it started from: its detector serves validation, its parts are named in the export.
        folders: Local folders of the bundle's parts.
        seed: Of the prompts.
    """

    def __init__(
        self, parts: SamParts, resolver: Resolver, settings: TrainedResolver, *, bundle: Path,
        folders: Mapping[str, Path], seed: int,
    ) -> None:  # fmt: skip
        modules = {"vision": parts.vision, "decoder": parts.decoder, "resolver": resolver}
        super().__init__(
            modules, settings.parts or ("resolver",), settings, size=parts.vision.size, square=True, mean=MEAN, std=STD
        )
        self._parts, self._resolver, self._bundle, self._folders = parts, (resolver,), bundle, dict(folders)
        self._seed = seed
        self._encode: Callable[[Tensor], Sequence[Tensor]] = self._features
        self._detector: Any = None
        self.mixture = PromptMixture(settings.jitter, settings.loose, settings.points, settings.whole)
        self.sampling = PointSampling(settings.sampled)

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return `bce` and `dice`: means over the phrases whose masks are not empty, 0 where there are none."""
        generator = torch.Generator().manual_seed(1_000_003 * self._seed + step)
        with torch.no_grad():
            embedding, *levels = self._encode(batch.pixels)
        resolved = self._resolver[0](batch.pixels, SamFeatures(embedding, tuple(levels)))
        each = len(batch.masks) // len(batch.pixels)
        losses = []
        for image in range(len(batch.pixels)):
            rows = slice(image * each, (image + 1) * each)
            masks, known = batch.masks[rows], batch.known[rows]
            there = (masks * known).flatten(1).amax(dim=1) > 0.5
            if there.any():
                own = Resolved(*(part[image : image + 1] for part in resolved))
                losses.append(self._image_loss(own, masks[there], known[there], generator))
        if not losses:
            nothing = resolved.extra.sum() * 0
            return {"bce": nothing, "dice": nothing}
        bce, dice = (torch.cat(values).mean() for values in zip(*losses, strict=True))
        return {"bce": self.settings.bce * bce, "dice": self.settings.dice * dice}

    def _image_loss(
        self, resolved: Resolved, masks: Tensor, known: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Losses (N,) of the masks (N, S, S) of one image."""
        mixture = self.mixture if len(masks) == 1 else replace(self.mixture, whole=0.0)
        prompts = draw_prompts(masks, mixture, generator)
        resolver, decoder, parts, order = self._resolver[0], self._parts.decoder, [], []
        for rows in ((~prompts.by_points).nonzero()[:, 0], prompts.by_points.nonzero()[:, 0]):
            if len(rows):
                with torch.no_grad():
                    tokens = self._tokens(prompts, rows)
                decoded = decoder(resolved.embedding, tokens, extra=resolved.extra, head=resolver.head)
                parts.append(decoded.logits[:, 0].float())
                order.append(rows)
        chosen = torch.cat(order)
        boxes = prompts.boxes[chosen] / masks.shape[-1]
        targets, weights = masks[chosen].float(), known[chosen].float()
        return point_losses(torch.cat(parts), targets, weights, boxes, self.sampling, generator)

    def use_cache(self, cache: FeatureCache) -> None:
        """Keep the vision model's features on disk: 26 MB an image for SAM ViT-B."""
        from wordmask.components.feature_cache import CachedFeatures

        tower = fingerprint_weights(self._parts.vision.state_dict().items())
        self._encode = CachedFeatures(self._features, cache, f"sam/{tower}/levels")

    def segmenter(self) -> Segmenter:
        """Return IMSS with the resolver as it is now; the bundle's detector is read when it is first used."""
        device = next(self._resolver[0].parameters()).device
        if self._detector is None:
            self._detector = open_detector(self._folders["detector"], device=device, dtype=torch.float32)
        host = ResolvedSamHost(self._parts, self._resolver[0], name=f"{self._bundle.name}-training")
        isolation = read_isolation(read_json(self._bundle / "config.json").get("isolation", {}), self._bundle)
        if not self._resolver[0].settings.zoom:
            isolation = replace(isolation, zoom="off")
        return RegionSegmenter(self._detector, host, isolation=isolation, device=device)

    def export(self, folder: Path) -> None:
        """Write a bundle: the resolver in `resolver`, the other parts by their hub ids or full paths."""
        config = read_json(self._bundle / "config.json")
        parts = {role: self._named(role, part) for role, part in config["parts"].items() if role != "resolver"}
        config |= {"parts": {**parts, "resolver": {"path": "resolver"}}}
        save_resolver(folder / "resolver", self._resolver[0])
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

    def _named(self, role: str, part: dict[str, Any]) -> dict[str, Any]:
        return part if "hub" in part else {"path": str(self._folders[role].resolve())}

    def _features(self, pixels: Tensor) -> Sequence[Tensor]:
        features: SamFeatures = self._parts.vision(pixels)
        return [features.embedding, *features.levels]

    def _tokens(self, prompts: RegionPrompts, rows: Tensor) -> Tensor:
        decoder = self._parts.decoder
        if not bool(prompts.by_points[rows[0]]):
            return decoder.embed_boxes(prompts.boxes[rows])
        points = prompts.points[rows]
        return decoder.embed_points(points, torch.ones(points.shape[:2], dtype=torch.long, device=points.device))
