"""SAM with a resolver: IMSS on a frozen SAM, its files, and the untrained start that equals SAM."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from wordmask.checkpoints import read_json
from wordmask.checkpoints.building import no_weights
from wordmask.checkpoints.reading import find_weights, read_weights
from wordmask.checkpoints.strict import load_exactly
from wordmask.errors import CheckpointError, DataError, quote, sentence
from wordmask.methods.imss.avamdr import Resolved, Resolver, ResolverSettings
from wordmask.methods.imss.avamdr.cram import LEVELS
from wordmask.methods.imss.hosts import HostMasks, SamHost

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from wordmask.backbones.sam import SamParts

__all__ = ["RESOLVER_TYPE", "ResolvedSamHost", "fresh_resolver", "read_resolver", "save_resolver"]

RESOLVER_TYPE = "wordmask-resolver"


class ResolvedSamHost(SamHost):
    """A frozen SAM whose features a resolver corrects before its own mask decoder reads them.

    Args:
        parts: Vision encoder with its levels, and mask decoder.
        resolver: The resolver, in the precision of the encoder.
        name: Name in messages.
    """

    def __init__(self, parts: SamParts, resolver: Resolver, *, name: str) -> None:
        super().__init__(parts, name=name)
        self.resolver = resolver

    def encode_pixels(self, pixels: Tensor) -> Any:
        """Return the corrected embedding and the extra features of pixels float32 `(B, 3, S, S)`."""
        features = self.parts.vision(pixels)
        resolved: Resolved = self.resolver(pixels.to(features.embedding.dtype), features)
        return resolved

    def decode_boxes(self, features: Any, boxes: Tensor) -> HostMasks:
        """Return the single mask of each box."""
        decoder = self.parts.decoder
        masks = decoder(
            features.embedding, decoder.embed_boxes(boxes), extra=features.extra, head=self.resolver.head
        )  # fmt: skip
        return HostMasks(masks.logits[:, 0].float(), masks.quality[:, 0].float().clamp(0, 1))


def fresh_resolver(parts: SamParts, **values: Any) -> Resolver:
    """Return an untrained resolver for a SAM, with which it answers as without.

    Args:
        parts: The SAM.
        values: Values of `ResolverSettings`; widths are the SAM's.

    Raises:
        CheckpointError: If this SAM has not four levels.
    """
    check_levels(parts)
    own = {"channels": parts.vision.channels, "width": parts.decoder.decoder.hidden_size}
    return Resolver(ResolverSettings(**{**values, **own}), decoder=parts.decoder.decoder)


def check_levels(parts: SamParts) -> None:
    """Check that a SAM has the four global-attention blocks that a resolver reads.

    Raises:
        CheckpointError: If it has another number.
    """
    if len(parts.vision.taps) != LEVELS:
        got = f"a vision encoder with {len(parts.vision.taps)} global-attention blocks"
        raise CheckpointError(sentence(got, f"{LEVELS}, as SAM ViT-B, L and H have", "use one of these"))


def read_resolver(folder: Path, parts: SamParts) -> Resolver:
    """Read a resolver for a SAM from config.json and model.safetensors.

    Raises:
        ModelNotFoundError: If a file is missing.
        CheckpointError: If they are damaged, or made for another SAM.
    """
    values = read_json(folder / "config.json")
    known = {field.name for field in fields(ResolverSettings)}
    try:
        settings = ResolverSettings(**{name: value for name, value in values.items() if name in known})
    except DataError as error:
        got = f"the resolver's settings in {quote(folder)} ({error})"
        raise CheckpointError(sentence(got, "values that fit", "correct config.json")) from error
    check_levels(parts)
    own = (parts.vision.channels, parts.decoder.decoder.hidden_size)
    if values.get("model_type") != RESOLVER_TYPE or (settings.channels, settings.width) != own:
        got = f"{values.get('model_type')!r} for widths {settings.channels} and {settings.width} in {quote(folder)}"
        raise CheckpointError(
            sentence(got, f"a {RESOLVER_TYPE} for {own[0]} and {own[1]}", "use the SAM that it was trained on")
        )
    with no_weights():
        resolver = Resolver(settings, decoder=parts.decoder.decoder)
    load_exactly(resolver, read_weights(find_weights(folder)), source=folder.name)
    return resolver.eval().requires_grad_(False)


def save_resolver(folder: Path, resolver: Resolver) -> None:
    """Write a resolver's config.json and model.safetensors."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in resolver.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    values = {"model_type": RESOLVER_TYPE, **resolver.settings.to_json()}
    (folder / "config.json").write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
