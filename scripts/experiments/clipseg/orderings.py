"""The paper's orderings, each as one comparison, and what the paper printed for it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ORDERINGS", "PAPER", "PROMPTS", "Ordering"]


@dataclass(frozen=True, kw_only=True)
class Ordering:
    """First is better than second.

    Attributes:
        claim: In words.
        first, second: (variant, "text" or "visual").
        paper: Printed values of first and second in percent; None where no table has them.
        source: The table, and what of it.
    """

    claim: str
    first: tuple[str, str]
    second: tuple[str, str]
    paper: tuple[float, float] | None
    source: str


_NINE = "table 9, mIoU at the best threshold"
_THREE = "table 3, mIoU at 0.3"

ORDERINGS = (
    Ordering(
        claim="words are better than examples", first=("pc-plus", "text"), second=("pc-plus", "visual"),
        paper=(43.6, 25.4), source=_NINE,
    ),
    Ordering(
        claim="asked in words, PC is better than PC+", first=("pc", "text"), second=("pc-plus", "text"),
        paper=(46.1, 43.4), source=_THREE,
    ),
    Ordering(
        claim="asked by examples, PC+ is better than PC", first=("pc-plus", "visual"), second=("pc", "visual"),
        paper=(59.5, 52.3), source="table 5, Pascal-5i one-shot, mIoU at 0.3",
    ),
    Ordering(
        claim="asked in words, training without examples is better", first=("no-visual", "text"),
        second=("pc-plus", "text"), paper=(46.4, 43.6), source=_NINE,
    ),
    Ordering(
        claim="asked by examples, training with examples is better", first=("pc-plus", "visual"),
        second=("no-visual", "visual"), paper=(25.4, 14.4), source=_NINE,
    ),
    Ordering(
        claim="the decoder with attention is better than CLIP-Deconv (words)", first=("pc-plus", "text"),
        second=("deconv", "text"), paper=(43.4, 37.7), source=_THREE,
    ),
    Ordering(
        claim="the decoder with attention is better than CLIP-Deconv (examples)", first=("pc-plus", "visual"),
        second=("deconv", "visual"), paper=(59.5, 48.0), source="table 5, Pascal-5i one-shot, mIoU at 0.3 and 0.2",
    ),
    Ordering(
        claim="CLIP's tower is better than ViTSeg's (words)", first=("pc-plus", "text"), second=("vitseg", "text"),
        paper=(43.4, 28.4), source="table 3, mIoU at 0.3 and 0.1",
    ),
    Ordering(
        claim="CLIP's tower is better than ViTSeg's (examples)", first=("pc-plus", "visual"),
        second=("vitseg", "visual"), paper=None, source="no table (table 5's row repeats the text test)",
    ),
    Ordering(
        claim="D = 128 is better than 64 (PC, words)", first=("d128", "text"), second=("pc", "text"),
        paper=(48.2, 46.1), source=_THREE,
    ),
    Ordering(
        claim="D = 64 is better than 16 (words)", first=("pc-plus", "text"), second=("d16", "text"),
        paper=(43.6, 37.4), source=_NINE,
    ),
    Ordering(
        claim="D = 64 is better than 16 (examples)", first=("pc-plus", "visual"), second=("d16", "visual"),
        paper=(25.4, 24.7), source=_NINE,
    ),
    Ordering(
        claim="three read-outs are better than layer 3 alone (words)", first=("pc-plus", "text"),
        second=("layer3", "text"), paper=(43.6, 31.9), source=_NINE,
    ),
    Ordering(
        claim="three read-outs are better than layer 3 alone (examples)", first=("pc-plus", "visual"),
        second=("layer3", "visual"), paper=(25.4, 21.5), source=_NINE,
    ),
    Ordering(
        claim="examples cropped and dimmed are better than a highlighted mask", first=("pc-plus", "visual"),
        second=("highlight", "visual"), paper=(25.4, 23.3), source=_NINE,
    ),
    Ordering(
        claim="CLIP pre-training is better than none (words)", first=("pc-plus", "text"), second=("no-clip", "text"),
        paper=(43.6, 13.1), source=_NINE,
    ),
    Ordering(
        claim="CLIP pre-training is better than none (examples)", first=("pc-plus", "visual"),
        second=("no-clip", "visual"), paper=(25.4, 12.7), source=_NINE,
    ),
    Ordering(
        claim="the refined head is better than the plain one (words)", first=("refined", "text"),
        second=("pc-plus", "text"), paper=None, source="no table; weights released later",
    ),
    Ordering(
        claim="20 % negatives are better than none (words)", first=("pc-plus", "text"),
        second=("negatives-0", "text"), paper=None, source="trained by the authors, no number printed",
    ),
    Ordering(
        claim="20 % negatives are better than 50 % (words)", first=("pc-plus", "text"),
        second=("negatives-50", "text"), paper=None, source="trained by the authors, no number printed",
    ),
)  # fmt: skip

PAPER: dict[str, tuple[float | None, float | None, str]] = {
    "pc-plus": (43.6, 25.4, "table 9"), "pc": (46.1, None, "table 3, at 0.3"),
    "d128": (48.2, None, "table 3, at 0.3"), "d16": (37.4, 24.7, "table 9"), "refined": (None, None, "-"),
    "layer3": (31.9, 21.5, "table 9"), "highlight": (43.4, 23.3, "table 9"), "no-visual": (46.4, 14.4, "table 9"),
    "no-clip": (13.1, 12.7, "table 9"), "deconv": (37.7, None, "table 3, at 0.3"),
    "vitseg": (28.4, None, "table 3, at 0.1"), "negatives-0": (None, None, "-"), "negatives-50": (None, None, "-"),
}  # fmt: skip
"""mIoU in percent of each variant on PhraseCut, asked in words and by examples, as the paper prints it."""

PROMPTS = (
    ("crop_blur_10", "crop_10", "cropping, blurring and dimming beats cropping and dimming"),
    ("crop_blur_10", "crop_blur", "cropping, blurring and dimming beats cropping and blurring"),
    ("crop_blur_10", "crop", "cropping, blurring and dimming beats cropping"),
    ("crop", "crop_large", "a narrow crop beats a wide one"),
    ("dim_0", "dim_10", "a black background beats 10 %"),
    ("dim_10", "dim_50", "10 % brightness beats 50 %"),
    ("blur_10", "blur", "blurring and dimming beats blurring"),
    ("blur_10", "dim_10", "blurring and dimming beats dimming"),
    ("dim_10", "outline", "a dimmed background beats a red outline"),
    ("outline", "red_in_grey", "a red outline beats a red thing in grey"),
    ("cls_all", "cls_last", "masking the class token everywhere beats its last layer"),
    ("outline", "cls_all", "a red outline beats masking the class token"),
    ("original", "all_all", "masking all tokens harms"),
)
"""Pairs of table 2: the first moves the probability of what is meant further up than the second."""
