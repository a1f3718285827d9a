"""Configuration of a CLIPSeg network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wordmask.checkpoints import brief
from wordmask.errors import CheckpointError, quote, sentence

if TYPE_CHECKING:
    from collections.abc import Mapping

MODEL_TYPE = "wordmask-clipseg"
"""`model_type` in the config.json of variants that transformers cannot read: another decoder, or another encoder."""
LARGEST = 65536
"""Highest number of channels or heads."""
DECODERS = ("attention", "deconv")
ENCODERS = ("clip", "vit")
VISION_DEFAULTS: Mapping[str, Any] = {"hidden_size": 768, "num_hidden_layers": 12, "patch_size": 32, "image_size": 224}
"""Defaults, which transformers leaves out of a saved `vision_config`."""


@dataclass(frozen=True)
class ClipSegConfig:
    """Sizes of a CLIPSeg network; the defaults are those of transformers' `CLIPSegConfig`.

    Attributes:
        vision: The vision tower's settings, in transformers' names.
        text: The text tower's settings, in transformers' names.
        projection_dim: Channels C of the condition.
        reduce_dim: Channels D of the decoder.
        extract_layers: Encoder blocks (from 0) whose activations the decoder takes, shallow to deep. The published
            weights use (3, 6, 9), the paper trains with (3, 7, 9) (arXiv 2112.10003, section 4).
        heads: Attention heads of the decoder.
        feedforward: Hidden channels of the decoder's feed-forward layers.
        conditional_layer: The decoder block before which FiLM is applied.
        refined: Whether the head is the refined one (3x3 convolution and two transposed convolutions).
        decoder: `"attention"`, CLIPSeg's own, or `"deconv"`, CLIP-Deconv's; the latter takes the last of
            `extract_layers` and ignores `heads`, `feedforward` and `conditional_layer`.
        encoder: Kind of vision tower: CLIP's (`"clip"`), or a ViT trained without text (`"vit"`, ViTSeg).
    """

    vision: Mapping[str, Any] = field(default_factory=dict)
    text: Mapping[str, Any] = field(default_factory=dict)
    projection_dim: int = 512
    reduce_dim: int = 64
    extract_layers: tuple[int, ...] = (3, 6, 9)
    heads: int = 4
    feedforward: int = 2048
    conditional_layer: int = 0
    refined: bool = False
    decoder: str = "attention"
    encoder: str = "clip"

    def __post_init__(self) -> None:
        for name, choices in (("decoder", DECODERS), ("encoder", ENCODERS)):
            if getattr(self, name) not in choices:
                got, expected = f"the {name} {quote(getattr(self, name))}", f"one of {', '.join(choices)}"
                raise CheckpointError(sentence(got, expected, "correct the checkpoint's config.json"))
        for name in ("projection_dim", "reduce_dim", "heads", "feedforward"):
            if not 1 <= getattr(self, name) <= LARGEST:
                got = f"{name} {quote(getattr(self, name))}"
                raise CheckpointError(sentence(got, f"1 to {LARGEST}", "correct the checkpoint's config.json"))
        if self.reduce_dim % self.heads:
            got = f"a decoder of {self.reduce_dim} channels with {self.heads} attention heads"
            raise CheckpointError(sentence(got, "a multiple", "correct the checkpoint's config.json"))
        blocks = int(self.of_vision("num_hidden_layers"))
        if not self.extract_layers or not all(0 <= layer < blocks for layer in self.extract_layers):
            got, expected = f"extract_layers {list(self.extract_layers)}", f"block numbers from 0 to {blocks - 1}"
            raise CheckpointError(sentence(got, expected, "correct the checkpoint's config.json"))
        if self.refined and (self.patch // 4) ** 2 != self.patch:
            got = f"the refined head with patches of {self.patch} px"
            raise CheckpointError(sentence(got, "patches of 16 px", "use the plain head for this encoder"))

    def of_vision(self, key: str) -> Any:
        """Return one setting of the vision tower, or its default."""
        return self.vision.get(key, VISION_DEFAULTS[key])

    @property
    def is_published(self) -> bool:
        """Whether it is a CLIPSeg as published, which transformers can read."""
        return (self.decoder, self.encoder) == ("attention", "clip")

    @property
    def patch(self) -> int:
        """Side of a patch in pixels."""
        size = self.of_vision("patch_size")
        return int(size if isinstance(size, int) else size[0])

    @property
    def width(self) -> int:
        """Channels of the vision tower."""
        return int(self.of_vision("hidden_size"))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ClipSegConfig:
        """Read a `config.json`: transformers' of model type clipseg, or that of a variant (`MODEL_TYPE`).

        Raises:
            CheckpointError: If it describes another kind of model or impossible sizes.
        """
        if values.get("model_type") not in ("clipseg", MODEL_TYPE):
            got = f"a config of model type {quote(values.get('model_type'))}"
            raise CheckpointError(sentence(got, f"'clipseg' or '{MODEL_TYPE}'", "choose a CLIPSeg checkpoint"))
        try:
            return cls._read(values)
        except (KeyError, TypeError, ValueError, OverflowError, ZeroDivisionError) as error:
            got = f"no usable config.json of a CLIPSeg ({type(error).__name__}: {brief(error)})"
            raise CheckpointError(sentence(got, "its sizes", "correct it, or fetch or save the model again")) from error

    @classmethod
    def _read(cls, values: Mapping[str, Any]) -> ClipSegConfig:
        if values.get("conditional_layer", 0) >= len(values.get("extract_layers", (3, 6, 9))):
            got = f"conditional_layer {values['conditional_layer']}"
            raise CheckpointError(sentence(got, "a decoder block's number", "correct the checkpoint's config.json"))
        return cls(
            vision=_tower(values, "vision_config"),
            text=_tower(values, "text_config"),
            projection_dim=int(values.get("projection_dim", 512)),
            reduce_dim=int(values.get("reduce_dim", 64)),
            extract_layers=tuple(int(layer) for layer in values.get("extract_layers", (3, 6, 9))),
            heads=int(values.get("decoder_num_attention_heads", 4)),
            feedforward=int(values.get("decoder_intermediate_size", 2048)),
            conditional_layer=int(values.get("conditional_layer", 0)),
            refined=bool(values.get("use_complex_transposed_convolution", False)),
            **{name: values[name] for name in ("decoder", "encoder") if values["model_type"] == MODEL_TYPE},
        )

    def to_json(self) -> dict[str, Any]:
        """Return the values of a config.json, in transformers' names where it has them."""
        kind = {"model_type": "clipseg", "architectures": ["CLIPSegForImageSegmentation"]}
        other = {"model_type": MODEL_TYPE, "decoder": self.decoder, "encoder": self.encoder}
        return {
            **(kind if self.is_published else other),
            "vision_config": dict(self.vision),
            "text_config": dict(self.text),
            "projection_dim": self.projection_dim,
            "reduce_dim": self.reduce_dim,
            "extract_layers": list(self.extract_layers),
            "decoder_num_attention_heads": self.heads,
            "decoder_intermediate_size": self.feedforward,
            "conditional_layer": self.conditional_layer,
            "use_complex_transposed_convolution": self.refined,
        }


def _tower(values: Mapping[str, Any], key: str) -> dict[str, Any]:
    """One tower's settings; older files carry a second dictionary that overrides the first."""
    return {**(values.get(key) or {}), **(values.get(f"{key}_dict") or {})}
