"""Settings of open-vocabulary segmentation in two stages: proposals, then their scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from wordmask.settings import Choices, Ranges, Settings

__all__ = ["MODES", "StageTwoSettings"]

MODES = ("auto", "vocab", "single", "shortlist", "unguided")
"""How a decoder is asked: all prompts in one pass, one by one, the most probable ones again, or without any."""


@dataclass(frozen=True, kw_only=True)
class StageTwoSettings(Settings):
    """How proposals are made from prompts, scored, and put together.

    Attributes:
        mode: One of `MODES`; "auto" asks up to `single_up_to` prompts one by one and more of them together.
        single_up_to: See `mode`.
        shortlist: Most prompts that the mode "shortlist" asks again, one by one.
        chunk: Prompts decoded at once in the mode "single"; 0 = one on a CPU, where more of them cost more each
            (`benchmarks/prompt_guidance.py`), 16 elsewhere.
        text_tokens: What the decoder reads of a phrase: "sentence", "word" or "both"; "auto" = words where prompts are
            asked one by one, otherwise sentences.
        templates: Sentences around a name, whose embeddings are averaged; "{}" stands for the name.
        scorer: What CLIP looks at: "crops" of the masks, "dense" features pooled over them, "both", or "none".
        dense_size: Longer side of the image for dense features, in pixels.
        crop_threshold: Probability above which a pixel belongs to a crop's mask.
        max_crops: Most masks of a pass that are cropped, those first that are most probably objects.
        ensemble: Exponent w of CLIP's posterior in p^(1-w) q^w, with p that of the host's own classifier.
        min_known: Part of the prompts that the host's classifier must know for it to be used at all.
        objectness: Whether scores are multiplied by the host's probability that a query shows anything.
        distractors: Further names that masks may belong to; never returned.
        distract_below: The host's own names and `distractors` compete where fewer prompts than this are asked.
        image_scale, image_offset: The score of an example image is sigmoid(scale * (cosine - offset)).
        policy: "instances": masks above `region_threshold`, duplicates removed; "panoptic": such masks without overlap;
            "semantic": no regions, the sum of all masks.
        region_threshold: Lowest score of a region.
        nms: IoU above which the less probable of two regions of a prompt is removed.
        overlap: Part of its area that a region must keep under the policy "panoptic".
        candidates: Proposals that a result lists for each prompt, the best first.
        threshold: Mask probability above which a pixel belongs to a region.
        presence: Score of the best proposal below which a prompt is absent.
        short_side, long_side: Sides of the host's input in pixels; 0 = those of its preprocessor_config.json.
    """

    mode: str = "auto"
    single_up_to: int = 8
    shortlist: int = 16
    chunk: int = 0
    text_tokens: str = "auto"
    templates: tuple[str, ...] = (
        "a photo of a {}.",
        "a photo of the {}.",
        "a photo of a small {}.",
        "a photo of a large {}.",
        "there is a {} in the scene.",
    )
    scorer: str = "crops"
    dense_size: int = 448
    crop_threshold: float = 0.5
    max_crops: int = 50
    ensemble: float = 0.6
    min_known: float = 0.5
    objectness: bool = True
    distractors: tuple[str, ...] = ("others",)
    distract_below: int = 20
    image_scale: float = 20.0
    image_offset: float = 0.7
    policy: str = "instances"
    region_threshold: float = 0.25
    nms: float = 0.7
    overlap: float = 0.8
    candidates: int = 10
    threshold: float = 0.5
    presence: float = 0.25
    short_side: int = 0
    long_side: int = 0

    ranges: ClassVar[Ranges] = {
        **dict.fromkeys(
            ("crop_threshold", "ensemble", "min_known", "region_threshold", "nms", "overlap", "threshold", "presence"),
            (0, 1),
        ),
        **dict.fromkeys(("single_up_to", "shortlist", "max_crops", "distract_below", "candidates"), (0, 10**6)),
        "chunk": (0, 4096),
        "dense_size": (16, 4096),
        **dict.fromkeys(("short_side", "long_side"), (0, 8192)),
    }
    choices: ClassVar[Choices] = {
        "mode": MODES,
        "text_tokens": ("auto", "sentence", "word", "both"),
        "scorer": ("crops", "dense", "both", "none"),
        "policy": ("instances", "panoptic", "semantic"),
    }
